//! [`With`] and [`ByDirectory`]: what a back end has beside the two halves of a store.
//!
//! The first is as old as the open store, and goes when it goes. The second is as old as the
//! directory, and outlives restarts.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "storage-v2")]
pub use self::with::With;

/// Something for each directory, made when it is first asked for: a disk in memory, or what a
/// [`Hook`](super::Hook) reaches a store by. Clones are the same; what is kept of a directory that
/// was removed is forgotten.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
/// use seshat_conformance::backend::{ByDirectory, Hook, Hooks};
///
/// /// Whether the disk is full.
/// #[derive(Clone, Default)]
/// struct Full(Arc<AtomicBool>);
///
/// // A field of the back end: `open` gives the store `disks.of(dir)`, and the hook finds the same.
/// let disks = ByDirectory::<Full>::default();
/// let hooks = Hooks {
///     refuse_writes: Hook::new(move |dir, refuse| {
///         disks.of(dir).0.store(refuse, Ordering::Relaxed);
///         Ok(())
///     }),
///     ..Hooks::default()
/// };
/// ```
pub struct ByDirectory<T>(Arc<Mutex<HashMap<PathBuf, T>>>);

impl<T: Clone + Default> ByDirectory<T> {
    /// What is kept of `dir`, which exists.
    pub fn of(&self, dir: &Path) -> T {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|dir, _| dir.exists());
        kept.entry(dir.to_owned()).or_default().clone()
    }
}

impl<T> Clone for ByDirectory<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for ByDirectory<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> fmt::Debug for ByDirectory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByDirectory")
    }
}

// Without `storage-v2` openraft lets nobody implement the trait; there its `Adaptor` has the store.
#[cfg(feature = "storage-v2")]
mod with {
    use openraft::storage::RaftStateMachine;
    use openraft::{
        LogId, OptionalSend, RaftTypeConfig, Snapshot, SnapshotMeta, StorageError, StoredMembership,
    };

    type Error<C> = StorageError<<C as RaftTypeConfig>::NodeId>;
    type Meta<C> = SnapshotMeta<<C as RaftTypeConfig>::NodeId, <C as RaftTypeConfig>::Node>;
    type Stored<C> = StoredMembership<<C as RaftTypeConfig>::NodeId, <C as RaftTypeConfig>::Node>;
    type Applied<C> = (Option<LogId<<C as RaftTypeConfig>::NodeId>>, Stored<C>);

    /// A state machine, and a handle that was made when it was opened: a database, an `Arc`, a
    /// client, through which alone its contents are reached. It is the machine in all that openraft
    /// asks; [`digest`](crate::Backend::digest) and [`close`](crate::Backend::close) get both.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use seshat_conformance::backend::*;
    /// # use seshat_conformance::reference::{self, *};
    /// # struct Db;
    /// # impl Db { fn dump(&self) -> Vec<u8> { Vec::new() } async fn stop(self) {} }
    /// # struct MyBackend { logs: ReferenceLogs<TypeConfig>, machines: ReferenceMachines<TypeConfig> }
    /// impl Backend for MyBackend {
    ///     type Machine = With<ReferenceMachine<TypeConfig>, Db>;
    ///
    ///     async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
    ///         let (db, log, machine) = // yours
    /// #           (Db, self.logs.open(dir)?, self.machines.open(dir)?);
    ///         Ok((log, With { machine, handle: db }))
    ///     }
    ///     async fn digest(&self, with: &mut Self::Machine) -> Option<Vec<u8>> {
    ///         Some(with.handle.dump())
    ///     }
    ///     async fn close(&self, _: &Path, log: Self::Log, with: Self::Machine) -> Result<(), BoxError> {
    ///         drop((log, with.machine));
    ///         Ok(with.handle.stop().await)
    ///     }
    /// #   type C = TypeConfig;
    /// #   type Log = ReferenceLog<TypeConfig>;
    /// #   type Transfer = Chunks;
    /// #   type Suite = OpenraftSuite;
    /// #   fn command(&self, command: &Command) -> Option<Request> { reference::command(command) }
    /// #   fn fingerprint(&self, entry: &openraft::Entry<TypeConfig>) -> Vec<u8> { reference::fingerprint(entry) }
    /// #   fn node_id(&self, n: u64) -> u64 { n }
    ///     // and the rest
    /// }
    /// ```
    #[derive(Debug, Clone)]
    pub struct With<M, H> {
        /// The state machine.
        pub machine: M,
        /// What `open` made beside it. Dropped after it.
        pub handle: H,
    }

    impl<C, M, H> RaftStateMachine<C> for With<M, H>
    where
        C: RaftTypeConfig,
        M: RaftStateMachine<C>,
        H: Send + Sync + 'static,
    {
        type SnapshotBuilder = M::SnapshotBuilder;

        async fn applied_state(&mut self) -> Result<Applied<C>, Error<C>> {
            self.machine.applied_state().await
        }

        async fn apply<I>(&mut self, entries: I) -> Result<Vec<C::R>, Error<C>>
        where
            I: IntoIterator<Item = C::Entry> + OptionalSend,
            I::IntoIter: OptionalSend,
        {
            self.machine.apply(entries).await
        }

        async fn get_snapshot_builder(&mut self) -> M::SnapshotBuilder {
            self.machine.get_snapshot_builder().await
        }

        async fn begin_receiving_snapshot(&mut self) -> Result<Box<C::SnapshotData>, Error<C>> {
            self.machine.begin_receiving_snapshot().await
        }

        async fn install_snapshot(
            &mut self,
            meta: &Meta<C>,
            snapshot: Box<C::SnapshotData>,
        ) -> Result<(), Error<C>> {
            self.machine.install_snapshot(meta, snapshot).await
        }

        async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<C>>, Error<C>> {
            self.machine.get_current_snapshot().await
        }
    }
}
