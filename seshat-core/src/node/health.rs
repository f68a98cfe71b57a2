//! Whether a node lives, and whether it is of use. These are two questions: who ends what isn't alive may ask
//! the first, and who sends clients there the second. A node with a full disk is alive: to end it would only
//! begin the same again.

use std::time::Duration;

use openraft::LogIdOptionExt;
use tokio::time::{Instant, timeout};

use super::RaftNode;
use super::running::running;
use crate::error::{DiskFull, ProposeError, Stopped};
use crate::storage::Levels;
use crate::types::RaftMetrics;

/// Entries that a ready node has yet to apply, at most, of those that it knows to be committed.
pub const MAX_BEHIND: u64 = 5000;

/// How long the node is waited for when it is asked how it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a node is.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Why it will never do anything again; `None`: it is alive.
    pub dead: Option<Dead>,
    /// Why clients are better off elsewhere; none: it is ready.
    pub unready: Vec<Unready>,
}

impl Health {
    /// Whether it runs, and may be of use again by itself. Who isn't is to be started again.
    pub fn is_alive(&self) -> bool {
        self.dead.is_none()
    }

    /// Whether it is of use now: reads here what is committed, and takes writes or knows who does.
    pub fn is_ready(&self) -> bool {
        self.is_alive() && self.unready.is_empty()
    }
}

/// Why a node will never do anything again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Dead {
    /// It stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Its disk failed, and it promises nothing any more.
    #[error(
        "the node's disk failed, and it takes nothing any more: see to the disk and start it again"
    )]
    Poisoned,
}

/// Why a node is of no use now.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unready {
    /// It knows no leader, or hears nothing of the one that it knows.
    #[error("no leader is heard: see whether a majority of the members runs and can be reached")]
    NoLeader,
    /// It leads, and a quorum is silent.
    #[error(
        "the node leads, and no quorum was heard from for {silent_for:?}: see whether a majority of the members \
         runs and can be reached"
    )]
    QuorumLost {
        /// For how long at least.
        silent_for: Duration,
    },
    /// It has yet to apply what was committed.
    #[error(
        "entry {} is applied of {committed} committed, more than {MAX_BEHIND} behind: wait until it has caught up",
        .applied.map_or_else(|| "none".to_owned(), |index| index.to_string())
    )]
    Behind {
        /// The last entry applied.
        applied: Option<u64>,
        /// The last that is known to be committed.
        committed: u64,
    },
    /// It shuts down.
    #[error("the node shuts down: ask another")]
    Draining,
    /// It has no room.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// It doesn't say how it is: it waits for its disk, or for the processor.
    #[error(
        "the node hasn't answered for {waited:?}: its disk hangs, or the machine is overloaded"
    )]
    Unresponsive {
        /// How long it was waited for.
        waited: Duration,
    },
}

/// What openraft's core says when it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) committed: Option<u64>,
    /// When it last heard from a leader or a candidate that it voted for.
    heard: Option<Instant>,
}

/// All that is known of a node at one moment, within [`PATIENCE`].
pub(super) struct Look {
    pub(super) running: Result<RaftMetrics, Stopped>,
    /// `None` if the core didn't say in time.
    pub(super) told: Option<Told>,
    /// `None` if the storage doesn't know, or didn't say in time.
    pub(super) levels: Option<Levels>,
    pub(super) full: Option<DiskFull>,
    pub(super) leader: Result<(), Unready>,
}

impl Look {
    pub(super) fn poisoned(&self) -> bool {
        let stopped = matches!(self.running, Err(Stopped::Storage(_) | Stopped::Panicked));
        stopped || self.levels.is_some_and(|levels| levels.failed)
    }
}

impl<R> RaftNode<R> {
    /// How the node is. Takes a second at most, however it is. Dropping the future does nothing.
    pub async fn health(&self) -> Health {
        let look = self.look().await;
        let poisoned = look.poisoned();
        let now = match look.running {
            Ok(now) => now,
            Err(stopped) => return Health { dead: Some(stopped.into()), unready: Vec::new() },
        };
        let mut unready: Vec<Unready> = look.full.map(Unready::from).into_iter().collect();
        unready.extend(look.leader.err());
        let applied = now.last_applied.index();
        match look.told {
            None => unready.push(Unready::Unresponsive { waited: PATIENCE }),
            Some(Told { committed: Some(committed), .. })
                if committed >= applied.map_or(0, |applied| applied + 1) + MAX_BEHIND =>
            {
                unready.push(Unready::Behind { applied, committed });
            }
            Some(_) => {}
        }
        if self.inner.shutdown.get().is_some() {
            unready.push(Unready::Draining);
        }
        Health { dead: poisoned.then_some(Dead::Poisoned), unready }
    }

    pub(super) async fn look(&self) -> Look {
        let asked = self.inner.raft.with_raft_state(|state| {
            let committed = state.committed.index();
            Told { committed, heard: state.vote_last_modified() }
        });
        let intake = self.inner.intake.clone();
        let levels = tokio::task::spawn_blocking(move || intake.levels());
        let (told, levels) = tokio::join!(timeout(PATIENCE, asked), timeout(PATIENCE, levels));
        let told = told.ok().and_then(Result::ok);
        let running = running(&mut self.inner.raft.metrics()).map(|now| now.clone());
        let leader = running.as_ref().map_or(Ok(()), |now| self.hears_leader(now, told));
        let levels = levels.ok().and_then(Result::ok).flatten();
        Look { running, told, levels, full: self.inner.intake.refusal(), leader }
    }

    /// Whether there is a leader that is heard, or this is one that hears a quorum.
    fn hears_leader(&self, now: &RaftMetrics, told: Option<Told>) -> Result<(), Unready> {
        if now.state.is_leader() {
            return match self.inner.batcher.refusal() {
                Some(ProposeError::QuorumLost { silent_for }) => {
                    Err(Unready::QuorumLost { silent_for })
                }
                _ => Ok(()),
            };
        }
        // One that was let go of as no member any more has its own vote still.
        let knows = now.current_leader.is_some_and(|leader| leader != now.id);
        // Heartbeats come a tick late at times, and a learner would wait for ever.
        let patience = 2 * self.inner.config.election_timeout_max();
        let silent = told.is_some_and(|told| told.heard.is_none_or(|at| at.elapsed() > patience));
        if knows && !silent { Ok(()) } else { Err(Unready::NoLeader) }
    }
}
