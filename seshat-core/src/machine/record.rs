//! One key with its value, or the news that a key is gone, in a single allocation.

/// Set in `head` when the key is gone. Keys are shorter (`MAX_KEY_BYTES`).
const GONE: u32 = 1 << 31;

/// A key and its value, or a tombstone. 24 bytes in the table, everything else in one place
/// behind them, so that looking at a record touches memory once.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The key, then the value.
    bytes: Box<[u8]>,
    /// Length of the key, and [`GONE`].
    head: u32,
    /// Of the key. Kept so that a growing table doesn't have to read every key.
    hash: u32,
}

impl Record {
    pub(crate) fn new(hash: u32, key: &[u8], value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Self { bytes: bytes.into_boxed_slice(), head: key.len() as u32, hash }
    }

    pub(crate) fn tombstone(hash: u32, key: &[u8]) -> Self {
        Self { bytes: key.into(), head: key.len() as u32 | GONE, hash }
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.head & GONE != 0
    }

    fn key_len(&self) -> usize {
        (self.head & !GONE) as usize
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.split().0
    }

    /// The value; `None` for a tombstone.
    pub(crate) fn live(&self) -> Option<&[u8]> {
        (!self.is_tombstone()).then(|| self.split().1)
    }

    /// Gives the record's key a value. Reuses the memory if the length stays the same.
    pub(crate) fn bind(&mut self, key: &[u8], value: &[u8]) {
        let key_len = self.key_len();
        match self.bytes.get_mut(key_len..) {
            Some(old) if old.len() == value.len() => {
                old.copy_from_slice(value);
                self.head = key_len as u32;
            }
            _ => *self = Self::new(self.hash, key, value),
        }
    }

    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        // Never fails: `key_len` is at most the length by construction.
        self.bytes.split_at_checked(self.key_len()).unwrap_or_default()
    }

    /// Key and value, one after the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Something of its first byte: reads the memory behind the record.
    pub(crate) fn touch(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// Whether this is a record of that key.
    pub(crate) fn is(&self, hash: u32, key: &[u8]) -> bool {
        self.hash == hash && self.key() == key
    }

    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }

    /// The hash as a table wants it: its top bits tell records of a bucket apart, its low bits
    /// choose the bucket.
    pub(crate) fn table_hash(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}
