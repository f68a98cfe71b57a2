//! [`ReferenceMachine`]: an obviously right state machine.

mod snapshot;

use std::fmt;
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{
    LogId, Membership, OptionalSend, RaftLogId, RaftSnapshotBuilder, RaftTypeConfig, Snapshot,
    SnapshotMeta, StorageError, StorageIOError, StoredMembership,
};

use self::snapshot::hash;
use super::disk::{Contents, Disk, Disks, fresh};

/// What it can be built on: snapshots that are vectors.
pub trait MachineConfig: RaftTypeConfig<SnapshotData = Cursor<Vec<u8>>> {}
impl<C: RaftTypeConfig<SnapshotData = Cursor<Vec<u8>>>> MachineConfig for C {}

type StoreError<C> = StorageError<<C as RaftTypeConfig>::NodeId>;
type Meta<C> = SnapshotMeta<<C as RaftTypeConfig>::NodeId, <C as RaftTypeConfig>::Node>;
type Stored<C> = StoredMembership<<C as RaftTypeConfig>::NodeId, <C as RaftTypeConfig>::Node>;
type Applied<C> = (Option<LogId<<C as RaftTypeConfig>::NodeId>>, Stored<C>);

/// What the machine asks the author about an entry.
struct Author<C: MachineConfig> {
    fingerprint: Answer<C, Vec<u8>>,
    reply: Answer<C, C::R>,
}

type Answer<C, T> = Box<dyn Fn(&<C as RaftTypeConfig>::Entry) -> T + Send + Sync>;

/// The reference state machines of a back end, one for each directory.
pub struct ReferenceMachines<C: MachineConfig> {
    disks: Disks<Machine<C>>,
    author: Arc<Author<C>>,
}

impl Default for ReferenceMachines<super::TypeConfig> {
    fn default() -> Self {
        Self::new(super::fingerprint, |_| super::Reply)
    }
}

impl<C: MachineConfig> fmt::Debug for ReferenceMachines<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceMachines")
    }
}

impl<C: MachineConfig> ReferenceMachines<C> {
    /// `fingerprint` is that of the [`Backend`](crate::Backend), `reply` what applying an entry
    /// replies.
    pub fn new(
        fingerprint: impl Fn(&C::Entry) -> Vec<u8> + Send + Sync + 'static,
        reply: impl Fn(&C::Entry) -> C::R + Send + Sync + 'static,
    ) -> Self {
        let author = Author { fingerprint: Box::new(fingerprint), reply: Box::new(reply) };
        Self { disks: Disks::new("reference-machine"), author: Arc::new(author) }
    }

    /// The state machine of `dir`.
    ///
    /// # Errors
    /// The directory can't be read or written, or is of another process.
    pub fn open(&self, dir: &Path) -> io::Result<ReferenceMachine<C>> {
        Ok(ReferenceMachine { disk: self.disks.open(dir)?, author: Arc::clone(&self.author) })
    }
}

/// An obviously right state machine. Its state is a hash of each entry applied, and all of it
/// outlives a restart. Clones are the same one.
pub struct ReferenceMachine<C: MachineConfig> {
    disk: Disk<Machine<C>>,
    author: Arc<Author<C>>,
}

impl<C: MachineConfig> Clone for ReferenceMachine<C> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), author: Arc::clone(&self.author) }
    }
}

impl<C: MachineConfig> fmt::Debug for ReferenceMachine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceMachine")
    }
}

struct Machine<C: MachineConfig> {
    history: Vec<u64>,
    last_applied: Option<LogId<C::NodeId>>,
    membership: Stored<C>,
    current: Option<(Meta<C>, Arc<Vec<u8>>)>,
}

impl<C: MachineConfig> Default for Machine<C> {
    fn default() -> Self {
        Self {
            history: Vec::new(),
            last_applied: None,
            membership: StoredMembership::default(),
            current: None,
        }
    }
}

enum Change<C: MachineConfig> {
    Apply(Vec<Step<C>>),
    Keep(Meta<C>, Arc<Vec<u8>>),
    Install(Meta<C>, Arc<Vec<u8>>, Vec<u64>),
}

/// What an entry does.
struct Step<C: MachineConfig> {
    id: LogId<C::NodeId>,
    members: Option<Membership<C::NodeId, C::Node>>,
    hash: u64,
}

impl<C: MachineConfig> Contents for Machine<C> {
    type Change = Change<C>;

    fn change(&mut self, change: &Change<C>) {
        match change {
            Change::Apply(steps) => steps.iter().for_each(|Step { id, members, hash }| {
                self.history.push(*hash);
                self.last_applied = Some(id.clone());
                if let Some(members) = members {
                    self.membership = StoredMembership::new(Some(id.clone()), members.clone());
                }
            }),
            Change::Keep(meta, bytes) => self.current = Some((meta.clone(), Arc::clone(bytes))),
            Change::Install(meta, bytes, history) => {
                self.history.clone_from(history);
                self.last_applied = meta.last_log_id.clone();
                self.membership = meta.last_membership.clone();
                self.current = Some((meta.clone(), Arc::clone(bytes)));
            }
        }
    }
}

fn handed_out<C: MachineConfig>(meta: Meta<C>, bytes: &Arc<Vec<u8>>) -> Snapshot<C> {
    Snapshot { meta, snapshot: Box::new(Cursor::new(bytes.to_vec())) }
}

impl<C: MachineConfig> ReferenceMachine<C> {
    /// For [`Backend::digest`](crate::Backend::digest): which entries were applied, and in which
    /// order.
    pub fn digest(&self) -> Vec<u8> {
        self.disk.read(|machine| hash(&machine.history)).to_le_bytes().to_vec()
    }
}

impl<C: MachineConfig> RaftStateMachine<C> for ReferenceMachine<C> {
    type SnapshotBuilder = ReferenceBuilder<C>;

    async fn applied_state(&mut self) -> Result<Applied<C>, StoreError<C>> {
        Ok(self.disk.read(|machine| (machine.last_applied.clone(), machine.membership.clone())))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<C::R>, StoreError<C>>
    where
        I: IntoIterator<Item = C::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        use openraft::entry::RaftPayload;

        let step = |entry: C::Entry| {
            let step = Step {
                id: entry.get_log_id().clone(),
                members: entry.get_membership().cloned(),
                hash: hash(&(self.author.fingerprint)(&entry)),
            };
            (step, (self.author.reply)(&entry))
        };
        let (steps, replies): (Vec<_>, Vec<_>) = entries.into_iter().map(step).unzip();
        let applied = self.disk.change(|_| Some(Change::Apply(steps)));
        applied.map_err(|error| StorageIOError::write_state_machine(&error))?;
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> ReferenceBuilder<C> {
        let frozen = self.disk.read(|machine| {
            let meta = SnapshotMeta {
                last_log_id: machine.last_applied.clone(),
                last_membership: machine.membership.clone(),
                snapshot_id: format!("reference-{}", fresh()),
            };
            let bytes = snapshot::write(&meta, &machine.history);
            (meta, Arc::new(bytes))
        });
        ReferenceBuilder { disk: self.disk.clone(), frozen }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StoreError<C>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta<C>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StoreError<C>> {
        let bytes = snapshot.into_inner();
        let history = snapshot::read(meta, &bytes)
            .map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), &error))?;
        let change = Change::Install(meta.clone(), Arc::new(bytes), history);
        let installed = self.disk.change(|_| Some(change));
        installed
            .map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error).into())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<C>>, StoreError<C>> {
        let current = self.disk.read(|machine| machine.current.clone());
        Ok(current.map(|(meta, bytes)| handed_out(meta, &bytes)))
    }
}

/// Holds what the state was when it was made.
pub struct ReferenceBuilder<C: MachineConfig> {
    disk: Disk<Machine<C>>,
    frozen: (Meta<C>, Arc<Vec<u8>>),
}

impl<C: MachineConfig> fmt::Debug for ReferenceBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceBuilder")
    }
}

impl<C: MachineConfig> RaftSnapshotBuilder<C> for ReferenceBuilder<C> {
    async fn build_snapshot(&mut self) -> Result<Snapshot<C>, StoreError<C>> {
        let (meta, bytes) = self.frozen.clone();
        let built = self.disk.change(|machine| {
            // A newer one may have been installed in the meantime.
            let current = machine.current.as_ref().and_then(|(meta, _)| meta.last_log_id.as_ref());
            let newest = current <= meta.last_log_id.as_ref();
            newest.then(|| Change::Keep(meta.clone(), Arc::clone(&bytes)))
        });
        built.map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error))?;
        Ok(handed_out(meta, &bytes))
    }
}
