//! Operations and images of the state machine, as bincode 1.3 lays them out by default.
//!
//! | type | bytes |
//! |---|---|
//! | number | fixed width, little endian |
//! | `Vec<u8>`, `String` | length as `u64`, then the bytes |
//! | `Vec<T>`, `HashMap<K, V>` | count as `u64`, then the elements; a map's in any order |
//! | variant | its place in the declaration as `u32`, then its fields in their order |
//!
//! What the first generation declared, and thus what is read:
//!
//! ```text
//! enum Operation { Set { key: Vec<u8>, value: Vec<u8> }, Del { key: Vec<u8> } }
//! struct StateMachine { data: HashMap<Vec<u8>, Vec<u8>>, last_applied: u64 }
//! ```
//!
//! Read as well are `Del { keys: Vec<Vec<u8>> }` and the map alone. Neither can be taken for its
//! sibling: after the variant, `n` bytes of key are followed by nothing, while `n` keys need at
//! least `8 * n` bytes; and an image ends either with its last value or 8 bytes later.
//!
//! An empty key, which bincode can say, is refused: no [`Operation`] has one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use crate::operation::{How, Keys, MAX_KEY_BYTES, Operation};

const SET: u32 = 0;
const DEL: u32 = 1;

/// A state machine, as it was written into a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Slices of the bytes read.
    pub data: BTreeMap<Bytes, Bytes>,
    /// Index of the last operation applied, 0 if there was none; `None` if the image is the map
    /// alone. Entries without an operation didn't move it.
    pub last_applied: Option<u64>,
}

/// Reads an operation from the whole of `bytes`, sharing them.
///
/// # Errors
/// See [`BincodeError`].
pub fn read_operation(bytes: &Bytes) -> Result<Operation, BincodeError> {
    let mut reader = Reader::of(bytes);
    let operation = match reader.variant()? {
        SET => Operation::decoded_set(reader.key()?, reader.bytes()?, false, How::Replace),
        DEL => Operation::decoded_del(Keys::pack(reader.del_keys()?)),
        got => return Err(BincodeError::Variant { offset: 0, got, last: DEL }),
    };
    reader.end()?;
    Ok(operation)
}

/// The bytes of an operation. A single key to delete is written as the first generation did,
/// several are a list.
pub fn write_operation(operation: &Operation) -> Bytes {
    let mut buf = Vec::with_capacity(operation.payload_bytes() + 20);
    match operation {
        Operation::Set(set) => {
            buf.extend_from_slice(&SET.to_le_bytes());
            put_bytes(set.key(), &mut buf);
            put_bytes(set.value(), &mut buf);
        }
        Operation::Del(del) => {
            buf.extend_from_slice(&DEL.to_le_bytes());
            if del.keys().len() > 1 {
                buf.extend_from_slice(&(del.keys().len() as u64).to_le_bytes());
            }
            del.keys().iter().for_each(|key| put_bytes(key, &mut buf));
        }
    }
    buf.into()
}

fn put_bytes(bytes: &[u8], buf: &mut Vec<u8>) {
    buf.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    buf.extend_from_slice(bytes);
}

/// Reads an image from the whole of `bytes`, sharing them.
///
/// # Errors
/// See [`BincodeError`].
pub fn read_image(bytes: &Bytes) -> Result<Image, BincodeError> {
    let mut reader = Reader::of(bytes);
    let mut image = Image::default();
    // Each takes at least 17 bytes, so a count that claims too much ends with the bytes.
    for _ in 0..reader.u64()? {
        let offset = reader.offset();
        let (key, value) = (reader.key()?, reader.bytes()?);
        match image.data.entry(key) {
            Entry::Vacant(place) => place.insert(value),
            Entry::Occupied(_) => return Err(BincodeError::Twice { offset }),
        };
    }
    if !reader.rest.is_empty() {
        image.last_applied = Some(reader.u64()?);
    }
    reader.end()?;
    Ok(image)
}

struct Reader<'a> {
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn of(whole: &'a Bytes) -> Self {
        Self { whole, rest: whole }
    }

    fn offset(&self) -> u64 {
        (self.whole.len() - self.rest.len()) as u64
    }

    fn cut(&self, needed: u64) -> BincodeError {
        BincodeError::Cut { offset: self.offset(), needed, left: self.rest.len() as u64 }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BincodeError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(self.cut(N as u64))?;
        self.rest = rest;
        Ok(*array)
    }

    fn variant(&mut self) -> Result<u32, BincodeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, BincodeError> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Bytes, BincodeError> {
        let len = self.u64()?;
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (bytes, rest) = split.ok_or(self.cut(len))?;
        self.rest = rest;
        Ok(self.whole.slice_ref(bytes))
    }

    fn key(&mut self) -> Result<Bytes, BincodeError> {
        let offset = self.offset();
        let key = self.bytes()?;
        match key.len() {
            0 => Err(BincodeError::EmptyKey { offset }),
            got if got > MAX_KEY_BYTES => {
                Err(BincodeError::KeyTooLong { offset, got: got as u64, max: MAX_KEY_BYTES as u64 })
            }
            _ => Ok(key),
        }
    }

    /// One key, or a list of them: see the [module](self).
    fn del_keys(&mut self) -> Result<Vec<Bytes>, BincodeError> {
        let one = Reader { whole: self.whole, rest: self.rest };
        let count = self.u64()?;
        if count == 0 {
            return Err(BincodeError::EmptyKey { offset: one.offset() });
        }
        if count == self.rest.len() as u64 {
            *self = one;
            return Ok(vec![self.key()?]);
        }
        (0..count).map(|_| self.key()).collect()
    }

    fn end(&self) -> Result<(), BincodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(BincodeError::Trailing { offset: self.offset(), left: self.rest.len() as u64 })
    }
}

/// Bytes that are no operation, or no image. Offsets are from their begin, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BincodeError {
    /// They end too early, or a length is wrong.
    #[error("at byte {offset}: {needed} bytes are needed, {left} are left")]
    Cut {
        /// Where.
        offset: u64,
        /// Bytes needed.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// Something follows.
    #[error("at byte {offset}: {left} bytes follow, expected the end")]
    Trailing {
        /// Where the end should be.
        offset: u64,
        /// Bytes that follow.
        left: u64,
    },
    /// No operation that the first generation had.
    #[error("at byte {offset}: variant {got}, expected 0 to {last}")]
    Variant {
        /// Where.
        offset: u64,
        /// The variant found.
        got: u32,
        /// The last one known.
        last: u32,
    },
    /// An empty key, or a DEL without one.
    #[error("at byte {offset}: an empty key, expected at least 1 byte")]
    EmptyKey {
        /// Where.
        offset: u64,
    },
    /// See [`MAX_KEY_BYTES`].
    #[error("at byte {offset}: a key of {got} bytes, expected at most {max}")]
    KeyTooLong {
        /// Where.
        offset: u64,
        /// Bytes in the key.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A map has no key twice.
    #[error("at byte {offset}: a key that the image had before")]
    Twice {
        /// Where the second one is.
        offset: u64,
    },
}
