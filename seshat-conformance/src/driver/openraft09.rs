//! A [`Backend`] on openraft 0.9 as a [`Driver`]: what is compiled for each back end, and nothing
//! else is.

mod cluster;
#[cfg(feature = "storage-v2")]
mod flush;
mod log;
mod machine;
#[cfg(feature = "storage-v2")]
pub(crate) mod seshat;
mod wire;
pub(crate) mod words;

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use openraft::entry::{RaftEntry, RaftPayload};
use openraft::{Membership as Members09, RaftLogId, StorageHelper, StoredMembership};

use self::cluster::Links;
use self::log::OpenLog;
use self::machine::{Handle, OpenMachine};
use self::words::{Entry as Entry09, Nid, NodeOf};
use super::held::Holding;
use super::node::Network;
use super::seen::{Entry, Initial, LogId, Membership, Named, Own, Vote};
use super::store::{Data, Log, Machine};
use super::{Author, Doing, Driver, Opened, Suite};
#[cfg(feature = "storage-v2")]
use super::{Callback, Flushed};
use crate::backend::suite::Suite as _;
use crate::backend::{Backend, Transfer};
use crate::model::{Ballot, Id, Item, Members};
use crate::words::{BoxError, Capabilities, Command, Hooks};

/// The driver of a back end.
pub(crate) fn driver<B: Backend>(backend: B) -> Arc<dyn Driver> {
    Arc::new(Openraft09(Arc::new(backend), Holding::default()))
}

struct Openraft09<B>(Arc<B>, Holding);

/// A handle of another back end's store: the kit mixed two up.
#[derive(Debug, thiserror::Error)]
#[error("the kit is wrong, please report it: a value of another back end")]
struct Foreign;

impl<B: Backend> Driver for Openraft09<B> {
    fn holding(&self) -> &Holding {
        &self.1
    }

    fn open<'a>(&'a self, dir: &'a Path) -> Doing<'a, Opened> {
        Box::pin(async move {
            let (log, machine) = self.0.open(dir).await?;
            let machine = OpenMachine { backend: Arc::clone(&self.0), machine };
            let opened: Opened = (Box::new(OpenLog::<B>(log)), Box::new(machine));
            Ok(opened)
        })
    }

    fn close<'a>(
        &'a self,
        dir: &'a Path,
        log: Box<dyn Log>,
        machine: Box<dyn Machine>,
    ) -> Doing<'a, ()> {
        Box::pin(async move {
            let (log, machine) = halves::<B>(log, machine)?;
            self.0.close(dir, log, machine).await
        })
    }

    fn start<'a>(&self, log: &'a mut dyn Log, machine: &'a mut dyn Machine) -> Doing<'a, Initial> {
        Box::pin(async move {
            let (log, machine): (&mut dyn Any, &mut dyn Any) = (log, machine);
            let OpenLog(log) = log.downcast_mut::<OpenLog<B>>().ok_or(Foreign)?;
            let machine = machine.downcast_mut::<OpenMachine<B>>().ok_or(Foreign)?;
            let mut helper = StorageHelper::<B::C, _, _>::new(log, &mut machine.machine);
            let state = helper.get_initial_state().await?;
            let effective = state.membership_state.effective();
            let effective =
                StoredMembership::new(effective.log_id().clone(), effective.membership().clone());
            Ok(Initial {
                vote: words::seen_vote(state.vote_ref().clone()),
                committed: state.committed.clone().map(words::seen_id),
                membership: words::seen_membership(effective),
                snapshot: words::seen_meta(state.snapshot_meta.clone()),
            })
        })
    }

    #[cfg(feature = "storage-v2")]
    fn callback(&self) -> Doing<'static, (Callback, Flushed)> {
        Box::pin(flush::flush::<B::C>())
    }

    fn by_turns<'a>(
        &self,
        one: &'a mut dyn Data,
        other: &'a mut dyn Data,
    ) -> Doing<'a, Option<[Vec<u8>; 2]>> {
        Box::pin(async move {
            let (one, other): (&mut dyn Any, &mut dyn Any) = (one, other);
            let one = one.downcast_mut::<Handle<B>>().ok_or(Foreign)?;
            let other = other.downcast_mut::<Handle<B>>().ok_or(Foreign)?;
            B::Transfer::read_by_turns(&mut one.0, &mut other.0).await
        })
    }

    fn network(&self, seed: u64) -> Result<Box<dyn Network>, BoxError> {
        Ok(Box::new(Links::new(Arc::clone(&self.0), seed)?))
    }

    fn suite<'a>(&'a self, name: &str, dir: &'a Path) -> Option<Suite<'a>> {
        let function = B::Suite::function(name)?;
        let running = function(&self.0, dir);
        Some(Box::pin(async move { Ok(running.await?) }))
    }
}

/// The author's own halves, of an open store.
fn halves<B: Backend>(
    log: Box<dyn Log>,
    machine: Box<dyn Machine>,
) -> Result<(B::Log, B::Machine), Foreign> {
    let (log, machine): (Box<dyn Any>, Box<dyn Any>) = (log, machine);
    let OpenLog(log) = *log.downcast::<OpenLog<B>>().map_err(|_| Foreign)?;
    let machine = *machine.downcast::<OpenMachine<B>>().map_err(|_| Foreign)?;
    Ok((log, machine.machine))
}

/// An entry that the driver gave. One of another back end is the kit's own fault, which may end
/// the check.
#[expect(clippy::expect_used, reason = "see above; the panic is the check's failure")]
fn own<B: Backend>(entry: &Entry) -> &Entry09<B> {
    words::entry_of::<B>(entry).expect("an entry of this back end")
}

impl<B: Backend> Author for Openraft09<B> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<B>()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn hooks(&self) -> Hooks {
        self.0.hooks()
    }

    fn known_failures(&self) -> Vec<String> {
        self.0.known_failures()
    }

    fn has(&self, command: &Command) -> bool {
        self.0.command(command).is_some()
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        self.0.expected_reply(applied)
    }

    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        self.0.expected_digest(applied)
    }

    fn snapshot_bytes(&self) -> bool {
        B::Transfer::BYTES
    }

    fn has_suite(&self) -> bool {
        B::Suite::function("save_vote").is_some()
    }

    #[cfg(feature = "storage-v2")]
    fn seshat_types(&self) -> bool {
        use std::any::TypeId;
        TypeId::of::<B::C>() == TypeId::of::<seshat_core::types::TypeConfig>()
    }

    #[cfg(not(feature = "storage-v2"))]
    fn seshat_types(&self) -> bool {
        false
    }

    fn id(&self, id: Id) -> LogId {
        words::seen_id(words::log_id(&*self.0, id))
    }

    fn vote(&self, ballot: Option<Ballot>) -> Vote {
        words::seen_vote(ballot.map_or_else(Default::default, |b| words::vote(&*self.0, b)))
    }

    fn membership(&self, last: Option<(Id, &Members)>) -> Membership {
        words::seen_membership(words::stored(&*self.0, last))
    }

    fn entry(&self, item: &Item) -> Option<Entry> {
        words::entry(&*self.0, item).map(words::seen_entry::<B>)
    }

    fn command_at(&self, command: &Command, place: &Entry) -> Option<Entry> {
        let data = self.0.command(command)?;
        let mut entry = <Entry09<B> as openraft::entry::FromAppData<_>>::from_app_data(data);
        entry.set_log_id(own::<B>(place).get_log_id());
        Some(words::seen_entry::<B>(entry))
    }

    fn moved(&self, entry: &Entry, to: &LogId) -> Option<Entry> {
        let mut entry = own::<B>(entry).clone();
        entry.set_log_id(&words::id_of::<B>(to).ok()?);
        Some(words::seen_entry::<B>(entry))
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        self.0.fingerprint(own::<B>(entry))
    }

    fn node_id(&self, n: u64) -> Named {
        Named { own: Own::new(self.0.node_id(n)) }
    }

    fn nodes(&self, ns: [u64; 2]) -> Option<[String; 2]> {
        let nodes = ns.map(|n| self.0.node(n));
        let [one, two] = &nodes;
        (one != two).then(|| [format!("{one:?}"), format!("{two:?}")])
    }

    fn exchanged(&self, id: Id, ns: [u64; 2]) -> [Entry; 2] {
        let ids = ns.map(|n| self.0.node_id(n));
        let [one, two] = ns.map(|n| self.0.node(n));
        let entry = |nodes: [&NodeOf<B>; 2]| {
            let nodes = ids.iter().cloned().zip(nodes.into_iter().cloned());
            let nodes: std::collections::BTreeMap<Nid<B>, NodeOf<B>> = nodes.collect();
            let voters = vec![ids.iter().cloned().collect()];
            let id = words::log_id(&*self.0, id);
            let entry = Entry09::<B>::new_membership(id, Members09::new(voters, nodes));
            words::seen_entry::<B>(entry)
        };
        [entry([&one, &two]), entry([&two, &one])]
    }

    /// A log id without the leader's node, as of openraft's `single-term-leader`, is the same for
    /// all leaders of a term.
    fn differ(&self, one: &Entry, two: &Entry) -> bool {
        let (one, two) = (own::<B>(one), own::<B>(two));
        let members =
            one.get_membership().is_none() || one.get_membership() != two.get_membership();
        one.get_log_id() != two.get_log_id() || members
    }
}
