//! A client of a cluster, for many calls at once: it finds the leader, packs what waits, and repeats what it
//! may.
//!
//! ```no_run
//! # async fn of(to: Vec<String>) -> Result<(), seshat_core::client::ClientError> {
//! use std::time::Duration;
//!
//! use seshat_core::client::Client;
//!
//! let client = Client::new(to, None, Duration::from_secs(10))?;
//! client.set("greeting", "hello").await?;
//! assert_eq!(client.get("greeting").await?.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! Guarantees:
//!
//! - An operation is applied once at most: it is sent again only where it was certainly not proposed,
//!   because the node said so, or because there was no connection to send it on.
//! - Every call ends within the timeout.
//! - Calls that are made at once share a stream to the node that leads: what waits goes in one message, and
//!   answers come as they are ready. A call waits for no other.
//!
//! Not guaranteed: that one learns whether an operation was applied. Where its answer is lost, it was
//! or it wasn't ([`ClientError::Unknown`]), and nothing in a cluster tells it from others like it.

mod admin;
mod attempt;
mod calls;
pub mod commands;
mod link;
mod node;

use std::error::Error;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use self::attempt::{Answer, Attempt, was_done, words};
use self::node::Node;
pub use crate::condition::{Condition, SetOptions};
use crate::proto::client::client_client::ClientClient;
use crate::proto::client::{self as proto, answer, request};
use crate::proto::v1::{self, operation::Kind, response};
/// What a client shows, and whom it trusts: tonic's own.
pub use tonic::transport::{Certificate, ClientTlsConfig, Identity};

type Stub = ClientClient<Channel>;

/// How long a connection may take to come about, and an answer that can be asked for elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is left less than that before the end is too little for an answer: to send something that late
/// would only make its outcome unknown.
const LEAST: Duration = Duration::from_millis(50);

/// The first pause before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// How often a connection with calls on it is asked whether it is alive, and how long that may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// Why something wasn't done, or whether it was isn't known.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address was given.
    #[error("no address of a node was given")]
    Nobody,
    /// That is no address.
    #[error("{address:?} is not an address (HOST:PORT)")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// The node won't, and no other would.
    #[error("refused by {address}: {reason}")]
    Refused {
        /// Who said so.
        address: String,
        /// What it said.
        reason: String,
    },
    /// Nobody did it in time, and nobody will.
    #[error("nothing was done within {waited:?}; at last: {last}")]
    TooLate {
        /// The client's timeout.
        waited: Duration,
        /// Why not, at the last attempt.
        last: String,
    },
    /// It was done, or will be, or not.
    #[error("the outcome is unknown: {address}: {reason}")]
    Unknown {
        /// Who was asked.
        address: String,
        /// Why its answer isn't known.
        reason: String,
    },
}

/// Which state a read is of. The protocol's words; their numbers are on the wire.
pub use proto::ReadLevel;

/// What SET did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOutcome {
    /// Whether the key is bound to the value now; not if a condition didn't hold, in which case nothing was
    /// changed.
    pub set: bool,
    /// The value before; `None` if the key didn't exist, or [`get`](SetOptions::get) was off.
    pub previous: Option<Bytes>,
}

/// How far what was read is behind, as far as the node that answered knows: at the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Index of the last entry that the node had applied; `None` if none was.
    pub applied: Option<u64>,
    /// Index of the last entry that it knew to be committed; `None` if none was.
    pub committed: Option<u64>,
    /// How long ago it had heard from its leader or, where it leads, from a quorum; `None` where it knew of
    /// neither.
    pub heard: Option<Duration>,
}

impl From<proto::Behind> for Behind {
    fn from(proto: proto::Behind) -> Self {
        let proto::Behind { applied, committed, heard_ms } = proto;
        Self { applied, committed, heard: heard_ms.map(Duration::from_millis) }
    }
}

/// What several keys are bound to in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// One for each key, in their order; `None` where it doesn't exist.
    pub values: Vec<Option<Bytes>>,
    /// Where the read was local.
    pub behind: Option<Behind>,
}

/// Which keys are wanted. By default all, with their values, as many at once as a node gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// What they begin with.
    pub prefix: Bytes,
    /// Where to go on: [`Page::next`] of the page before. `None`: at the beginning.
    pub cursor: Option<Bytes>,
    /// The most keys in a page; 0: 10000, which is also the most that a node gives.
    pub max_keys: u32,
    /// Whether keys alone are wanted.
    pub keys_only: bool,
    /// Which state.
    pub level: ReadLevel,
}

/// What one state has of a [`Scan`]. All pages of one have each key once that was there throughout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys, which ascend, and their values, which are empty where they aren't wanted.
    pub records: Vec<(Bytes, Bytes)>,
    /// The cursor of the next page; `None` if there is none. It is the same for every node, and for ever.
    pub next: Option<Bytes>,
    /// Where the read was local.
    pub behind: Option<Behind>,
}

/// See the [module](self). Clones share their connections; any number of calls may be under way.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    nodes: Vec<Node>,
    /// Which of them is asked next.
    at: AtomicUsize,
    timeout: Duration,
    retries: AtomicU64,
}

impl Client {
    /// A client of the cluster whose nodes serve clients at `to`. A leader that isn't among them isn't
    /// found: the members know of each other where nodes are served. Connects to nobody yet; connections
    /// are driven by tasks on the runtime of the call that makes them.
    ///
    /// # Errors
    /// One of them is no address, or there is none.
    pub fn new(
        to: Vec<String>,
        tls: Option<ClientTlsConfig>,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let node = |address: String| match endpoint(&address, tls.as_ref()) {
            Ok(endpoint) => Ok(Node::new(address, endpoint)),
            Err(source) => Err(ClientError::Address { address, source }),
        };
        let nodes = to.into_iter().map(node).collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() {
            return Err(ClientError::Nobody);
        }
        let (at, retries) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self { shared: Arc::new(Shared { nodes, at, timeout, retries }) })
    }

    /// Binds `key` to `value`.
    ///
    /// # Errors
    /// See [`ClientError`], as for every call. Dropping the future gives the answer up; the operation may be
    /// applied all the same.
    pub async fn set(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<(), ClientError> {
        self.set_with(key, value, SetOptions::default()).await.map(drop)
    }

    /// Binds `key` to `value`; returns the value before.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn set_get(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Option<Bytes>, ClientError> {
        let options = SetOptions { condition: None, get: true };
        self.set_with(key, value, options).await.map(|outcome| outcome.previous)
    }

    /// `SET key value [NX | XX] [GET]`, with Redis's semantics.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn set_with(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        SetOptions { condition, get }: SetOptions,
    ) -> Result<SetOutcome, ClientError> {
        let condition = match condition {
            None => v1::SetCondition::Unspecified,
            Some(Condition::Absent) => v1::SetCondition::Absent,
            Some(Condition::Present) => v1::SetCondition::Present,
        };
        let (key, value, condition) = (key.into(), value.into(), condition.into());
        self.propose(Kind::Set(v1::SetOperation { key, value, get, condition }), |answer| {
            match answer {
                response::Kind::Set(v1::SetResponse { previous, not_set }) => {
                    Ok(SetOutcome { set: !not_set, previous })
                }
                response::Kind::Del(_) => Err("DEL was answered, not SET"),
            }
        })
        .await
    }

    /// Removes keys; returns how many there were.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn del(&self, keys: Vec<Bytes>) -> Result<u64, ClientError> {
        self.propose(Kind::Del(v1::DelOperation { keys }), |answer| match answer {
            response::Kind::Del(del) => Ok(del.deleted),
            response::Kind::Set(_) => Err("SET was answered, not DEL"),
        })
        .await
    }

    async fn propose<T>(
        &self,
        kind: Kind,
        read: impl Fn(response::Kind) -> Result<T, &'static str>,
    ) -> Result<T, ClientError> {
        let operation = Some(v1::Operation { kind: Some(kind) });
        let request = request::Kind::Propose(proto::ProposeRequest { operation });
        self.exchange(Repeat::IfNotDone, request, |answer| {
            let answer::Kind::Propose(answer) = answer else {
                return Attempt::Unknown("another call was answered".to_owned());
            };
            answer.outcome().and_then(|response| {
                let unknown = |reason: &str| Attempt::Unknown(reason.to_owned());
                match response.kind {
                    Some(kind) => read(kind).map_or_else(unknown, Attempt::Done),
                    None => unknown("the answer is of a kind that isn't known here"),
                }
            })
        })
        .await
    }

    /// What `key` is bound to, as of the call at the earliest.
    ///
    /// # Errors
    /// As [`set`](Self::set), but that no outcome is unknown, as for all that reads.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Option<Bytes>, ClientError> {
        self.get_at(key, ReadLevel::Linearizable).await.map(|(value, _)| value)
    }

    /// What `key` is bound to in a state of that level and, where that is local, how far it is behind.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_at(
        &self,
        key: impl Into<Bytes>,
        level: ReadLevel,
    ) -> Result<(Option<Bytes>, Option<Behind>), ClientError> {
        let request = proto::ReadRequest { key: key.into(), local: false, level: level.into() };
        let read =
            self.exchange(Repeat::Soon, request::Kind::Read(request), |answer| match answer {
                answer::Kind::Read(answer) => answer.outcome(),
                _ => Attempt::NotDone("another call was answered".to_owned()),
            });
        read.await.map(|read| (read.value, read.behind.map(Into::into)))
    }

    /// What `keys` are bound to, all in one state of that level. At most 1024, whose values have 4 MiB at
    /// most in all, or as many as one value may have.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(
        &self,
        keys: Vec<Bytes>,
        level: ReadLevel,
    ) -> Result<Values, ClientError> {
        let asked = keys.len();
        let request = proto::GetManyRequest { keys, level: level.into() };
        let request = request::Kind::GetMany(request);
        let read = self.exchange(Repeat::Soon, request, |answer| match answer {
            answer::Kind::GetMany(answer) => match answer.outcome() {
                Attempt::Done(values) if values.values.len() != asked => {
                    let got = values.values.len();
                    Attempt::Refused(format!("{got} values are the answer for {asked} keys"))
                }
                outcome => outcome,
            },
            _ => Attempt::NotDone("another call was answered".to_owned()),
        });
        let proto::Values { values, behind } = read.await?;
        let values = values.into_iter().map(|value| value.value).collect();
        Ok(Values { values, behind: behind.map(Into::into) })
    }

    /// A page of keys, all of one state. A node looks at every key that it has for it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn scan(&self, scan: &Scan) -> Result<Page, ClientError> {
        let request = proto::ScanRequest {
            prefix: scan.prefix.clone(),
            after: scan.cursor.clone(),
            max_keys: scan.max_keys,
            keys_only: scan.keys_only,
            level: scan.level.into(),
        };
        let read =
            self.exchange(Repeat::Always, request::Kind::Scan(request), |answer| match answer {
                answer::Kind::Scan(answer) => answer.outcome(),
                _ => Attempt::NotDone("another call was answered".to_owned()),
            });
        let proto::Page { records, more, behind } = read.await?;
        let records: Vec<_> = records.into_iter().map(|it| (it.key, it.value)).collect();
        let next = records.last().map(|(key, _)| key.clone()).filter(|_| more);
        Ok(Page { records, next, behind: behind.map(Into::into) })
    }

    /// Makes a node a voter; returns the members.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn add(&self, id: u64, address: &str) -> Result<Vec<proto::Member>, ClientError> {
        let send = |mut stub: Stub| {
            let request = proto::AddMemberRequest { id, address: address.to_owned() };
            async move { stub.add_member(request).await }
        };
        self.call(Repeat::IfNotDone, send).await.map(|membership| membership.members)
    }

    /// Makes a node a member no more; returns the members.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn remove(&self, id: u64) -> Result<Vec<proto::Member>, ClientError> {
        let send = |mut stub: Stub| async move {
            stub.remove_member(proto::RemoveMemberRequest { id }).await
        };
        self.call(Repeat::IfNotDone, send).await.map(|membership| membership.members)
    }

    /// How the node at `address`, which must be one of those that were given, is by its own account. Asks it
    /// once; the error says why there is no answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn status(&self, address: &str) -> Result<proto::StatusResponse, String> {
        let request = proto::StatusRequest { digest: true };
        self.ask_one(address, |mut stub| async move { stub.status(request).await }).await
    }

    /// How often anything had to be sent again, elsewhere or later.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }

    /// A call of its own.
    async fn call<A: Answer, F>(
        &self,
        repeat: Repeat,
        send: impl Fn(Stub) -> F,
    ) -> Result<A::Done, ClientError>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let mut course = Course::new(&self.shared);
        loop {
            let node = course.node()?;
            let attempt = match course.connected(node.channel()).await {
                Err(reason) => Attempt::NotDone(reason),
                Ok(channel) => match repeat.limit(course.deadline) {
                    None => too_late(),
                    Some(limit) => match timeout(limit, send(stub(channel))).await {
                        Ok(Ok(answer)) => answer.into_inner().outcome(),
                        Ok(Err(status)) => {
                            // It may be dead without knowing.
                            node.disconnect();
                            repeat.after(was_done(&status), words(&status))
                        }
                        Err(_) => {
                            node.disconnect();
                            repeat.after(Some(true), format!("no answer within {limit:?}"))
                        }
                    },
                },
            };
            if let Some(end) = course.after(attempt).await {
                return end;
            }
        }
    }

    /// A call among those of the stream.
    async fn exchange<T>(
        &self,
        repeat: Repeat,
        request: request::Kind,
        read: impl Fn(answer::Kind) -> Attempt<T>,
    ) -> Result<T, ClientError> {
        let mut course = Course::new(&self.shared);
        loop {
            let node = course.node()?;
            let link = match node.link() {
                Some(link) => Ok(link),
                None => course.connected(node.connect()).await,
            };
            let attempt = match (link, repeat.limit(course.deadline)) {
                (Err(reason), _) => Attempt::NotDone(reason),
                (Ok(_), None) => too_late(),
                (Ok(link), Some(limit)) => {
                    match link.call(request.clone(), Instant::now() + limit).await {
                        Ok(Some(answer::Kind::Refused(refused))) => refused.into(),
                        Ok(Some(answer)) => read(answer),
                        Ok(None) => {
                            repeat.after(Some(true), "an answer that isn't known here".to_owned())
                        }
                        Err(lost) => {
                            // It may be dead without knowing. Others that wait go on.
                            node.leave(&link);
                            repeat.after(lost.done, lost.reason.to_string())
                        }
                    }
                }
            };
            if let Some(end) = course.after(attempt).await {
                return end;
            }
        }
    }
}

/// The attempts of one call, until somebody does it, or the time is over.
struct Course<'a> {
    shared: &'a Shared,
    deadline: Instant,
    /// The node that is asked.
    at: usize,
    /// Nodes that are asked without a pause.
    at_once: usize,
    /// Pauses that were made.
    pauses: u32,
    /// Why it wasn't done at the last attempt.
    last: String,
}

impl<'a> Course<'a> {
    fn new(shared: &'a Shared) -> Self {
        let at_once = shared.nodes.len().saturating_sub(1);
        let last = "no time was left to ask".to_owned();
        Self { shared, deadline: Instant::now() + shared.timeout, at: 0, at_once, pauses: 0, last }
    }

    /// Whom to ask next.
    fn node(&mut self) -> Result<&'a Node, ClientError> {
        self.at = self.shared.at.load(Ordering::Relaxed);
        self.current().ok_or(ClientError::Nobody)
    }

    fn current(&self) -> Option<&'a Node> {
        // Always there: `new` has seen to it that one is.
        self.shared.nodes.get(self.at % self.shared.nodes.len().max(1))
    }

    async fn connected<T>(
        &self,
        connection: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let limit = left.min(PATIENCE);
        let connected = timeout(limit, connection).await;
        connected.unwrap_or_else(|_| Err(format!("silent for {limit:?}")))
    }

    /// What came of an attempt, if that is the end; else it is time for the next.
    async fn after<T>(&mut self, attempt: Attempt<T>) -> Option<Result<T, ClientError>> {
        let node = self.current();
        let address = || node.map(|node| node.address().to_owned()).unwrap_or_default();
        let (reason, elsewhere) = match attempt {
            Attempt::Done(done) => return Some(Ok(done)),
            Attempt::Refused(reason) => {
                return Some(Err(ClientError::Refused { address: address(), reason }));
            }
            Attempt::Unknown(reason) => {
                self.shared.turn(self.at);
                return Some(Err(ClientError::Unknown { address: address(), reason }));
            }
            Attempt::Elsewhere(reason) => (reason, true),
            Attempt::NotDone(reason) => (reason, false),
        };
        if !reason.is_empty() {
            self.last = format!("{}: {reason}", address());
        }
        self.shared.retries.fetch_add(1, Ordering::Relaxed);
        self.shared.turn(self.at);
        // One of the others leads, unless they don't agree yet.
        if elsewhere && self.at_once > 0 {
            self.at_once -= 1;
            return None;
        }
        let pause = pause(self.pauses);
        // Behind the pause there would be too little left.
        if Instant::now() + pause + LEAST >= self.deadline {
            let last = std::mem::take(&mut self.last);
            return Some(Err(ClientError::TooLate { waited: self.shared.timeout, last }));
        }
        tokio::time::sleep(pause).await;
        self.pauses += 1;
        self.at_once = self.shared.nodes.len().saturating_sub(1);
        None
    }
}

impl Shared {
    /// Goes on to the node behind `at`, unless another call did.
    fn turn(&self, at: usize) {
        let next = at.wrapping_add(1);
        let _ = self.at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Without words, as what came before says more.
fn too_late<T>() -> Attempt<T> {
    Attempt::NotDone(String::new())
}

fn stub(channel: Channel) -> Stub {
    Stub::new(channel).max_decoding_message_size(usize::MAX)
}

/// When to send something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// If there is no answer, and before long.
    Soon,
    /// If there is no answer, which may take long.
    Always,
    /// If it was certainly not done.
    IfNotDone,
}

impl Repeat {
    /// How long an answer may take; `None`: there is no time left to ask.
    fn limit(self, deadline: Instant) -> Option<Duration> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = if self == Self::Soon { left.min(PATIENCE) } else { left };
        (left >= LEAST).then_some(limit)
    }

    /// What came of something that has no answer, and may have been done; `None`: it wasn't, nor would be.
    fn after<T>(self, done: Option<bool>, reason: String) -> Attempt<T> {
        match done {
            None => Attempt::Refused(reason),
            Some(true) if self == Self::IfNotDone => Attempt::Unknown(reason),
            Some(_) => Attempt::NotDone(reason),
        }
    }
}

fn endpoint(
    address: &str,
    tls: Option<&ClientTlsConfig>,
) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()),
        None => Ok(endpoint),
    }
}

/// The pause after so many: each is twice as long as the one before, cut by up to a half at random, so that
/// clients that failed together don't return together.
fn pause(n: u32) -> Duration {
    let whole = PAUSES.0.saturating_mul(2_u32.saturating_pow(n.min(16))).min(PAUSES.1);
    let share = (RandomState::new().hash_one(n) % 512) as u32;
    whole - whole.mul_f64(f64::from(share) / 1024.0)
}

/// An error and what is behind it, each once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = error.source();
    }
    text
}
