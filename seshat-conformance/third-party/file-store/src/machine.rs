//! [`Machine`]: keys and values in memory, rebuilt from the last snapshot, which is a file.

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{
    EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder, Snapshot,
};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::types::{
    Command, Entry, Failed, LogId, Reply, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
    decode, encode,
};

/// All that a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    last_applied: Option<LogId>,
    membership: StoredMembership,
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
}

type Kept = (SnapshotMeta, Vec<u8>);

pub struct Machine {
    state: State,
    /// The current snapshot, which a builder replaces while entries are applied.
    disk: Arc<Disk>,
}

struct Disk {
    path: PathBuf,
    current: Mutex<Option<Kept>>,
}

impl Machine {
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("snapshot");
        let current: Option<Kept> = match durable::settle(&path)? {
            Some(bytes) => Some(decode(durable::unseal(&bytes)?)?),
            None => None,
        };
        let state = match &current {
            Some((meta, bytes)) => restore(meta, bytes)?,
            None => State::default(),
        };
        Ok(Self { state, disk: Arc::new(Disk { path, current: Mutex::new(current) }) })
    }

    pub fn keys(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.state.keys
    }
}

impl Disk {
    // It is replaced in one go, after the file.
    fn current(&self) -> MutexGuard<'_, Option<Kept>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, current: &mut Option<Kept>, snapshot: Kept) -> io::Result<()> {
        durable::replace(&self.path, &durable::seal(&encode(&snapshot)?))?;
        *current = Some(snapshot);
        Ok(())
    }
}

/// The state in a snapshot's bytes, if they are whole and what the meta says.
fn restore(meta: &SnapshotMeta, bytes: &[u8]) -> io::Result<State> {
    let state: State = decode(durable::unseal(bytes)?)?;
    if (state.last_applied, &state.membership) != (meta.last_log_id, &meta.last_membership) {
        return Err(io::Error::other("the snapshot is not what its meta says"));
    }
    Ok(state)
}

fn handle((meta, bytes): &Kept) -> Snapshot<TypeConfig> {
    Snapshot { meta: meta.clone(), snapshot: Box::new(Cursor::new(bytes.clone())) }
}

impl State {
    fn apply(&mut self, entry: Entry) -> Reply {
        self.last_applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Reply::default(),
            EntryPayload::Membership(members) => {
                self.membership = StoredMembership::new(Some(entry.log_id), members);
                Reply::default()
            }
            EntryPayload::Normal(Command::Set { key, value }) => {
                Reply(self.keys.insert(key, value))
            }
            EntryPayload::Normal(Command::Delete { key }) => Reply(self.keys.remove(&key)),
        }
    }

    fn snapshot(&self) -> io::Result<Kept> {
        let bytes = durable::seal(&encode(self)?);
        let last = self.last_applied.map_or(String::new(), |id| id.to_string());
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{last}-{}", crc32fast::hash(&bytes)),
        };
        Ok((meta, bytes))
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.state.last_applied, self.state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(entries.into_iter().map(|entry| self.state.apply(entry)).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { state: self.state.clone(), disk: Arc::clone(&self.disk) }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let subject = || ErrorSubject::Snapshot(Some(meta.signature()));
        let bytes = snapshot.into_inner();
        let state = restore(meta, &bytes).when(ErrorVerb::Read, subject())?;
        let kept = self.disk.keep(&mut self.disk.current(), (meta.clone(), bytes));
        kept.when(ErrorVerb::Write, subject())?;
        self.state = state;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        Ok(self.disk.current().as_ref().map(handle))
    }
}

/// Has a copy of the state.
pub struct Builder {
    state: State,
    disk: Arc<Disk>,
}

impl Builder {
    fn build(&self) -> io::Result<Kept> {
        let built = self.state.snapshot()?;
        let mut current = self.disk.current();
        // A newer one may have been installed in the meantime.
        let newest = current.as_ref().and_then(|(meta, _)| meta.last_log_id);
        if newest <= built.0.last_log_id {
            self.disk.keep(&mut current, built.clone())?;
        }
        Ok(built)
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let built = self.build().when(ErrorVerb::Write, ErrorSubject::Snapshot(None))?;
        Ok(handle(&built))
    }
}
