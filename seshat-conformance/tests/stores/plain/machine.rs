//! The state machine: a list of texts in memory, and its last snapshot in a file.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, Membership, OptionalSend};
use seshat_conformance::backend::BoxError;
use seshat_conformance::openraft;
use tokio::sync::Mutex;

use super::super::wire::{self, Wire};
use super::{Disk, Entry, Error, LogId, Name, Texts, failed};

type Stored = openraft::StoredMembership<Name, ()>;
type Meta = openraft::SnapshotMeta<Name, ()>;

/// What the texts add up to.
#[derive(Debug, Clone, Default)]
struct State {
    applied: Option<LogId>,
    membership: Stored,
    texts: Vec<String>,
}

impl State {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.applied.put(&mut out);
        self.membership.log_id().put(&mut out);
        self.membership.membership().put(&mut out);
        (self.texts.len() as u64).put(&mut out);
        self.texts.iter().for_each(|text| text.put(&mut out));
        wire::sum(&out).put(&mut out);
        out
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut body, mut sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        if u64::take(&mut sum) != Some(wire::sum(body)) {
            return None;
        }
        let applied: Option<LogId> = Wire::take(&mut body)?;
        let id: Option<LogId> = Wire::take(&mut body)?;
        let membership = Stored::new(id, Membership::take(&mut body)?);
        let count = u64::take(&mut body)?;
        let texts: Option<Vec<String>> = (0..count).map(|_| String::take(&mut body)).collect();
        Some(Self { applied, membership, texts: texts? }).filter(|_| body.is_empty())
    }
}

#[derive(Debug)]
pub struct Core {
    path: PathBuf,
    disk: Disk,
    state: State,
    /// The current snapshot's id and bytes.
    current: Option<(String, Vec<u8>)>,
}

impl Core {
    pub fn open(path: PathBuf, disk: Disk) -> Result<Self, BoxError> {
        let Ok(file) = std::fs::read(&path) else {
            return Ok(Self { path, disk, state: State::default(), current: None });
        };
        let mut file = &file[..];
        let id = String::take(&mut file).ok_or("the snapshot is damaged")?;
        let state = State::read(file).ok_or("the snapshot is damaged")?;
        Ok(Self { path, disk, state, current: Some((id, file.to_vec())) })
    }

    fn save(&mut self, id: String, bytes: Vec<u8>) -> Result<(), Error> {
        let mut file = Vec::new();
        id.put(&mut file);
        file.extend(&bytes);
        let new = self.path.with_extension("new");
        std::fs::write(&new, file)
            .and_then(|()| std::fs::rename(new, &self.path))
            .map_err(failed)?;
        self.disk.wait(self.disk.sync);
        self.current = Some((id, bytes));
        Ok(())
    }

    fn current(&self) -> Option<Snapshot<Texts>> {
        let (id, bytes) = self.current.as_ref()?;
        let state = State::read(bytes)?;
        let meta = Meta {
            last_log_id: state.applied,
            last_membership: state.membership,
            snapshot_id: id.clone(),
        };
        Some(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes.clone())) })
    }
}

/// The state machine, and its builders: all the same.
#[derive(Debug, Clone)]
pub struct Machine(pub Arc<Mutex<Core>>);

impl RaftSnapshotBuilder<Texts> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Texts>, Error> {
        let mut core = self.0.lock().await;
        let applied = core.state.applied.unwrap_or_default();
        let bytes = core.state.bytes();
        let id = format!("{applied}-{}", core.state.texts.len());
        core.save(id, bytes)?;
        core.current().ok_or_else(|| failed(std::io::Error::other("no snapshot")))
    }
}

impl RaftStateMachine<Texts> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Stored), Error> {
        let core = self.0.lock().await;
        Ok((core.state.applied, core.state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<String>, Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut core = self.0.lock().await;
        let disk = core.disk;
        let state = &mut core.state;
        let mut replies = Vec::new();
        for entry in entries {
            state.applied = Some(entry.log_id);
            disk.wait(disk.commit);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(text) => state.texts.push(text),
                EntryPayload::Membership(members) => {
                    state.membership = Stored::new(Some(entry.log_id), members);
                }
            }
            replies.push(format!("{} texts", state.texts.len()));
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Error> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Error> {
        let bytes = snapshot.into_inner();
        let bad = || failed(std::io::Error::other("the snapshot is damaged"));
        let state = State::read(&bytes).ok_or_else(bad)?;
        if state.applied != meta.last_log_id || state.membership != meta.last_membership {
            return Err(bad());
        }
        let mut core = self.0.lock().await;
        core.save(meta.snapshot_id.clone(), bytes)?;
        core.state = state;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Texts>>, Error> {
        Ok(self.0.lock().await.current())
    }
}
