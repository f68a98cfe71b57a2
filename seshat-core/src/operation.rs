//! What clients ask for: operations within their limits, batches of them, and their responses.
//!
//! Guarantees: an [`Operation`] that came out of a constructor or the codec is well formed (DEL
//! names at least one key); one that came out of a constructor is also within the [`Limits`] it was
//! made with. A node checks once more what is proposed to it, which may have been made within other
//! limits than its own ([`Operation::check`]). As in Redis, the empty key is a key.

mod batch;
mod how;
mod keys;

use bytes::Bytes;

pub use crate::condition::{Condition, SetOptions};

pub use self::batch::Batch;
pub(crate) use self::how::How;
pub use self::keys::{Keys, KeysIter};

/// No limit allows a longer key: the state machine counts its bytes in 31 bits.
pub const MAX_KEY_BYTES: usize = (1 << 31) - 1;

/// The most that an operation may carry. Checked where an operation is made, and where it is
/// proposed; a log written under wider limits stays readable.
///
/// The defaults are far below Redis's 512 MiB because a Raft entry travels whole. It may take as long as
/// the links take, but until it has reached a quorum nothing behind it is committed, and its proposer
/// hears of it only if that is within `propose_timeout`; each node holds it in memory more than once on
/// the way. So the longest value follows from the slowest link of a quorum: its rate, times how long all
/// others may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one key. Default 64 KiB; beyond [`MAX_KEY_BYTES`] it has no effect.
    pub max_key_bytes: usize,
    /// Bytes in one value. Default 1 MiB.
    pub max_value_bytes: usize,
    /// Keys in one DEL. Default 1024.
    pub max_del_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_key_bytes: 64 << 10, max_value_bytes: 1 << 20, max_del_keys: 1024 }
    }
}

/// One command on the key-value state machine, with Redis's names and semantics.
///
/// A new kind of operation gets a new variant here and a new field number in the schema, and so
/// does what is new in a kind; either needs a new [`format`](Operation::format). Stored logs stay
/// readable, and a node that doesn't know what is new refuses the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `SET key value [NX | XX] [GET]`
    Set(Set),
    /// `DEL key [key ...]`
    Del(Del),
}

/// `SET key value [NX | XX] [GET]`: binds the key to the value, whatever was there before, unless it has
/// a condition that doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    key: Bytes,
    value: Bytes,
    get: bool,
    how: How,
}

impl Set {
    /// May be empty.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// May be empty.
    pub fn value(&self) -> &Bytes {
        &self.value
    }

    /// Whether the value before is answered.
    pub fn get(&self) -> bool {
        self.get
    }

    /// When the key is bound; `None`: always.
    pub fn condition(&self) -> Option<Condition> {
        self.how.condition()
    }

    pub(crate) fn how(&self) -> How {
        self.how
    }
}

/// `DEL key [key ...]`: removes the keys; one that is named twice counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Del {
    keys: Keys,
}

impl Del {
    /// At least one.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl Operation {
    /// `SET key value`. Its answer tells nothing of what was there before.
    ///
    /// # Errors
    /// An oversized key or value, with the limit it breaks.
    pub fn set(
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        Self::made(key.into(), value.into(), false, How::Replace, limits)
    }

    /// `SET key value GET`: answers with the value that was replaced, of which every replica makes a
    /// copy.
    ///
    /// # Errors
    /// An oversized key or value, with the limit it breaks.
    pub fn set_get(
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        Self::made(key.into(), value.into(), true, How::Replace, limits)
    }

    /// `SET key value [NX | XX] [GET]`: binds the key, if the condition holds, and answers with the value
    /// before, if that is asked for; whether the key was bound is answered in either case. As in Redis 7,
    /// each goes with each.
    ///
    /// # Errors
    /// An oversized key or value, with the limit it breaks.
    pub fn set_with(
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        options: SetOptions,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        Self::made(key.into(), value.into(), options.get, options.condition.into(), limits)
    }

    /// Adds the value before the one that the key is bound to. For tests of upgrades: no version has it.
    ///
    /// # Errors
    /// An oversized key or value, with the limit it breaks.
    #[cfg(feature = "next")]
    #[doc(hidden)]
    pub fn next_prepend(
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        Self::made(key.into(), value.into(), false, How::Prepend, limits)
    }

    /// Adds the value behind the one that the key is bound to. For tests of upgrades: no version has it.
    ///
    /// # Errors
    /// An oversized key or value, with the limit it breaks.
    #[cfg(feature = "next")]
    #[doc(hidden)]
    pub fn next_append(
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        Self::made(key.into(), value.into(), false, How::Append, limits)
    }

    fn made(
        key: Bytes,
        value: Bytes,
        get: bool,
        how: How,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        let set = Self::decoded_set(key, value, get, how);
        set.check(limits)?;
        Ok(set)
    }

    /// `DEL key [key ...]`.
    ///
    /// # Errors
    /// No key, too many keys, or an oversized one, with the limit it breaks.
    pub fn del<K: Into<Bytes>>(
        keys: impl IntoIterator<Item = K>,
        limits: &Limits,
    ) -> Result<Self, LimitError> {
        let del = Self::Del(Del { keys: Keys::pack(keys) });
        del.check(limits)?;
        Ok(del)
    }

    /// Whether the operation is within `limits`, which need not be those it was made with. Looks at
    /// lengths only.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(&self, limits: &Limits) -> Result<(), LimitError> {
        match self {
            Self::Set(Set { key, value, .. }) => {
                check_key(key, limits)?;
                let (got, max) = (value.len(), limits.max_value_bytes);
                if got > max {
                    return Err(LimitError::ValueTooLong { got, max });
                }
                Ok(())
            }
            Self::Del(Del { keys }) => {
                let (got, max) = (keys.len(), limits.max_del_keys);
                if got == 0 {
                    return Err(LimitError::NoKey);
                }
                if got > max {
                    return Err(LimitError::TooManyKeys { got, max });
                }
                keys.iter().try_for_each(|key| check_key(key, limits))
            }
        }
    }

    /// The command's name, as Redis spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Set(_) => "SET",
            Self::Del(_) => "DEL",
        }
    }

    /// Bytes of all keys and values. The empty key counts for one, so that no operation counts for
    /// nothing, and so does asking for the value before.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Set(Set { key, value, get, .. }) => {
                keys::counted(key) + value.len() + usize::from(*get)
            }
            Self::Del(Del { keys }) => keys.key_bytes(),
        }
    }

    /// How many bytes its answer may take within `limits`, beside what every answer does: those of
    /// the value before, where it is asked for. One that was set under wider limits may be longer.
    pub fn answer_bytes(&self, limits: &Limits) -> usize {
        match self {
            Self::Set(set) if set.get => limits.max_value_bytes,
            Self::Set(_) | Self::Del(_) => 0,
        }
    }

    /// The least version of an entry that may hold it, and so the least that a node must read to
    /// apply it: 3 for a SET with a condition, 2 for the empty key and for `SET ... GET`, 1 for everything
    /// else.
    pub fn format(&self) -> u32 {
        match self {
            Self::Set(Set { key, get, how, .. }) => {
                if *get || key.is_empty() {
                    how.format().max(2)
                } else {
                    how.format()
                }
            }
            Self::Del(Del { keys }) if keys.holds_empty() => 2,
            Self::Del(_) => 1,
        }
    }

    /// For the codec, which has made sure that the key isn't beyond [`MAX_KEY_BYTES`].
    pub(crate) fn decoded_set(key: Bytes, value: Bytes, get: bool, how: How) -> Self {
        Self::Set(Set { key, value, get, how })
    }

    /// For the codec, which has made sure of the same for each key, and that there is one.
    pub(crate) fn decoded_del(keys: Keys) -> Self {
        Self::Del(Del { keys })
    }
}

fn check_key(key: &[u8], limits: &Limits) -> Result<(), LimitError> {
    let max = limits.max_key_bytes.min(MAX_KEY_BYTES);
    if key.len() > max {
        return Err(LimitError::KeyTooLong { got: key.len(), max });
    }
    Ok(())
}

/// What one operation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Answers SET: the key is bound to the value.
    Set {
        /// The value that was replaced; `None` if the key did not exist, or the operation did not
        /// ask ([`Operation::set_get`]). It may share memory with other responses: copy it to keep
        /// it.
        previous: Option<Bytes>,
    },
    /// Answers SET: its condition didn't hold, and nothing was changed.
    NotSet {
        /// The value that the key keeps, as in [`Set`](Response::Set).
        previous: Option<Bytes>,
    },
    /// Answers DEL.
    Del {
        /// How many of the keys existed and are gone now.
        deleted: u64,
    },
}

/// What applying one log entry gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryResponse {
    /// A blank entry does nothing.
    Blank,
    /// A membership entry was stored.
    Membership,
    /// One response for each operation of the batch, in its order.
    Batch(Vec<Response>),
}

/// An operation beyond the limits. Nothing was proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// See [`Limits::max_key_bytes`].
    #[error("key has {got} bytes: at most {max} are allowed (max_key_bytes)")]
    KeyTooLong {
        /// Bytes in the key.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// See [`Limits::max_value_bytes`].
    #[error("value has {got} bytes: at most {max} are allowed (max_value_bytes)")]
    ValueTooLong {
        /// Bytes in the value.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// DEL needs something to delete.
    #[error("DEL without a key: at least 1 is needed")]
    NoKey,
    /// See [`Limits::max_del_keys`].
    #[error("DEL with {got} keys: at most {max} are allowed (max_del_keys)")]
    TooManyKeys {
        /// Keys named.
        got: usize,
        /// Keys allowed.
        max: usize,
    },
}
