//! Seshat's store with a log store that misbehaves when a vote is saved.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::time::Duration;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
};
use seshat_conformance::embedded::InMemory;
use seshat_conformance::openraft;
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::operation::{Batch, EntryResponse};
use seshat_core::types::{Entry, Node, NodeId, TypeConfig};

/// How it misbehaves, by name.
pub(crate) const STORE: &str = "SESHAT_TEST_STORE";
/// Its list of known failures, with commas.
pub(crate) const KNOWN: &str = "SESHAT_TEST_KNOWN";
/// A file that gets the id of the process that saves a vote.
pub(crate) const PID: &str = "SESHAT_TEST_PID";

pub(crate) struct Faulty {
    inner: InMemory,
    fault: String,
}

impl Faulty {
    /// As the environment says.
    pub(crate) fn from_environment() -> Option<Self> {
        Some(Self { inner: InMemory::default(), fault: std::env::var(STORE).ok()? })
    }
}

impl Backend for Faulty {
    type C = TypeConfig;
    type Log = Log;
    type Machine = MachineStore;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    fn name(&self) -> String {
        format!("a store that does {}", self.fault)
    }

    async fn open(&self, dir: &Path) -> Result<(Log, MachineStore), BoxError> {
        let (inner, machine) = match &*self.fault {
            "forgets" => InMemory::default().open(dir).await?,
            _ => self.inner.open(dir).await?,
        };
        Ok((Log { inner, fault: self.fault.clone() }, machine))
    }

    fn command(&self, command: &Command) -> Option<Batch> {
        if self.fault == "no-command" { None } else { self.inner.command(command) }
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        if self.fault == "useless" { Vec::new() } else { self.inner.fingerprint(entry) }
    }

    fn node_id(&self, n: u64) -> NodeId {
        if self.fault == "one-node" { 1 } else { n }
    }

    fn node(&self, n: u64) -> Node {
        self.inner.node(n)
    }

    fn show_reply(&self, reply: &EntryResponse) -> Option<String> {
        if self.fault == "mute" { None } else { self.inner.show_reply(reply) }
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        assert_ne!(self.fault, "panics-at-reply");
        let expected = self.inner.expected_reply(applied)?;
        Some(if self.fault == "other-words" { format!("reply: {expected}") } else { expected })
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn known_failures(&self) -> Vec<String> {
        let known = std::env::var(KNOWN).unwrap_or_default();
        known.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
    }
}

pub(crate) struct Log {
    inner: LogStore,
    fault: String,
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<NodeId>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.inner.try_get_log_entries(range).await
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = <LogStore as RaftLogStorage<TypeConfig>>::LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<NodeId>> {
        self.inner.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.inner.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError<NodeId>> {
        misbehave(&self.fault).await?;
        self.inner.save_vote(vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError<NodeId>> {
        self.inner.read_vote().await
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.inner.append(entries, callback).await
    }

    async fn truncate(&mut self, id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.inner.truncate(id).await
    }

    async fn purge(&mut self, id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.inner.purge(id).await
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId<NodeId>>,
    ) -> Result<(), StorageError<NodeId>> {
        self.inner.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<NodeId>>, StorageError<NodeId>> {
        self.inner.read_committed().await
    }
}

async fn misbehave(fault: &str) -> Result<(), StorageError<NodeId>> {
    if let Ok(path) = std::env::var(PID) {
        std::fs::write(path, std::process::id().to_string()).unwrap();
    }
    match fault {
        "abort" => {
            eprintln!("what a store says before it goes");
            std::process::abort()
        }
        "exit" => std::process::exit(0),
        "overflow" => drop(overflow(1)),
        "panic" => panic!("a store that panics"),
        "task" => drop(tokio::spawn(async { panic!("a task that panics") }).await),
        "error" => {
            let full = std::io::Error::other("disk full");
            return Err(StorageIOError::write_vote(&full).into());
        }
        "hang" => std::future::pending().await,
        "sleep" => tokio::time::sleep(Duration::from_millis(300)).await,
        "chatter" => println!("a store that prints"),
        _ => {}
    }
    Ok(())
}

/// Deeper than any stack.
#[allow(unconditional_recursion, reason = "that is what it is for")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + frame[3]
}
