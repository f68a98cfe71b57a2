//! The seam: what the kit asks of a back end, whatever its types.
//!
//! Guarantees: object-safe, so that all above is compiled once; no call is made, polled or given
//! up otherwise than whoever holds the future does it; what a store gives is handed on as it is.
//!
//! Above it, ids, votes and memberships are [seen](self::seen): compared, shown, handed back.
//! Below it, [`openraft09`] makes a driver of a [`Backend`](crate::Backend); it is all that is
//! compiled for each back end.

pub(crate) mod held;
pub(crate) mod node;
mod openraft09;
pub(crate) mod seen;
pub(crate) mod store;

/// Makes a driver of a [`Backend`](crate::Backend).
pub(crate) use self::openraft09::driver as of;
#[cfg(feature = "storage-v2")]
pub(crate) use self::openraft09::seshat;
pub(crate) use self::openraft09::words::entry;

#[cfg(feature = "storage-v2")]
use std::any::Any;
use std::path::Path;
use std::pin::Pin;

use self::held::Holding;
use self::node::Network;
use self::seen::{Entry, Initial, LogId, Membership, Named, Vote};
use self::store::{Data, Log, Machine};
use crate::model::{Ballot, Id, Item, Members};
use crate::words::{BoxError, Capabilities, Command, Hooks};

/// A call of a store under way.
pub(crate) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// The callback of an append, in the kit's hands.
#[cfg(feature = "storage-v2")]
pub(crate) type Callback = Box<dyn Any + Send>;

/// Resolves when the callback was called, with what it was called with; also when it was dropped,
/// with an error.
#[cfg(feature = "storage-v2")]
pub(crate) type Flushed = Doing<'static, ()>;

/// The two halves of an open store.
pub(crate) type Opened = (Box<dyn Log>, Box<dyn Machine>);

/// A back end.
pub(crate) trait Driver: Author {
    /// What was learnt of its directories in this process.
    fn holding(&self) -> &Holding;

    /// Opens the store in a directory.
    fn open<'a>(&'a self, dir: &'a Path) -> Doing<'a, Opened>;

    /// Closes what was opened.
    fn close<'a>(
        &'a self,
        dir: &'a Path,
        log: Box<dyn Log>,
        machine: Box<dyn Machine>,
    ) -> Doing<'a, ()>;

    /// Lets openraft start on an open store, and gives what it found.
    fn start<'a>(&self, log: &'a mut dyn Log, machine: &'a mut dyn Machine) -> Doing<'a, Initial>;

    /// A callback, and how to learn of it.
    #[cfg(feature = "storage-v2")]
    fn callback(&self) -> Doing<'static, (Callback, Flushed)>;

    /// All bytes of two handles on snapshots, read by turns; `None` if they can't be reached.
    fn by_turns<'a>(
        &self,
        one: &'a mut dyn Data,
        other: &'a mut dyn Data,
    ) -> Doing<'a, Option<[Vec<u8>; 2]>>;

    /// Links between nodes of one process.
    ///
    /// # Errors
    /// openraft takes no such configuration.
    fn network(&self, seed: u64) -> Result<Box<dyn Network>, BoxError>;

    /// One of openraft's own functions, on stores below a directory; `None` if the suite can't be
    /// compiled with the back end's types.
    fn suite<'a>(&'a self, name: &str, dir: &'a Path) -> Option<Suite<'a>>;
}

/// One of openraft's own functions under way. It panics if the store fails.
pub(crate) type Suite<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + 'a>>;

/// What an author says of a back end, and the model's words in its types. No store is asked.
pub(crate) trait Author: Send + Sync {
    fn name(&self) -> String;
    fn type_name(&self) -> &'static str;
    fn capabilities(&self) -> Capabilities;
    fn hooks(&self) -> Hooks;
    fn known_failures(&self) -> Vec<String>;
    /// Whether the application has such a command.
    fn has(&self, command: &Command) -> bool;
    fn expected_reply(&self, applied: &[Command]) -> Option<String>;
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>>;
    /// Whether a snapshot's bytes can be reached.
    fn snapshot_bytes(&self) -> bool;
    /// Whether openraft's suite can be compiled with the types.
    fn has_suite(&self) -> bool;
    /// Whether the types are Seshat's own.
    fn seshat_types(&self) -> bool;

    fn id(&self, id: Id) -> LogId;
    /// `None`: what openraft takes for no vote.
    fn vote(&self, ballot: Option<Ballot>) -> Vote;
    /// `None`: that of a fresh state machine.
    fn membership(&self, last: Option<(Id, &Members)>) -> Membership;
    /// `None` if the application has no command of that shape.
    fn entry(&self, item: &Item) -> Option<Entry>;
    /// An entry with a command, where another one is.
    fn command_at(&self, command: &Command, place: &Entry) -> Option<Entry>;
    /// The same entry at another place; `None` if the place is one of another back end's.
    fn moved(&self, entry: &Entry, to: &LogId) -> Option<Entry>;
    /// Every bit of an entry.
    fn fingerprint(&self, entry: &Entry) -> Vec<u8>;

    /// The id of a node.
    fn node_id(&self, n: u64) -> Named;
    /// What memberships say of two nodes, if it differs.
    fn nodes(&self, ns: [u64; 2]) -> Option<[String; 2]>;
    /// An entry whose members are two nodes, and one where each says what the other said.
    fn exchanged(&self, id: Id, ns: [u64; 2]) -> [Entry; 2];
    /// Whether two entries differ in the author's own types. Commands can't be compared, and count
    /// as different.
    fn differ(&self, one: &Entry, two: &Entry) -> bool;
}
