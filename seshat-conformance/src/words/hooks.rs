//! [`Hooks`]: what a store that models its own disk lets the kit do to it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::BoxError;

/// Something done to the disk of the store in a directory.
#[derive(Clone)]
pub struct Hook<A = ()>(Arc<Act<A>>);

type Act<A> = dyn Fn(&Path, A) -> Result<(), BoxError> + Send + Sync;

impl<A> Hook<A> {
    /// Does `act` with the store's directory and what the hook is told.
    pub fn new(
        act: impl Fn(&Path, A) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Option<Self> {
        Some(Self(Arc::new(act)))
    }

    pub(crate) fn call(&self, dir: &Path, told: A) -> Result<(), BoxError> {
        (self.0)(dir, told)
    }
}

impl<A> fmt::Debug for Hook<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// What can be done to the store's disk from outside, for a store whose disk is not a directory's
/// [files](super::Capabilities::files): for one in files the kit does all of it by itself, and a hook
/// that is there still wins. A hook is told the directory; what it reaches the store by is kept in a
/// [`ByDirectory`](crate::backend::ByDirectory).
///
/// ```
/// use seshat_conformance::backend::{Hook, Hooks};
///
/// let hooks = Hooks {
///     cut_power: Hook::new(|dir, ()| {
///         // Forget all that was written below `dir` and not synced.
///         Ok(())
///     }),
///     ..Hooks::default()
/// };
/// assert!(hooks.cut_power.is_some());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// The power fails: what was not made durable is gone. Called while the store is open; what
    /// the open handles do from then on must not reach the disk. They are dropped next, without
    /// [`close`](crate::Backend::close), and the directory is opened again.
    pub cut_power: Option<Hook>,
    /// From now on (`true`) every write to the disk fails, as on a full or broken one; until
    /// `false`. Called while the store is open.
    pub refuse_writes: Option<Hook<bool>>,
    /// One byte of the log's newest record changes. Called while the store is closed.
    pub damage_last_record: Option<Hook>,
    /// One byte of the record of the entry at this index changes. Called while the store is
    /// closed, for an index that the log has.
    pub damage_record: Option<Hook<u64>>,
    /// One byte of the current snapshot, as it is stored, changes; what is sent is damaged by the
    /// kit itself, for [`snapshot_checksum`](super::Capabilities::snapshot_checksum). Called while the store is closed, when it has a
    /// snapshot.
    pub damage_snapshot: Option<Hook>,
    /// One byte of the vote's record changes. Called while the store is closed, when a vote was
    /// saved.
    pub damage_vote: Option<Hook>,
    /// One byte of a marker's record changes. Called while the store is closed, when the marker
    /// was written; an error means that the store keeps no such record.
    pub damage_marker: Option<Hook<Marker>>,
}

/// A record of its own that says where something stands. There may be more in later versions:
/// answer with an error to others.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// The id up to which the log is purged.
    Purged,
    /// The committed id.
    Committed,
    /// The last applied id of a state machine that persists what it applies, or the record that
    /// holds it.
    Applied,
    /// What says of the current snapshot where it ends.
    SnapshotMeta,
}
