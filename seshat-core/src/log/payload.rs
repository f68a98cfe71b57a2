//! What an entry holds, in a quarter of the memory that openraft's type takes for it.
//!
//! An [`EntryPayload`] is as large as the largest that there is, a membership, of which a log has
//! few. To touch new memory is most of what it costs to append, so what the log keeps is small.

use crate::operation::Batch;
use crate::types::{EntryPayload, Membership};

/// Two words.
#[derive(Debug)]
pub(super) enum Payload {
    Blank,
    Normal(Batch),
    Membership(Box<Membership>),
}

impl Payload {
    pub(super) fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Normal(batch) => Some(batch),
            Self::Blank | Self::Membership(_) => None,
        }
    }

    #[inline]
    pub(super) fn to_entry(&self) -> EntryPayload {
        match self {
            Self::Blank => EntryPayload::Blank,
            Self::Normal(batch) => EntryPayload::Normal(batch.clone()),
            Self::Membership(membership) => EntryPayload::Membership((**membership).clone()),
        }
    }
}

impl From<EntryPayload> for Payload {
    fn from(payload: EntryPayload) -> Self {
        match payload {
            EntryPayload::Blank => Self::Blank,
            EntryPayload::Normal(batch) => Self::Normal(batch),
            EntryPayload::Membership(membership) => Self::Membership(Box::new(membership)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_small() {
        assert_eq!(size_of::<Payload>(), 2 * size_of::<usize>());
    }
}
