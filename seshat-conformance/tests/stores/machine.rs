//! [`Machine`]: the state machine. Its state in memory; on disk what the store keeps of it.
//!
//! Guarantees without a fault: a batch is applied, and a snapshot installed, whole or not at all;
//! what the store claims to keep is durable before a call returns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{EntryPayload, Membership, OptionalSend, StorageIOError};
use seshat_conformance::backend::Keeps;
use seshat_conformance::openraft;

use super::batch::{flattened, lossy, without_hosts, without_learners, without_zero};
use super::disk::{ALL, Change, Key};
use super::fault::Fault::*;
use super::handle::{Handle, Pen};
use super::quirk::{Quirk, allow_apply};
use super::snapshot::{Builder, Saved};
use super::types::{Cmd, Config, Data, Entry, Error, Host, LogId, Meta, Op, Reply, Stored};
use super::{Env, lock, pause, wire};

/// All that entries make.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub applied: Option<LogId>,
    pub membership: Stored,
    pub data: Data,
}

/// The state machine as its handles see it.
#[derive(Debug, Default)]
pub struct Core {
    pub state: State,
    pub current: Option<Saved>,
    /// A membership that was stored by itself.
    pub ahead: Option<Stored>,
    pub odd: Odd,
}

/// What unusual and faulty stores remember besides.
#[derive(Debug, Default)]
pub struct Odd {
    pub builders: usize,
    pub built: bool,
    pub installs: usize,
    pub cached: Option<Data>,
    pub deleted: Data,
    pub handles: Vec<Handle>,
    pub received: Vec<u8>,
    pub last_saved: Option<Saved>,
    /// The counters as they were read back.
    pub counted: BTreeMap<Vec<u8>, u64>,
    /// How many snapshots were built since the opening.
    pub builds: u64,
    pub receiving: bool,
}

/// What the state machine and its builders share.
pub struct Shared {
    pub env: Env,
    pub core: Mutex<Core>,
    /// Held while a snapshot is compared with the current one and takes its place.
    pub publish: tokio::sync::Mutex<()>,
    /// Held by stores whose builders lock the state.
    pub state_lock: Arc<tokio::sync::Mutex<()>>,
}

/// The state machine.
pub struct Machine(pub Arc<Shared>);

pub fn write_error(error: std::io::Error) -> Error {
    StorageIOError::write_state_machine(&error).into()
}

impl Shared {
    pub fn new(env: Env, core: Core) -> Self {
        *lock(&env.applied) = core.state.applied;
        Self {
            env,
            core: Mutex::new(core),
            publish: tokio::sync::Mutex::default(),
            state_lock: Arc::default(),
        }
    }

    pub fn locks_early(&self) -> bool {
        self.env.quirky(Quirk::BuilderLocksEarly)
    }

    pub fn locks(&self) -> bool {
        self.env.quirky(Quirk::BuilderLocks) || self.locks_early()
    }

    pub async fn sync(&self) -> Result<(), Error> {
        pause(1).await;
        self.env.mount.sync(ALL).map_err(write_error)
    }

    async fn apply(&self, entries: Vec<Entry>) -> Result<Vec<Reply>, Error> {
        let env = &self.env;
        let _guard = if self.locks() { Some(self.state_lock.lock().await) } else { None };
        let old = lock(&self.core).state.clone();
        if env.quirky(Quirk::Strict) {
            allow_apply(old.applied, &entries);
        }
        let stuck = env.is(BuildKeepsLock) && lock(&self.core).odd.built;
        if stuck || (env.is(ApplyHangsAt1000) && entries.len() >= 1000) {
            std::future::pending::<()>().await;
        }
        let mut new = old.clone();
        let mut replies = self.run(&mut new, &entries);
        let fails = match env.ways.fault {
            Some(ApplyFails) => replies.contains(&Reply::Deleted(false)),
            Some(RefusalFails) => replies.contains(&Reply::Refused),
            _ => false,
        };
        if fails {
            return Err(write_error(std::io::Error::other("the command failed")));
        }
        self.bend_replies(&mut replies, &entries, &old);
        self.bend_state(&mut new, &old, &entries, &replies);
        let same_data = old.data == new.data;
        let kept = self.persist(&old, &new);
        match kept {
            Err(_) if env.is(RefusedApply) => {}
            result => result?,
        }
        {
            let mut core = lock(&self.core);
            for (key, value) in &old.data.values {
                if !new.data.values.contains_key(key) {
                    core.odd.deleted.values.insert(key.clone(), value.clone());
                }
            }
            *lock(&env.applied) = new.applied;
            core.state = new;
        }
        let unsynced = env.is(ApplyUnsynced) || env.is(ApplyBlankUnsynced) && same_data;
        if unsynced || env.ways.keeps != Keeps::Applied {
            pause(1).await;
            return Ok(replies);
        }
        match self.sync().await {
            Err(_) if env.is(RefusedApply) => Ok(replies),
            result => result.map(|()| replies),
        }
    }

    /// Applies entry after entry, and answers each.
    fn run(&self, state: &mut State, entries: &[Entry]) -> Vec<Reply> {
        let fault = self.env.ways.fault;
        let mut replies = vec![Reply::Nothing; entries.len()];
        let mut order: Vec<usize> = (0..entries.len()).collect();
        if fault == Some(ApplyReversed) {
            order.reverse();
        }
        let mut seen_membership = false;
        for place in order {
            let entry = &entries[place];
            let skipped = match fault {
                Some(ApplyAfter64Lost) => place >= 64,
                Some(ApplyStopsAtMembership) => seen_membership,
                Some(RefusalStops) => replies[..place].contains(&Reply::Refused),
                _ => false,
            };
            match &entry.payload {
                EntryPayload::Normal(command) if !skipped => {
                    let later = &entries[place + 1..];
                    replies[place] = self.execute(&mut state.data, command, later);
                }
                EntryPayload::Membership(membership) => {
                    seen_membership = true;
                    let last = place + 1 == entries.len();
                    let first = !entries[..place].iter().any(is_membership);
                    let new = Stored::new(Some(entry.log_id), membership.clone());
                    self.store_membership(&mut state.membership, new, first, last, entries);
                }
                _ => {}
            }
        }
        state.applied = entries.last().map(|entry| entry.log_id).or(state.applied);
        replies
    }

    fn execute(&self, data: &mut Data, command: &Cmd, later: &[Entry]) -> Reply {
        let key_of = |op: &Op| match op {
            Op::Set(key, _) | Op::Append(key, _) | Op::Expect(key, _) => key.clone(),
            Op::Del(key) | Op::Incr(key, _) => key.clone(),
        };
        let again = || {
            later.iter().any(|entry| match &entry.payload {
                EntryPayload::Normal(other) => key_of(&other.op) == key_of(&command.op),
                _ => false,
            })
        };
        match (self.env.ways.fault, &command.op) {
            (Some(ApplyOncePerKey), _) if again() => Reply::Nothing,
            (Some(ApplyEmptyDeletes), Op::Set(key, value)) if value.is_empty() => {
                data.apply(&Op::Del(key.clone()));
                Reply::Previous(None)
            }
            (Some(ApplyNotDelete), Op::Del(_)) => Reply::Deleted(true),
            (Some(ApplyRandom), Op::Incr(key, by)) => {
                let instance = std::ptr::from_ref(self) as u64 >> 4;
                data.apply(&Op::Incr(key.clone(), by + instance))
            }
            (Some(OpenRepliesAnew), op @ Op::Incr(key, _)) => {
                let before = lock(&self.core).odd.counted.get(key).copied().unwrap_or_default();
                match data.apply(op) {
                    Reply::Count(count) => Reply::Count(count.saturating_sub(before)),
                    reply => reply,
                }
            }
            (Some(RefusalChanges), Op::Expect(key, value)) if data.refuses(key, value) => {
                data.apply(&Op::Set(key.clone(), value.clone()));
                Reply::Refused
            }
            (Some(ApplyPanicsOnEmpty), op) => {
                assert!(!key_of(op).is_empty(), "an empty key");
                data.apply(op)
            }
            (_, op) => data.apply(op),
        }
    }

    fn store_membership(
        &self,
        slot: &mut Stored,
        new: Stored,
        first: bool,
        last: bool,
        entries: &[Entry],
    ) {
        let id = *new.log_id();
        let members = new.membership().clone();
        *slot = match self.env.ways.fault {
            Some(MembershipIgnored) => return,
            Some(MembershipIdMissing) => Stored::new(None, members),
            Some(MembershipIdOfBatch) => {
                Stored::new(entries.last().map(|entry| entry.log_id), members)
            }
            Some(MembershipLastOnly) if !last => return,
            Some(MembershipFirstOfBatch) if !first => return,
            Some(MembershipJointFlattened) => Stored::new(id, flattened(&members)),
            Some(MembershipLearnersLost) => Stored::new(id, without_learners(&members)),
            Some(MembershipZeroLost) => Stored::new(id, without_zero(&members)),
            Some(MembershipHostLost) => Stored::new(id, without_hosts(&members)),
            Some(MembershipFirstStays) if slot.log_id().is_some() => return,
            Some(MembershipEqualIgnored) if *slot.membership() == members => return,
            Some(MembershipTermLost) => {
                Stored::new(id.map(|id| lossy(id, false, true, true)), members)
            }
            _ => new,
        };
    }

    fn bend_replies(&self, replies: &mut Vec<Reply>, entries: &[Entry], old: &State) {
        let is_command = |entry: &Entry| matches!(entry.payload, EntryPayload::Normal(_));
        match self.env.ways.fault {
            Some(ReplyNotForBlank) => {
                let mut commands = entries.iter().map(is_command);
                replies.retain(|_| commands.next() == Some(true));
            }
            Some(ReplyReversed) => replies.reverse(),
            Some(ReplyExtra) => replies.push(Reply::Nothing),
            Some(ReplyGrouped) => {
                let mut grouped: Vec<(bool, Reply)> =
                    entries.iter().map(|entry| !is_command(entry)).zip(replies.drain(..)).collect();
                grouped.sort_by_key(|reply| reply.0);
                replies.extend(grouped.into_iter().map(|reply| reply.1));
            }
            Some(ReplyLastOnly) => {
                if let Some(last) = replies.last().cloned() {
                    replies.fill(last);
                }
            }
            Some(ReplyOfBefore) => {
                for (reply, entry) in replies.iter_mut().zip(entries) {
                    if let EntryPayload::Normal(command) = &entry.payload {
                        *reply = old.data.clone().apply(&command.op);
                    }
                }
            }
            _ => {}
        }
    }

    fn bend_state(&self, new: &mut State, old: &State, entries: &[Entry], replies: &[Reply]) {
        let last_of = |kept: &dyn Fn(&EntryPayload<Config>) -> bool| {
            entries.iter().rev().find(|e| kept(&e.payload)).map(|e| e.log_id).or(old.applied)
        };
        new.applied = match self.env.ways.fault {
            Some(AppliedNotByBlank) => last_of(&|p| !matches!(p, EntryPayload::Blank)),
            Some(AppliedNotByMembership) => last_of(&|p| !matches!(p, EntryPayload::Membership(_))),
            Some(RefusalNotApplied) if replies.last() == Some(&Reply::Refused) => old.applied,
            Some(AppliedFirstOfBatch) => entries.first().map(|entry| entry.log_id),
            Some(AppliedTermLost) => new.applied.map(|id| lossy(id, false, true, true)),
            Some(AppliedNodeLost) => new.applied.map(|id| lossy(id, true, false, true)),
            Some(AppliedIn16) => {
                new.applied.map(|id| LogId::new(id.leader_id, u64::from(id.index as u16)))
            }
            _ => new.applied,
        };
    }

    /// Writes what this store keeps of what was applied.
    fn persist(&self, old: &State, new: &State) -> Result<(), Error> {
        let env = &self.env;
        if env.quirky(Quirk::MembershipAhead) && old.membership != new.membership {
            let stored = Change::Put(Key::Membership, wire::seal(&new.membership));
            env.mount.write(vec![stored]).map_err(write_error)?;
            env.mount.sync(ALL).map_err(write_error)?;
        }
        let unwritten = env.is(ApplyBlankUnwritten) && old.data == new.data;
        if env.ways.keeps != Keeps::Applied || unwritten {
            return Ok(());
        }
        let put = |state: &State| Change::Put(Key::State, wire::seal(state));
        let written = match env.ways.fault {
            Some(ApplyAppliedMissing) => {
                vec![put(&State { applied: old.applied, ..new.clone() })]
            }
            Some(ApplyDataMissing) => {
                vec![put(&State { data: old.data.clone(), ..new.clone() })]
            }
            Some(ApplyTorn) => {
                env.mount.write(vec![put(old)]).map_err(write_error)?;
                env.mount.sync(ALL).map_err(write_error)?;
                env.mount.write_volatile(vec![put(new)]).map_err(write_error)?;
                new.applied
                    .map(|id| Change::Put(Key::Applied, wire::seal(&id)))
                    .into_iter()
                    .collect()
            }
            _ => vec![put(new)],
        };
        env.mount.write(written).map_err(write_error)
    }
}

fn is_membership(entry: &Entry) -> bool {
    matches!(entry.payload, EntryPayload::Membership(_))
}

impl RaftStateMachine<Config> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Stored), Error> {
        let _gate = self.0.env.enter().await;
        let core = lock(&self.0.core);
        let stored = core.ahead.as_ref().filter(|a| a.log_id() > core.state.membership.log_id());
        let mut membership = stored.unwrap_or(&core.state.membership).clone();
        if self.0.env.is(MembershipAtAppend) {
            let logged = lock(&self.0.env.logged).membership.clone();
            membership = logged.filter(|l| l.log_id() > membership.log_id()).unwrap_or(membership);
        }
        match core.state.applied {
            None if self.0.env.is(FreshApplied) => Ok((Some(LogId::default()), membership)),
            None if self.0.env.is(FreshMembership) => {
                let own = Membership::new(vec![[1].into()], BTreeMap::from([(1, Host::default())]));
                Ok((None, Stored::new(None, own)))
            }
            applied => Ok((applied, membership)),
        }
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        let _gate = self.0.env.enter().await;
        self.0.apply(entries).await
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let _gate = self.0.env.enter().await;
        Builder::new(&self.0).await
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Handle>, Error> {
        let env = &self.0.env;
        let pen = match env.ways.fault {
            Some(InstallHandleAppends) => Pen::AtEnd,
            Some(InstallHandleBlocks) => Pen::WholeBlocks,
            _ if env.quirky(Quirk::ShortWrites) => Pen::Short(3),
            _ => Pen::Right,
        };
        if env.is(ReceiveFileLeft) {
            let first = !std::mem::replace(&mut lock(&self.0.core).odd.receiving, true);
            let left = if first { env.kept.receiving.bytes() } else { Vec::new() };
            env.kept.receiving.begin(left);
            return Ok(Box::new(env.kept.receiving.sharing()));
        }
        let old = lock(&self.0.core).odd.received.clone();
        let bytes = if env.is(InstallHandleNotBlank) { old } else { Vec::new() };
        Ok(Box::new(Handle::with(bytes, pen)))
    }

    async fn install_snapshot(&mut self, meta: &Meta, handle: Box<Handle>) -> Result<(), Error> {
        let _gate = self.0.env.enter().await;
        self.0.install(meta, &handle).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Config>>, Error> {
        let _gate = self.0.env.enter().await;
        Ok(self.0.current())
    }
}
