//! What a store shows, in words that say what it is and no more: ids, votes, memberships, entries.
//!
//! Each holds the store's own value behind it: two are equal if those are, and they read as those
//! do. The kit makes its own through the [`Author`](super::Author), and compares.

use std::any::Any;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;

/// A value of the store's own type.
#[derive(Clone)]
pub(crate) struct Own(Arc<dyn Value>);

trait Value: Any + Debug + Display + Send + Sync {
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: Any + PartialEq + Debug + Display + Send + Sync> Value for T {
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}

impl Own {
    pub(super) fn new<T: Any + PartialEq + Debug + Display + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// `None` if it is of another type.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}

impl Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.0, f)
    }
}

impl Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// Reads as the store's own value does, and is equal where it is.
macro_rules! as_own {
    ($($word:ident)*) => {$(
        impl PartialEq for $word {
            fn eq(&self, other: &Self) -> bool {
                self.own == other.own
            }
        }

        impl Debug for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Debug::fmt(&self.own, f)
            }
        }

        impl Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Display::fmt(&self.own, f)
            }
        }
    )*};
}
as_own!(LogId Vote Membership Named);

/// A log id.
#[derive(Clone)]
pub(crate) struct LogId {
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) own: Own,
}

impl LogId {
    /// Whether it comes before another one of the same log.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        (self.term, self.index) < (other.term, other.index)
    }
}

/// A vote.
#[derive(Clone)]
pub(crate) struct Vote {
    #[cfg_attr(not(feature = "storage-v2"), expect(dead_code, reason = "asked after a power cut"))]
    pub(crate) term: u64,
    pub(crate) own: Own,
}

/// A membership, and the id of the entry that brought it.
#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) own: Own,
}

/// A node's id.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) own: Own,
}

/// What a log store says of its two ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogState {
    pub(crate) purged: Option<LogId>,
    pub(crate) last: Option<LogId>,
}

/// What a snapshot says of itself. It reads as openraft's does.
#[derive(Clone, PartialEq)]
pub(crate) struct Meta {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: Membership,
    pub(crate) id: String,
}

impl Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotMeta")
            .field("last_log_id", &self.last)
            .field("last_membership", &self.membership)
            .field("snapshot_id", &self.id)
            .finish()
    }
}

/// What openraft found when it started on a store.
#[derive(Debug)]
pub(crate) struct Initial {
    pub(crate) vote: Vote,
    pub(crate) committed: Option<LogId>,
    /// The effective one.
    pub(crate) membership: Membership,
    pub(crate) snapshot: Meta,
}

/// An entry of the store's own type.
#[derive(Clone)]
pub(crate) struct Entry(Arc<dyn Placed>);

/// What of an entry can be known without its author.
pub(super) trait Placed: Any + Send + Sync {
    fn id(&self) -> LogId;
    fn index(&self) -> u64;
}

impl Entry {
    pub(super) fn new(entry: impl Placed) -> Self {
        Self(Arc::new(entry))
    }

    pub(crate) fn id(&self) -> LogId {
        self.0.id()
    }

    pub(crate) fn index(&self) -> u64 {
        self.0.index()
    }

    /// `None` if it is of another type.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }

    /// The entry itself, or a copy if others have it, too.
    pub(super) fn take<T: Any + Send + Sync + Clone>(self) -> Option<T> {
        let any: Arc<dyn Any + Send + Sync> = self.0;
        any.downcast::<T>().ok().map(Arc::unwrap_or_clone)
    }
}
