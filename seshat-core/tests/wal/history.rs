//! Histories of a log, the oracle that says what is right after each, and what a crash may leave of them.

use std::collections::HashSet;

use bytes::{BufMut, Bytes};
use seshat_core::codec::{DecodeError, Message};
use seshat_core::proto::v1;
use seshat_core::wal::{Entries, OpenError, Options, Record, Stopped, SubmitError, Wal};

use crate::sim::{Sim, World};

/// Something to do with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// Appends entries of that many bytes each, and waits.
    Append(u32, u32, usize),
    /// The same, without waiting.
    Queue(u32, u32, usize),
    Vote(u32),
    /// Takes back so many entries.
    Truncate(u32, u64),
    /// Purges all but so many entries.
    Purge(u32, u64),
    /// The same, without waiting.
    PurgeLater(u32, u64),
    /// Purges up to so many entries beyond the last.
    PurgeBeyond(u32, u64),
    Committed(u32),
    Snapshot(u32),
    Probation(u32),
    Settle,
    Maintain,
    Read(u32),
    /// Closes, and opens again.
    Close,
    /// Ends the process, and opens again.
    Kill,
}

/// An entry whose bytes tell it from all others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content(pub(crate) Bytes);

impl Message for Content {
    const NAME: &'static str = "Content";

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode_to(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self(bytes))
    }
}

/// What a group has: the oracle's, kept as plainly as can be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Held {
    pub(crate) vote: Option<v1::Vote>,
    pub(crate) committed: Option<v1::LogId>,
    pub(crate) purged: Option<v1::LogId>,
    pub(crate) snapshot: Option<v1::SnapshotPointer>,
    pub(crate) probation: Option<v1::Probation>,
    pub(crate) first: u64,
    pub(crate) entries: Vec<Bytes>,
}

pub(crate) const GROUPS: u32 = 2;

/// What all groups have.
pub(crate) type State = Vec<Held>;

impl Held {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

pub(crate) fn log_id(term: u64, index: u64) -> v1::LogId {
    v1::LogId { term, node_id: 1, index }
}

pub(crate) fn pointer(number: u64) -> v1::SnapshotPointer {
    let last_membership =
        Some(v1::StoredMembership { log_id: None, membership: Some(v1::Membership::default()) });
    let last_log_id = Some(log_id(1, number));
    let snapshot_id = format!("snapshot-{number}");
    let meta = Some(v1::SnapshotMeta { last_log_id, last_membership, snapshot_id });
    v1::SnapshotPointer { meta, file: format!("{number}.snap"), length: number }
}

pub(crate) fn entries(first: u64, contents: &[Bytes]) -> Record {
    let mut entries = Entries::new(first);
    contents.iter().for_each(|content| entries.push(1, &Content(content.clone())));
    Record::Entries(entries)
}

/// Segments of three blocks, so that a turn is never far.
pub(crate) fn options() -> Options {
    Options {
        first_segment_bytes: 0,
        segment_bytes: 0,
        reserve_bytes: 256,
        spares: 1,
        ..Options::new("cluster", 1)
    }
}

/// What a log has, read from it.
pub(crate) fn observe(wal: &Wal<Sim>) -> State {
    let observe = |group: u32| {
        let state = wal.group(group);
        let read = wal.read(group, 0..u64::MAX, u64::MAX).unwrap();
        let first = state.first_index;
        assert!(read.iter().map(|(index, _)| *index).eq(first..state.next_index), "no hole");
        Held {
            vote: state.vote,
            committed: state.committed,
            purged: state.purged,
            snapshot: state.snapshot,
            probation: state.probation,
            first,
            entries: read.into_iter().map(|(_, entry)| entry).collect(),
        }
    };
    (0..GROUPS).map(observe).collect()
}

/// A history under way.
pub(crate) struct Run {
    pub(crate) sim: Sim,
    pub(crate) options: Options,
    /// `None` where it was refused.
    pub(crate) wal: Option<Wal<Sim>>,
    /// After each record, the first before any.
    pub(crate) states: Vec<State>,
    made: u64,
}

/// Why a history goes no further.
#[derive(Debug)]
pub(crate) enum Ended {
    Stopped,
    Full,
    #[expect(dead_code, reason = "shown where a test fails")]
    Refused(OpenError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<SubmitError> for Ended {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Stopped(_) => Self::Stopped,
            SubmitError::DiskFull { .. } => Self::Full,
            other => panic!("{other}"),
        }
    }
}

impl Run {
    /// Opens a log on that disk.
    pub(crate) fn start(sim: Sim, options: Options, states: Vec<State>) -> Result<Self, Ended> {
        let mut run = Self { sim, options, wal: None, states, made: 0 };
        run.open()?;
        Ok(run)
    }

    pub(crate) fn fresh(sim: Sim) -> Result<Self, Ended> {
        Self::start(sim, options(), vec![vec![Held::default(); GROUPS as usize]])
    }

    fn open(&mut self) -> Result<(), Ended> {
        let opened = Wal::open(self.sim.clone(), self.options.clone());
        self.wal = Some(opened.map_err(Ended::Refused)?.0);
        Ok(())
    }

    pub(crate) fn wal(&self) -> &Wal<Sim> {
        self.wal.as_ref().unwrap()
    }

    pub(crate) fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    fn content(&mut self, len: usize) -> Bytes {
        self.made += 1;
        let text = format!("{}.{} ", self.states.len(), self.made);
        text.bytes().cycle().take(len.max(text.len())).collect()
    }

    /// Does all of them; stops at the first that isn't done.
    pub(crate) fn run(&mut self, ops: &[Op]) -> Result<(), Ended> {
        ops.iter().try_for_each(|op| self.step(*op))
    }

    pub(crate) fn step(&mut self, op: Op) -> Result<(), Ended> {
        let number = self.states.len() as u64;
        let held = |run: &Self, group: u32| run.state()[group as usize].clone();
        let (group, record, wait) = match op {
            Op::Append(group, count, len) | Op::Queue(group, count, len) => {
                let contents: Vec<Bytes> = (0..count).map(|_| self.content(len)).collect();
                let record = entries(held(self, group).next(), &contents);
                return self.submit(group, record, matches!(op, Op::Append(..)), |held| {
                    held.entries.extend(contents);
                });
            }
            Op::Vote(group) => {
                let vote = v1::Vote { term: number, node_id: 1, committed: false };
                (group, Record::Vote(vote), true)
            }
            Op::Truncate(group, count) => {
                let held = held(self, group);
                let since = held.next().saturating_sub(count).max(held.first);
                (group, Record::Truncate(since), true)
            }
            Op::Purge(group, left) | Op::PurgeLater(group, left) => {
                let held = held(self, group);
                let Some(upto) = held.next().checked_sub(left + 1) else { return Ok(()) };
                (group, Record::Purge(log_id(1, upto)), matches!(op, Op::Purge(..)))
            }
            Op::PurgeBeyond(group, by) => {
                (group, Record::Purge(log_id(1, held(self, group).next() + by)), true)
            }
            Op::Committed(group) => (group, Record::Committed(Some(log_id(1, number))), false),
            Op::Snapshot(group) => (group, Record::Snapshot(pointer(number)), true),
            Op::Probation(group) => {
                let vote = Some(v1::Vote { term: number, node_id: 2, committed: true });
                let committed = Some(log_id(number, number));
                (group, Record::Probation(v1::Probation { vote, committed }), true)
            }
            Op::Settle => return Ok(self.wal().settle().map(|()| self.ack())?),
            Op::Maintain => return Ok(self.wal().maintain().map(drop)?),
            Op::Read(group) => {
                let read = self.wal().read(group, 0..u64::MAX, u64::MAX);
                let read = read.map_err(|_| Ended::Stopped)?;
                let read: Vec<Bytes> = read.into_iter().map(|(_, entry)| entry).collect();
                assert_eq!(read, held(self, group).entries);
                return Ok(());
            }
            Op::Close => {
                self.wal().close()?;
                self.ack();
                self.wal = None;
                return self.open();
            }
            Op::Kill => {
                self.wal = None;
                // What was never written is gone.
                self.open()?;
                let found = observe(self.wal());
                let (acked, submitted) = { (self.sim.world().acked, self.states.len() - 1) };
                let at = (acked..=submitted).rev().find(|at| self.states[*at] == found);
                self.states.truncate(at.expect("what was there before") + 1);
                self.sim.world().submitted = self.states.len() - 1;
                self.ack();
                return Ok(());
            }
        };
        let change = record.clone();
        self.submit(group, record, wait, |held| match change {
            Record::Vote(vote) => held.vote = Some(vote),
            Record::Committed(log_id) => held.committed = log_id,
            Record::Snapshot(pointer) => held.snapshot = Some(pointer),
            Record::Probation(probation) => held.probation = Some(probation),
            Record::Truncate(since) => held.entries.truncate((since - held.first) as usize),
            Record::Purge(upto) if held.purged.is_none_or(|purged| purged.index < upto.index) => {
                let gone = held.entries.len().min((upto.index + 1 - held.first) as usize);
                held.entries.drain(..gone);
                (held.first, held.purged) = (upto.index + 1, Some(upto));
            }
            Record::Purge(_) => {}
            Record::Entries(_) => unreachable!("made above"),
        })
    }

    fn submit(
        &mut self,
        group: u32,
        record: Record,
        wait: bool,
        change: impl FnOnce(&mut Held),
    ) -> Result<(), Ended> {
        let lsn = self.wal().submit(group, record)?;
        let mut state = self.state().clone();
        change(&mut state[group as usize]);
        self.states.push(state);
        self.sim.world().submitted = self.states.len() - 1;
        if wait {
            self.wal().wait(lsn)?;
            self.ack();
        }
        Ok(())
    }

    /// All that was submitted is durable.
    fn ack(&mut self) {
        self.sim.world().acked = self.states.len() - 1;
    }
}

/// What a log on that disk has, as the place of that among `states`.
pub(crate) fn place(
    wal: &Wal<Sim>,
    states: &[State],
    world: &World,
    before: &World,
) -> Result<usize, String> {
    let found = observe(wal);
    let allowed = world.acked..=world.submitted;
    let at = allowed.clone().rev().find(|at| states.get(*at) == Some(&found));
    at.ok_or_else(|| {
        let known = states.iter().rposition(|state| *state == found);
        format!(
            "found the state after record {known:?}, expected one of {allowed:?}: {found:?}\n{}",
            before.trace.join("\n")
        )
    })
}

/// How far a crash is followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    /// Crashes in a row: each while the log is opened after the one before, and used again.
    pub(crate) crashes: usize,
    /// Whether the first crash tries all that [`World::cuts`] has, or its extremes; those after it do too.
    pub(crate) thorough: bool,
}

/// What was tried.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    seen: HashSet<(usize, u64)>,
    pub(crate) openings: usize,
    /// Moments of which all that a power cut can leave was tried, and others.
    pub(crate) whole: usize,
    pub(crate) sampled: usize,
}

/// Crashes at each of the moments in all ways, and opens the log again.
///
/// # Errors
/// What it has is none of what it may have.
pub(crate) fn crash(
    images: &[World],
    states: &[State],
    depth: Depth,
    tried: &mut Tried,
) -> Result<(), String> {
    for image in images {
        let (mut left, whole) = image.cuts();
        if whole {
            tried.whole += 1
        } else {
            tried.sampled += 1
        }
        if !depth.thorough && left.len() > 5 {
            let step = left.len() / 4;
            left = left.into_iter().step_by(step.max(1)).collect();
        }
        // The cache survives the process.
        left.push(image.killed());
        for world in left {
            if tried.seen.insert((depth.crashes, world.fingerprint())) {
                reopen(&world, states, depth, tried)?;
            }
        }
    }
    Ok(())
}

fn reopen(world: &World, states: &[State], depth: Depth, tried: &mut Tried) -> Result<(), String> {
    tried.openings += 1;
    let sim = Sim::on(world.clone());
    sim.record();
    let refused = |error: &dyn std::fmt::Debug| {
        format!("does not open: {error:?}\n{}", world.trace.join("\n"))
    };
    let opened = Wal::open(sim.clone(), options());
    let wal = opened.map_err(|error| refused(&error))?.0;
    let mut at = place(&wal, states, world, world)?;
    let mut states = states.to_vec();
    // What it reported is a promise.
    sim.world().acked = at;
    if depth.crashes > 1 {
        // And it must go on from there.
        states.truncate(at + 1);
        sim.world().submitted = at;
        let mut run =
            Run { sim: sim.clone(), options: options(), wal: Some(wal), states, made: 1 << 32 };
        run.run(&[Op::Append(0, 1, 40)]).map_err(|error| refused(&error))?;
        states = std::mem::take(&mut run.states);
        at += 1;
        assert_eq!(observe(run.wal()), states[at]);
    }
    let images = sim.recorded();
    match depth.crashes - 1 {
        0 => {
            // A power cut right after takes nothing of what was reported.
            let last = images.last().unwrap();
            let mut none = last.cuts().0.swap_remove(0);
            (none.acked, none.submitted) = (at, at);
            let sim = Sim::on(none.clone());
            let wal = Wal::open(sim, options()).map_err(|error| refused(&error))?.0;
            place(&wal, &states, &none, last).map(drop)
        }
        crashes => {
            // While it was opened, what was there before may be there again.
            crash(&images, &states, Depth { crashes, thorough: false }, tried)
        }
    }
}
