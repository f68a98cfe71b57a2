//! [`Backend`]: how a third party plugs its own store in.
//!
//! Required: open a directory, make the n-th command, name nodes, and say what an entry is made
//! of. Everything else is optional, and each check that needs it is skipped, with that reason,
//! where it is missing. What is declared here is believed; what isn't is never assumed.

mod beside;
pub(crate) mod suite;
mod transfer;

use std::future::Future;
use std::path::Path;

use openraft::RaftTypeConfig;
use openraft::impls::OneshotResponder;
use openraft::storage::{RaftLogStorage, RaftStateMachine};

pub use self::beside::ByDirectory;
#[cfg(feature = "storage-v2")]
pub use self::beside::With;
pub use self::suite::{NoSuite, OpenraftSuite, Suite, SuiteFunction};
pub use self::transfer::{Chunks, Transfer, Whole};
pub use crate::words::{
    BoxError, Capabilities, Command, Halves, Hook, Hooks, Keeps, Marker, Piece, Shape,
};

/// A storage back end under test, for the type configuration of its author.
///
/// One value serves a whole run. Checks run one after the other or side by side, each in
/// directories of its own, so `open` must keep no state that ties one directory to another.
pub trait Backend: Send + Sync + 'static {
    /// The author's own type configuration.
    type C: RaftTypeConfig<Entry: Clone, Responder = OneshotResponder<Self::C>>;
    /// The log store; `ReferenceLog` where only a state machine is under test.
    type Log: RaftLogStorage<Self::C>;
    /// The state machine; `ReferenceMachine` where only a log store is under test.
    type Machine: RaftStateMachine<Self::C>;
    /// How a snapshot's bytes are reached: [`Chunks`] if `SnapshotData` is a reader, writer and
    /// seeker, as openraft wants by default; [`Whole`] if it is opaque.
    type Transfer: Transfer<Self::C>;
    /// [`OpenraftSuite`], or [`NoSuite`] for types that openraft's own suite can't be compiled
    /// with (it wants `NodeId: From<u64>`, `D: Debug`, `R: Debug`).
    type Suite: Suite<Self>;

    /// The store's name in reports.
    fn name(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// Opens the store in `dir`, which exists. An empty directory is a fresh node; a directory
    /// opened before is a restart of that node.
    ///
    /// What else is made here, and wanted again in [`Backend::digest`] or [`Backend::close`], comes
    /// beside the state machine, in a [`With`]; what is to be found by the directory, in a
    /// [`ByDirectory`].
    ///
    /// # Errors
    /// Whatever the store says. An error fails the check, except where the check has damaged
    /// something first. A directory that was open before in this process may still be locked, by
    /// openraft's tasks or the store's own: it is tried again for as long as a call's patience, and
    /// the report notes that it had to be.
    fn open(
        &self,
        dir: &Path,
    ) -> impl Future<Output = Result<(Self::Log, Self::Machine), BoxError>> + Send;

    /// Closes what `open` returned, as an orderly shutdown does. Drops both unless overridden. It
    /// isn't called where a process is killed or a cluster's node shuts down: there both are
    /// dropped.
    ///
    /// # Errors
    /// Whatever the store says; it fails the check.
    fn close(
        &self,
        dir: &Path,
        log: Self::Log,
        machine: Self::Machine,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = dir;
        async move {
            drop((log, machine));
            Ok(())
        }
    }

    /// The command that `command` describes, always the same one for the same description.
    /// `None` for a shape that the application can't express; never for [`Shape::Plain`].
    ///
    /// Commands find more if they share state (a few keys, written again and again, now and then
    /// deleted) and if applying one twice differs from applying it once.
    fn command(&self, command: &Command) -> Option<<Self::C as RaftTypeConfig>::D>;

    /// Every bit of an entry: log id, kind and payload. Two entries are the same if and only if
    /// their fingerprints are: that is looked at before any check runs, on entries that differ in
    /// one thing each. Any serialization that leaves nothing out will do.
    fn fingerprint(&self, entry: &<Self::C as RaftTypeConfig>::Entry) -> Vec<u8>;

    /// The id of node `n`, another one for each `n`, in ascending order; those of the nodes 1 to
    /// 255 are looked at before any check runs. `n` may be any number: where the type is narrower,
    /// let it wrap (`n as u32`).
    fn node_id(&self, n: u64) -> <Self::C as RaftTypeConfig>::NodeId;

    /// What a membership says of node `n`. Different for each `n` if the type can tell them apart.
    fn node(&self, n: u64) -> <Self::C as RaftTypeConfig>::Node {
        let _ = n;
        Default::default()
    }

    /// A reply as text, so that two replies can be compared.
    fn show_reply(&self, reply: &<Self::C as RaftTypeConfig>::R) -> Option<String> {
        let _ = reply;
        None
    }

    /// What [`Backend::show_reply`] must give for the reply to the last of `applied`, if they are
    /// applied in that order to a fresh state machine. Their shapes matter as well as their
    /// numbers: see [`Command`].
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        let _ = applied;
        None
    }

    /// The state machine's contents as bytes: equal for equal contents, different for different
    /// ones. Leave out what may differ between replicas, and what openraft keeps (log ids,
    /// membership).
    ///
    /// A state machine that can't be asked for them has the handle that can beside it: see [`With`],
    /// and openraft's `Adaptor::storage`.
    fn digest(&self, machine: &mut Self::Machine) -> impl Future<Output = Option<Vec<u8>>> + Send {
        let _ = machine;
        async { None }
    }

    /// What [`Backend::digest`] must give after `applied` in that order on a fresh state machine, to
    /// the byte; after none, too.
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        let _ = applied;
        None
    }

    /// What the store claims to be able to do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// What can be done to the store's disk from outside.
    fn hooks(&self) -> Hooks {
        Hooks::default()
    }

    /// Ids of checks that are known to fail. They must still fail, or the run fails: a list that
    /// is out of date hides the next fault.
    fn known_failures(&self) -> Vec<String> {
        Vec::new()
    }
}
