//! The keys of a DEL in one piece of memory: a key of a few bytes takes a few bytes, not the four
//! words of a handle of its own, which a message of many small keys would multiply.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::codec::{Fields, Value, field_len, put_bytes};

/// What a key counts for where bytes are counted: the empty one as one byte, so that no number of
/// them counts for nothing.
pub(super) fn counted(key: &[u8]) -> usize {
    key.len().max(1)
}

/// Keys, laid out as the schema's `DelOperation` is. Cheap to clone.
#[derive(Clone, Default)]
pub struct Keys {
    /// The message: field 1, again and again, and nothing else.
    encoded: Bytes,
    len: usize,
    key_bytes: usize,
    holds_empty: bool,
}

impl Keys {
    pub(crate) fn pack(keys: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        let (mut packed, mut buf) = (Self::default(), BytesMut::new());
        for key in keys {
            let key = key.into();
            packed.count(&key);
            buf.reserve(field_len(key.len()));
            put_bytes(1, &key, &mut buf);
        }
        packed.encoded_as(buf.freeze())
    }

    /// For the codec: one key more, in the bytes that are to come.
    pub(crate) fn count(&mut self, key: &[u8]) {
        self.len += 1;
        self.key_bytes += counted(key);
        self.holds_empty |= key.is_empty();
    }

    /// For the codec: the bytes of the keys that were counted.
    pub(crate) fn encoded_as(self, encoded: Bytes) -> Self {
        Self { encoded, ..self }
    }

    pub(crate) fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// How many, one that is named twice counted twice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none, as in no valid DEL.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What all keys count for.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// Whether one of them has no byte.
    pub(super) fn holds_empty(&self) -> bool {
        self.holds_empty
    }

    /// In the order in which they were named.
    pub fn iter(&self) -> KeysIter<'_> {
        KeysIter(Fields::of("DelOperation", &self.encoded))
    }
}

impl<'a> IntoIterator for &'a Keys {
    type Item = &'a [u8];
    type IntoIter = KeysIter<'a>;

    fn into_iter(self) -> KeysIter<'a> {
        self.iter()
    }
}

/// Equal keys are equal, however their lengths were written.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl Eq for Keys {}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Bytes::copy_from_slice)).finish()
    }
}

/// See [`Keys::iter`].
#[derive(Debug, Clone)]
pub struct KeysIter<'a>(Fields<'a>);

impl<'a> Iterator for KeysIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        // Whoever made the bytes saw to it that there is nothing else in them.
        match self.0.next() {
            Ok(Some((_, Value::Bytes(key)))) => Some(key),
            _ => None,
        }
    }
}
