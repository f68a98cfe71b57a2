//! raft-engine: a write returns when it is synced, and takes those along that other threads began meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::encoded;
use crate::commits::{Load, Log};

const GROUP: u64 = 1;

/// Its index, in the first 8 bytes, and an entry.
struct Indexed;

impl MessageExt for Indexed {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk().map_or(0, |index| u64::from_le_bytes(*index))
    }
}

type Commit = Vec<BytesValue>;

/// See the [module](self).
pub(crate) struct RaftEngine {
    engine: Arc<Engine>,
    /// One for each commit that is outstanding beside the first, in groups of their own: a group's commits
    /// come one after the other.
    others: Vec<Sender<Commit>>,
    done: (Sender<()>, Receiver<()>),
    next: u64,
}

impl RaftEngine {
    pub(crate) fn new(dir: &Path) -> Self {
        let config = Config {
            dir: dir.join("raft-engine").to_string_lossy().into_owned(),
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        };
        let engine = Arc::new(Engine::open(config).expect("an engine"));
        Self { engine, others: Vec::new(), done: channel(), next: 0 }
    }

    fn grow(&mut self, to: usize) {
        for group in self.others.len() as u64 + 1..to as u64 {
            let (sender, commits) = channel::<Commit>();
            let (engine, done) = (Arc::clone(&self.engine), self.done.0.clone());
            thread::spawn(move || {
                for entries in commits {
                    commit(&engine, GROUP + group, &entries);
                    if done.send(()).is_err() {
                        return;
                    }
                }
            });
            self.others.push(sender);
        }
    }
}

fn commit(engine: &Engine, group: u64, entries: &[BytesValue]) {
    let mut batch = LogBatch::with_capacity(1);
    batch.add_entries::<Indexed>(group, entries).expect("entries");
    engine.write(&mut batch, true).expect("a commit");
}

fn message(index: u64, entry: &[u8]) -> BytesValue {
    let mut message = BytesValue::new();
    message.value = [&index.to_le_bytes(), entry].concat();
    message
}

impl Log for RaftEngine {
    fn commits(&mut self, load: Load, times: u64) -> Duration {
        self.grow(load.outstanding as usize);
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            // In its group, an entry comes right behind the one before.
            let message =
                |(index, entry): (u64, Vec<u8>)| message(index / load.outstanding, &entry);
            let commits = encoded(load, &mut self.next).into_iter();
            let mut commits: Vec<Commit> =
                commits.map(|batch| batch.into_iter().map(message).collect()).collect();
            let started = Instant::now();
            let first = commits.pop().expect("one at least");
            let others = commits.len();
            for (entries, other) in commits.into_iter().zip(&self.others) {
                other.send(entries).expect("its thread");
            }
            commit(&self.engine, GROUP, &first);
            (0..others).for_each(|_| self.done.1.recv().expect("their threads"));
            taken += started.elapsed();
        }
        for group in 0..load.outstanding {
            self.engine.compact_to(GROUP + group, self.next / load.outstanding);
        }
        self.engine.purge_expired_files().expect("a purge");
        taken
    }
}
