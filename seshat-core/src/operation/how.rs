//! [`How`]: what SET does with its key.

use crate::codec::OLDEST_FORMAT;
use crate::condition::Condition;

/// Three ways in every version. Feature `next` adds two, for tests of upgrades: one that is a kind of
/// operation of its own on the wire, and one that is a field of SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Binds it to the value, whatever was there before.
    Replace,
    /// The same, where the condition holds.
    If(Condition),
    /// Adds the value before what is there.
    #[cfg(feature = "next")]
    Prepend,
    /// Adds the value behind what is there.
    #[cfg(feature = "next")]
    Append,
}

impl From<Option<Condition>> for How {
    fn from(condition: Option<Condition>) -> Self {
        condition.map_or(Self::Replace, Self::If)
    }
}

impl How {
    pub(super) fn condition(self) -> Option<Condition> {
        match self {
            Self::If(condition) => Some(condition),
            _ => None,
        }
    }

    /// The least version of an entry that may hold it.
    pub(super) fn format(self) -> u32 {
        match self {
            Self::Replace => OLDEST_FORMAT,
            Self::If(_) => 3,
            #[cfg(feature = "next")]
            Self::Prepend | Self::Append => crate::codec::NEXT_FORMAT,
        }
    }
}
