//! The log as a journal: a line for each call that changes it, read again at opening.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{LogFlushed, LogState, RaftLogReader, RaftLogStorage};
use seshat_conformance::backend::BoxError;
use seshat_conformance::openraft;
use tokio::sync::Mutex;

use super::super::wire::Wire;
use super::{Disk, Entry, Error, LogId, Name, Texts, failed};

type Vote = openraft::Vote<Name>;

/// A line of the journal that the log is kept in.
enum Line {
    Vote(Vote),
    Entry(Entry),
    Truncate(u64),
    Purge(LogId),
}

impl Wire for Line {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Vote(vote) => {
                let leader = (vote.leader_id.term, vote.leader_id.node_id);
                (b'V', (leader, u8::from(vote.committed))).put(out);
            }
            Self::Entry(entry) => {
                out.push(b'E');
                entry.put(out);
            }
            Self::Truncate(index) => (b'T', *index).put(out),
            Self::Purge(upto) => (b'P', *upto).put(out),
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(from)? {
            b'V' => {
                let ((term, node), committed) = <((u64, Name), u8)>::take(from)?;
                let mut vote = Vote::new(term, node);
                vote.committed = committed == 1;
                Self::Vote(vote)
            }
            b'E' => Self::Entry(Entry::take(from)?),
            b'T' => Self::Truncate(u64::take(from)?),
            b'P' => Self::Purge(LogId::take(from)?),
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
pub struct Memory {
    journal: Option<File>,
    /// What a store that buffers in its process has not handed to the file yet.
    buffer: Option<Vec<u8>>,
    disk: Disk,
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

impl Memory {
    pub fn open(path: &Path, buffers: bool, disk: Disk) -> Result<Self, BoxError> {
        let mut memory = Self::default();
        memory.buffer = buffers.then(Vec::new);
        memory.disk = disk;
        let mut bytes = Vec::new();
        let mut journal = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        journal.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            memory.take_in(Line::take(&mut rest).ok_or("the journal is damaged")?);
        }
        memory.journal = Some(journal);
        Ok(memory)
    }

    fn take_in(&mut self, line: Line) {
        match line {
            Line::Vote(vote) => self.vote = Some(vote),
            Line::Entry(entry) => {
                self.entries.insert(entry.log_id.index, entry);
            }
            Line::Truncate(index) => {
                self.entries.split_off(&index);
            }
            Line::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
        }
    }

    fn write(&mut self, lines: Vec<Line>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| line.put(&mut bytes));
        match (&mut self.buffer, &mut self.journal) {
            (Some(buffer), _) => buffer.extend(bytes),
            (None, journal) => {
                let journal = journal.as_mut().expect("an open log has a journal");
                journal.write_all(&bytes).map_err(failed)?;
            }
        }
        self.disk.wait(self.disk.sync);
        lines.into_iter().for_each(|line| self.take_in(line));
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let (Some(journal), Some(buffer)) = (&mut self.journal, &self.buffer) {
            journal.write_all(buffer).unwrap();
        }
    }
}

/// The log store, and its readers: all the same.
#[derive(Debug, Clone)]
pub struct Log(pub Arc<Mutex<Memory>>);

impl RaftLogReader<Texts> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let memory = self.0.lock().await;
        let there = memory.entries.iter().filter(|(index, _)| range.contains(*index));
        Ok(there.map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Texts> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Texts>, Error> {
        let memory = self.0.lock().await;
        let last = memory.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: last.or(memory.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), Error> {
        self.0.lock().await.write(vec![Line::Vote(*vote)])
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, Error> {
        Ok(self.0.lock().await.vote)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Texts>) -> Result<(), Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let lines = entries.into_iter().map(Line::Entry).collect();
        let mut memory = self.0.lock().await;
        if memory.disk.hangs {
            std::future::pending::<()>().await;
        }
        memory.write(lines)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), Error> {
        self.0.lock().await.write(vec![Line::Truncate(log_id.index)])
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), Error> {
        self.0.lock().await.write(vec![Line::Purge(log_id)])
    }
}
