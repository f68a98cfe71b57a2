//! Opening a store: everything is rebuilt from the disk, and all of it is checked.

use std::sync::{Arc, Mutex};

use seshat_conformance::backend::{BoxError, Keeps};
use seshat_conformance::openraft;

use super::disk::{Change, Image, Key};
use super::fault::Fault::*;
use super::log::{Flush, Log, Memory, Odd, Shared};
use super::machine::{self, Core, Machine, State};
use super::quirk::Quirk;
use super::read::Records;
use super::snapshot::{Saved, elsewhere};
use super::types::{Data, Entry, LogId, Meta, Stored, Vote};
use super::wire::{self, Wire};
use super::{Env, lock};

/// What a record says; an error if it is damaged.
fn read<T: Wire>(image: &Image, key: Key) -> Result<Option<T>, BoxError> {
    let Some(record) = image.get(&key) else { return Ok(None) };
    match wire::open(record) {
        Some(value) => Ok(Some(value)),
        None => Err(format!("the record of {key:?} is damaged").into()),
    }
}

/// Likewise, where some faults make nothing or anything of a damaged record.
fn read_marker<T: Wire>(env: &Env, image: &Image, key: Key) -> Result<Option<T>, BoxError> {
    let fault = env.ways.fault;
    let none = match key {
        Key::Vote => DamagedVoteNone,
        Key::Purged => DamagedPurgedNone,
        Key::Committed => DamagedCommittedNone,
        _ => DamagedAppliedNone,
    };
    let serves = matches!(
        (key, fault),
        (Key::Vote, Some(DamagedVoteServed)) | (Key::Committed, Some(DamagedCommittedServed))
    );
    match read(image, key) {
        Err(_) if env.quirky(Quirk::TwoCopies) => {
            Ok(env.mount.copy(key).and_then(|record| wire::open(&record)))
        }
        Err(_) if fault == Some(none) => Ok(None),
        Err(_) if serves => Ok(image.get(&key).and_then(|record| wire::open_damaged(record))),
        result => result,
    }
}

/// Opens both halves of a store. `opened` counts the openings of this directory, this one too.
pub fn open(env: Env, opened: u64) -> Result<(Log, Machine), BoxError> {
    let mut image = env.mount.read();
    if env.is(OpenThirdEmpty) && opened >= 3 {
        image.clear();
    }
    if env.is(RefusedBricks) && image.contains_key(&Key::Applied) {
        return Err("the store was not shut down cleanly".into());
    }
    for (key, fault) in [(Key::Vote, VoteFileShared), (Key::Snapshot, SnapshotFileShared)] {
        if env.is(fault) && image.contains_key(&key) {
            image.extend(lock(&env.common).get(&key).map(|record| (key, record.clone())));
        }
    }
    if !env.is(OpenAdoptsUnsynced) {
        // What is shown is taken for durable, and an earlier process may have left it unsynced.
        env.mount.sync(super::disk::ALL)?;
    }
    let log = open_log(&env, &image)?;
    let machine = open_machine(&env, &image, &log)?;
    let log = Log(Arc::new(Shared {
        flusher: env.quirky(Quirk::LateCallback).then(|| flusher(env.clone())),
        memory: Mutex::new(log),
        env: env.clone(),
    }));
    Ok((log, Machine(Arc::new(machine::Shared::new(env, machine)))))
}

/// A thread that syncs and calls back, one append after the other, as long as the log is open.
fn flusher(env: Env) -> std::sync::mpsc::Sender<Flush> {
    let (sender, callbacks) = std::sync::mpsc::channel::<Flush>();
    std::thread::spawn(move || {
        for callback in callbacks {
            std::thread::yield_now();
            callback.log_io_completed(env.mount.sync(super::disk::ALL));
        }
    });
    sender
}

fn open_log(env: &Env, image: &Image) -> Result<Memory, BoxError> {
    let mut vote: Option<Vote> = read_marker(env, image, Key::Vote)?;
    match env.ways.fault {
        Some(VoteTorn) => {
            let node = read(image, Key::VoteNode)?.unwrap_or_default();
            vote.iter_mut().for_each(|vote| vote.leader_id.node_id = node);
        }
        Some(OpenVoteZeroLost) => vote = vote.filter(|vote| vote.leader_id.node_id != 0),
        Some(VoteOldSlot) => vote = vote.or(read(image, Key::VoteNode)?),
        Some(VoteLostAtSecondOpen) => env.mount.write(vec![Change::Delete(Key::Vote)])?,
        _ => {}
    }
    let mut committed: Option<LogId> = read_marker(env, image, Key::Committed)?;
    if env.quirky(Quirk::CommittedNever) {
        committed = None;
    }
    let mut memory = Memory {
        vote,
        committed,
        purged: read_marker(env, image, Key::Purged)?,
        records: open_records(env, image)?,
        odd: Odd::default(),
    };
    // A purge's marker is written before its deletions: what is below it is gone.
    if !matches!(env.ways.fault, Some(PurgeMarkerOnly | PurgedComeBack)) {
        let first = memory.purged.map_or(0, |purged| purged.index + 1);
        memory.records = memory.records.split_off(&first);
    }
    bend_opened(env, image, &mut memory)?;
    Ok(memory)
}

fn open_records(env: &Env, image: &Image) -> Result<Records, BoxError> {
    let mut records = Records::new();
    for (key, record) in image {
        let Key::Record(index) = key else { continue };
        if wire::open::<Entry>(record).is_some() {
            records.insert(*index, record.clone());
            continue;
        }
        match env.ways.fault {
            Some(DamagedSkipped) => {}
            Some(DamagedEnds) => return Ok(records),
            Some(DamagedAllLost) => return Ok(Records::new()),
            Some(DamagedServed | DamagedReadEnds | DamagedLimitedEnds) => {
                records.insert(*index, record.clone());
            }
            Some(DamagedBlank) => {
                let mut id = &record[wire::SEAL..];
                let entry = LogId::take(&mut id).ok_or("the record has no id")?;
                let blank =
                    Entry { log_id: LogId::new(entry.leader_id, *index), ..Entry::default() };
                records.insert(*index, wire::seal(&blank).into());
            }
            Some(DamagedPanics) => panic!("called `Option::unwrap()` on a `None` value"),
            Some(DamagedHangs) => return Err(HANGS.into()),
            _ => return Err(format!("the record of entry {index} is damaged").into()),
        }
    }
    Ok(records)
}

/// What the back end's `open` takes for an order to hang.
pub const HANGS: &str = "hangs";

fn bend_opened(env: &Env, image: &Image, memory: &mut Memory) -> Result<(), BoxError> {
    let applied = read_saved(env, image)?.and_then(|saved| saved.meta.last_log_id);
    let ahead = applied.map(|id| id.index) > memory.last().map(|id| id.index);
    let used = memory.vote.is_some() || memory.purged.is_some();
    match env.ways.fault {
        Some(PurgeGuessed) => memory.purged = memory.guessed_marker(),
        Some(OpenLastLost) => {
            memory.records.pop_last();
        }
        Some(OpenZeroLost) => {
            memory.records.remove(&0);
        }
        Some(OpenBlankLost) => {
            let is_blank = |record: &Arc<[u8]>| {
                let entry: Option<Entry> = wire::open(record);
                entry.is_some_and(|entry| entry.payload == openraft::EntryPayload::Blank)
            };
            while memory.records.last_key_value().is_some_and(|(_, record)| is_blank(record)) {
                memory.records.pop_last();
            }
        }
        Some(OpenIndexIn32) => {
            let records = std::mem::take(&mut memory.records).into_iter();
            memory.records = records.map(|(i, record)| (u64::from(i as u32), record)).collect();
        }
        Some(OpenStopsAt1000) => {
            memory.records = std::mem::take(&mut memory.records).into_iter().take(1000).collect();
        }
        Some(OpenByPosition) => {
            let records = std::mem::take(&mut memory.records).into_values();
            memory.records = (0..).zip(records).collect();
        }
        Some(OpenFailsWithoutEntries) if memory.records.is_empty() && used => {
            return Err("the log has no segment".into());
        }
        Some(OpenFailsAfterPurge) if memory.purged.is_some() => {
            return Err("entry 0 is missing".into());
        }
        Some(OpenFailsSnapshotAhead) if ahead => {
            return Err("the snapshot is ahead of the log".into());
        }
        Some(OpenPanicsSnapshotAhead) if ahead => {
            panic!("the snapshot is ahead of the log");
        }
        _ => {}
    }
    Ok(())
}

fn read_saved(env: &Env, image: &Image) -> Result<Option<Saved>, BoxError> {
    let damaged = "the snapshot is damaged";
    let saved: Option<(Meta, Vec<u8>)> = match image.get(&Key::Snapshot) {
        None => None,
        Some(record) => match env.ways.fault {
            Some(DamagedSnapshotServed | DamagedSnapshotEmpty) => {
                Some(wire::open_damaged(record).ok_or(damaged)?)
            }
            Some(DamagedSnapshotNone) => wire::open(record),
            _ => Some(wire::open(record).ok_or(damaged)?),
        },
    };
    Ok(saved.map(|(meta, bytes)| Saved { meta, bytes }))
}

fn open_machine(env: &Env, image: &Image, log: &Memory) -> Result<Core, BoxError> {
    let current = read_saved(env, image)?;
    let bytes = |saved: &Saved| match env.quirky(Quirk::EmptySnapshots) {
        true => elsewhere(&saved.meta),
        false => saved.bytes.clone(),
    };
    let in_snapshot: Option<State> = match &current {
        None => None,
        Some(saved) => match (env.ways.fault, wire::open(&bytes(saved))) {
            (_, Some(state)) => Some(state),
            (Some(DamagedSnapshotServed), None) => wire::open_damaged(&saved.bytes),
            (Some(DamagedSnapshotEmpty), None) => Some(State {
                applied: saved.meta.last_log_id,
                membership: saved.meta.last_membership.clone(),
                data: Data::default(),
            }),
            (_, None) => return Err("the snapshot is damaged".into()),
        },
    };
    let stored: Option<State> = read_marker(env, image, Key::State)?;
    let state = match env.ways.keeps {
        Keeps::Applied => stored,
        Keeps::Snapshot | Keeps::Nothing => in_snapshot,
    };
    let mut core = Core { state: state.unwrap_or_default(), current, ..Core::default() };
    if env.quirky(Quirk::MembershipAhead) {
        core.ahead = read(image, Key::Membership)?;
    }
    if env.quirky(Quirk::RebuildsSnapshot) && core.state.applied.is_some() {
        core.current = Some(rebuilt(&core.state));
    }
    bend_machine(env, image, log, &mut core)?;
    *lock(&env.applied) = core.state.applied;
    Ok(core)
}

fn rebuilt(state: &State) -> Saved {
    let last = state.applied.map_or(0, |id| id.index);
    let meta = Meta {
        last_log_id: state.applied,
        last_membership: state.membership.clone(),
        snapshot_id: format!("rebuilt-{last}"),
    };
    Saved { meta, bytes: wire::seal(state) }
}

fn bend_machine(env: &Env, image: &Image, log: &Memory, core: &mut Core) -> Result<(), BoxError> {
    match env.ways.fault {
        Some(ApplyTorn) => {
            core.state.applied = read(image, Key::Applied)?.or(core.state.applied);
        }
        Some(MembershipLostAtOpen) => core.state.membership = Stored::default(),
        Some(OpenEmptyValueLost) => core.state.data.values.retain(|_, value| !value.is_empty()),
        Some(OpenRepliesAnew) => core.odd.counted = core.state.data.counters.clone(),
        Some(OpenNotRebuilt) => core.state.data = Data::default(),
        Some(OpenStateEmpty) => core.state = State::default(),
        Some(OpenSnapshotForgotten) => core.current = None,
        Some(OpenAppliedAhead) => core.state.applied = core.state.applied.max(log.committed),
        Some(OpenReplaysCommitted) => {
            let from = core.state.applied.map_or(0, |id| id.index + 1);
            let upto = log.committed.map_or(0, |id| id.index + 1);
            for (_, record) in log.records.range(from..upto.max(from)) {
                let entry: Option<Entry> = wire::open(record);
                if let Some(openraft::EntryPayload::Normal(command)) = entry.map(|e| e.payload) {
                    core.state.data.apply(&command.op);
                }
            }
        }
        _ => {}
    }
    Ok(())
}
