//! [`How`]: what SET does with its key.

/// One way in every version. Feature `next` adds two, for tests of upgrades: one that is a kind of
/// operation of its own on the wire, and one that is a field of SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Binds it to the value, whatever was there before.
    Replace,
    /// Leaves what is there.
    #[cfg(feature = "next")]
    IfAbsent,
    /// Adds the value to what is there.
    #[cfg(feature = "next")]
    Append,
}

impl How {
    /// The least version of an entry that may hold it.
    pub(super) fn format(self) -> u32 {
        match self {
            Self::Replace => crate::codec::OLDEST_FORMAT,
            #[cfg(feature = "next")]
            Self::IfAbsent | Self::Append => crate::codec::NEXT_FORMAT,
        }
    }
}
