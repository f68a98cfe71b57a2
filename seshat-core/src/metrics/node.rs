//! What a node records, whatever it is built on.

use std::time::Duration;

use super::names::{
    APPLY_DURATION, COMMIT_DURATION, ELECTIONS, HEARTBEAT_LATE, LEADER_CHANGES, Metric, PROPOSALS,
    PROPOSALS_FAILED, PROPOSE_WAIT, READ_INDEX_DURATION, READ_INDEX_FAILED, SNAPSHOT_BUILD_BYTES,
    SNAPSHOT_BUILD_SECONDS, SNAPSHOT_RESTORE_SECONDS, SNAPSHOT_SENDS,
};
use super::{Counter, Gauge, Histogram, Level, Of, PEER, Pause, Stopwatch, THE_GROUP};

fn counter(metric: &Metric) -> Counter {
    Counter::of(metric, &[THE_GROUP])
}

fn histogram(metric: &Metric) -> Histogram {
    Histogram::of(metric, &[THE_GROUP])
}

/// Why a proposal has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Limit,
    NotLeader,
    QuorumLost,
    QueueFull,
    Format,
    DiskFull,
    Deposed,
    NoQuorum,
    Stopped,
    Unanswered,
    /// Whoever asked went away.
    GivenUp,
}

impl Reason {
    const ALL: [Self; 11] = [
        Self::Limit,
        Self::NotLeader,
        Self::QuorumLost,
        Self::QueueFull,
        Self::Format,
        Self::DiskFull,
        Self::Deposed,
        Self::NoQuorum,
        Self::Stopped,
        Self::Unanswered,
        Self::GivenUp,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::NotLeader => "not_leader",
            Self::QuorumLost => "quorum_lost",
            Self::QueueFull => "queue_full",
            Self::Format => "format",
            Self::DiskFull => "disk_full",
            Self::Deposed => "deposed",
            Self::NoQuorum => "no_quorum",
            Self::Stopped => "stopped",
            Self::Unanswered => "unanswered",
            Self::GivenUp => "given_up",
        }
    }

    /// Whether nothing was proposed.
    fn refuses(self) -> bool {
        match self {
            Self::Limit
            | Self::NotLeader
            | Self::QuorumLost
            | Self::QueueFull
            | Self::Format
            | Self::DiskFull => true,
            Self::Deposed | Self::NoQuorum | Self::Stopped | Self::Unanswered | Self::GivenUp => {
                false
            }
        }
    }
}

/// Operations, from when they are proposed, and the entries that they are in.
pub(crate) struct Proposals {
    pending: Level,
    applied: Counter,
    refused: Counter,
    unknown: Counter,
    failed: [Counter; Reason::ALL.len()],
    wait: Histogram,
    commit: Histogram,
}

impl Proposals {
    pub(crate) fn new() -> Self {
        let ended = |outcome: &str| Counter::of(&PROPOSALS, &[THE_GROUP, ("outcome", &outcome)]);
        let failed = |reason: Reason| {
            Counter::of(&PROPOSALS_FAILED, &[THE_GROUP, ("reason", &reason.word())])
        };
        Self {
            pending: Level::default(),
            applied: ended("applied"),
            refused: ended("refused"),
            unknown: ended("unknown"),
            failed: Reason::ALL.map(failed),
            wait: histogram(&PROPOSE_WAIT),
            commit: histogram(&COMMIT_DURATION),
        }
    }

    /// An operation is proposed.
    pub(crate) fn begins(&self) -> Pending<'_> {
        self.pending.rise();
        Pending(Of::new(self))
    }

    /// How many wait for their end.
    #[cfg(feature = "metrics")]
    pub(crate) fn pending(&self) -> usize {
        self.pending.now()
    }

    fn fails(&self, reason: Reason) {
        self.pending.fall();
        if reason.refuses() { &self.refused } else { &self.unknown }.add(1);
        if let Some(failed) = self.failed.get(reason as usize) {
            failed.add(1);
        }
    }

    /// The first operation of an entry waited so long for its turn, in seconds.
    pub(crate) fn waited(&self, seconds: impl FnOnce() -> f64) {
        self.wait.record(seconds);
    }

    /// An entry is proposed.
    pub(crate) fn entry(&self) -> Timer {
        Timer { histogram: self.commit.clone(), since: Stopwatch::start() }
    }
}

/// A proposal that waits. Dropped before its end, it is given up.
pub(crate) struct Pending<'a>(Of<'a, Proposals>);

impl Pending<'_> {
    /// Its end, which is passed through.
    pub(crate) fn ends<T, E>(
        self,
        end: Result<T, E>,
        reason: impl FnOnce(&E) -> Reason,
    ) -> Result<T, E> {
        self.0.with(|proposals| match &end {
            Ok(_) => {
                proposals.pending.fall();
                proposals.applied.add(1);
            }
            Err(error) => proposals.fails(reason(error)),
        });
        std::mem::forget(self);
        end
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.with(|proposals| proposals.fails(Reason::GivenUp));
    }
}

/// Something that is timed, and where that goes.
#[derive(Debug)]
pub(crate) struct Timer {
    histogram: Histogram,
    since: Stopwatch,
}

impl Timer {
    pub(crate) fn record(&self) {
        self.histogram.record(|| self.since.seconds());
    }
}

/// The state machine's work.
#[derive(Debug)]
pub(crate) struct Machine {
    apply: Histogram,
    build: Histogram,
    bytes: Gauge,
    restore: Gauge,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let [bytes, restore] = [SNAPSHOT_BUILD_BYTES, SNAPSHOT_RESTORE_SECONDS]
            .map(|metric| Gauge::of(&metric, &[THE_GROUP]));
        let (apply, build) = (histogram(&APPLY_DURATION), histogram(&SNAPSHOT_BUILD_SECONDS));
        Self { apply, build, bytes, restore }
    }

    pub(crate) fn applied(&self, since: Stopwatch) {
        self.apply.record(|| since.seconds());
    }

    /// A snapshot of so many bytes is built.
    pub(crate) fn built(&self, since: Stopwatch, bytes: usize) {
        self.build.record(|| since.seconds());
        self.bytes.set(bytes as f64);
    }

    /// One from elsewhere is installed.
    pub(crate) fn installed(&self, since: Stopwatch, bytes: usize) {
        self.restore.set(since.seconds());
        self.bytes.set(bytes as f64);
    }
}

/// Rounds in which a node confirms that it leads.
pub(crate) struct Reads {
    duration: Histogram,
    failed: Counter,
}

impl Reads {
    pub(crate) fn new() -> Self {
        Self { duration: histogram(&READ_INDEX_DURATION), failed: counter(&READ_INDEX_FAILED) }
    }

    pub(crate) fn begins(&self) -> Round<'_> {
        Round { reads: Of::new(self), since: Stopwatch::start() }
    }
}

/// A round under way. Dropped before its end, it has failed.
pub(crate) struct Round<'a> {
    reads: Of<'a, Reads>,
    since: Stopwatch,
}

impl Round<'_> {
    pub(crate) fn confirms(self) {
        let since = self.since;
        self.reads.with(|reads| reads.duration.record(|| since.seconds()));
        std::mem::forget(self);
    }

    /// Another node leads, or none: there was nothing to confirm.
    pub(crate) fn elsewhere(self) {
        std::mem::forget(self);
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.reads.with(|reads| reads.failed.add(1));
    }
}

/// Who leads, as a node learns of it.
pub(crate) struct Leaderships {
    changes: Counter,
    elections: Counter,
}

impl Leaderships {
    pub(crate) fn new() -> Self {
        // A rate has to have where to begin, before anything is sent.
        drop(counter(&HEARTBEAT_LATE));
        Self { changes: counter(&LEADER_CHANGES), elections: counter(&ELECTIONS) }
    }

    /// Another node leads than before.
    pub(crate) fn change(&self) {
        self.changes.add(1);
    }

    /// The node stood for an election.
    pub(crate) fn stands(&self) {
        self.elections.add(1);
    }
}

/// What a leader sends to one other node.
pub(crate) struct Follower {
    done: Counter,
    failed: Counter,
    late: Counter,
    heartbeat: Duration,
    /// Since it answered last.
    pause: Pause,
}

impl Follower {
    pub(crate) fn new(peer: u64, heartbeat: Duration) -> Self {
        let sends = |outcome: &str| {
            Counter::of(&SNAPSHOT_SENDS, &[THE_GROUP, ("outcome", &outcome), (PEER, &peer)])
        };
        let (done, failed, late) = (sends("done"), sends("failed"), counter(&HEARTBEAT_LATE));
        Self { done, failed, late, heartbeat, pause: Pause::default() }
    }

    /// A snapshot was sent to it, or was not.
    pub(crate) fn sent(&mut self, done: bool) {
        if done { &self.done } else { &self.failed }.add(1);
        // Others told it meanwhile that the leader lives.
        self.pause = Pause::default();
    }

    /// Something goes out that tells it that the leader of that term lives. What it takes to answer is its own
    /// affair, and the network's.
    pub(crate) fn goes_out(&mut self, term: u64) {
        if self.pause.end(term).is_some_and(|pause| pause > 2 * self.heartbeat) {
            self.late.add(1);
        }
    }

    pub(crate) fn answers(&mut self, term: u64) {
        self.pause.begin(term);
    }
}
