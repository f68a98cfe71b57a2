//! A client of a cluster that finds its leader and repeats what it may.
//!
//! ```no_run
//! # async fn of(to: Vec<String>) -> Result<(), seshat_core::client::ClientError> {
//! use std::time::Duration;
//!
//! use seshat_core::client::Client;
//!
//! let mut client = Client::new(to, None, Duration::from_secs(10))?;
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
//!
//! Not guaranteed: that one learns whether an operation was applied. Where its answer is lost, it was
//! or it wasn't ([`ClientError::Unknown`]), and nothing in a cluster tells it from others like it.

mod admin;
mod attempt;

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::proto::client as proto;
use crate::proto::client::client_client::ClientClient;
use crate::proto::v1::{self, operation::Kind, response};
use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use self::attempt::{Answer, Attempt, was_done, words};

type Stub = ClientClient<Channel>;

/// How long a connection may take to come about, and an answer that can be asked for elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is left less than that before the end is too little for an answer: to send something that late
/// would only make its outcome unknown.
const LEAST: Duration = Duration::from_millis(50);

/// The first pause before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Why something wasn't done, or whether it was isn't known.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
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

/// See the [module](self). One call at a time.
#[derive(Debug)]
pub struct Client {
    /// Where to begin, and to go on when a node doesn't know better.
    to: Vec<String>,
    /// Which of them is next.
    next: usize,
    /// The node to ask.
    at: String,
    connected: HashMap<String, Channel>,
    tls: Option<ClientTlsConfig>,
    timeout: Duration,
    retries: u64,
}

impl Client {
    /// A client of the cluster whose nodes serve clients at `to`. A leader that isn't among them isn't
    /// found: the members know of each other where nodes are served. Connects to nobody yet.
    pub fn new(
        to: Vec<String>,
        tls: Option<ClientTlsConfig>,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        for address in &to {
            endpoint(address, tls.as_ref()).map_err(|source| {
                let address = address.clone();
                ClientError::Address { address, source }
            })?;
        }
        let at = to.first().cloned().unwrap_or_default();
        Ok(Self { to, next: 1, at, connected: HashMap::new(), tls, timeout, retries: 0 })
    }

    /// Binds `key` to `value`.
    pub async fn set(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<(), ClientError> {
        let set = v1::SetOperation { key: key.into(), value: value.into(), get: false };
        self.propose_set(set).await.map(drop)
    }

    /// Binds `key` to `value`; returns the value before.
    pub async fn set_get(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Option<Bytes>, ClientError> {
        let set = v1::SetOperation { key: key.into(), value: value.into(), get: true };
        self.propose_set(set).await
    }

    async fn propose_set(&mut self, set: v1::SetOperation) -> Result<Option<Bytes>, ClientError> {
        let kind = Kind::Set(set);
        match self.propose(kind).await? {
            response::Kind::Set(set) => Ok(set.previous),
            response::Kind::Del(_) => Err(self.unknown("DEL was answered, not SET")),
        }
    }

    /// Removes keys; returns how many there were.
    pub async fn del(&mut self, keys: Vec<Bytes>) -> Result<u64, ClientError> {
        match self.propose(Kind::Del(v1::DelOperation { keys })).await? {
            response::Kind::Del(del) => Ok(del.deleted),
            response::Kind::Set(_) => Err(self.unknown("SET was answered, not DEL")),
        }
    }

    async fn propose(&mut self, kind: Kind) -> Result<response::Kind, ClientError> {
        let operation = Some(v1::Operation { kind: Some(kind) });
        let request = proto::ProposeRequest { operation };
        let send = |mut stub: Stub| {
            let request = request.clone();
            async move { stub.propose(request).await }
        };
        let response = self.ask(Repeat::IfNotDone, send).await?;
        response.kind.ok_or_else(|| self.unknown("the answer is of a kind that isn't known here"))
    }

    /// What `key` is bound to, as of the call at the earliest.
    pub async fn get(&mut self, key: impl Into<Bytes>) -> Result<Option<Bytes>, ClientError> {
        let request = proto::ReadRequest { key: key.into(), local: false };
        let send = |mut stub: Stub| {
            let request = request.clone();
            async move { stub.read(request).await }
        };
        self.ask(Repeat::Always, send).await.map(|read| read.value)
    }

    /// Makes a node a voter.
    pub async fn add(&mut self, id: u64, address: &str) -> Result<Vec<proto::Member>, ClientError> {
        let send = |mut stub: Stub| {
            let request = proto::AddMemberRequest { id, address: address.to_owned() };
            async move { stub.add_member(request).await }
        };
        self.ask(Repeat::IfNotDone, send).await.map(|membership| membership.members)
    }

    /// Makes a node a member no more.
    pub async fn remove(&mut self, id: u64) -> Result<Vec<proto::Member>, ClientError> {
        let send = |mut stub: Stub| async move {
            stub.remove_member(proto::RemoveMemberRequest { id }).await
        };
        self.ask(Repeat::IfNotDone, send).await.map(|membership| membership.members)
    }

    /// How the node at `address` is, by its own account. Asks it once; the error says why there is no
    /// answer.
    pub async fn status(&mut self, address: &str) -> Result<proto::StatusResponse, String> {
        let mut stub = self.connect(address, self.timeout.min(PATIENCE)).await?;
        let asked = stub.status(proto::StatusRequest { digest: true });
        match timeout(self.timeout, asked).await {
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| words(&status)),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    /// How often anything had to be sent again, elsewhere or later.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    fn unknown(&self, reason: &str) -> ClientError {
        ClientError::Unknown { address: self.at.clone(), reason: reason.to_owned() }
    }

    /// Asks until somebody does it, or the time is over.
    async fn ask<A: Answer, F>(
        &mut self,
        repeat: Repeat,
        send: impl Fn(Stub) -> F,
    ) -> Result<A::Done, ClientError>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut pauses = pauses();
        let others = self.to.len().saturating_sub(1);
        let mut at_once = others;
        loop {
            let address = self.at.clone();
            let reason = match self.attempt(&address, repeat, &send, deadline).await {
                Attempt::Done(done) => return Ok(done),
                Attempt::Refused(reason) => return Err(ClientError::Refused { address, reason }),
                Attempt::Unknown(reason) => {
                    self.turn();
                    return Err(ClientError::Unknown { address, reason });
                }
                Attempt::Elsewhere(reason) => {
                    self.retries += 1;
                    self.turn();
                    // One of the others leads, unless they don't agree yet.
                    if at_once > 0 {
                        at_once -= 1;
                        continue;
                    }
                    reason
                }
                Attempt::NotDone(reason) => {
                    self.retries += 1;
                    self.turn();
                    reason
                }
            };
            let pause = pauses.next().unwrap_or(PAUSES.1);
            if Instant::now() + pause >= deadline {
                let last = format!("{address}: {reason}");
                return Err(ClientError::TooLate { waited: self.timeout, last });
            }
            tokio::time::sleep(pause).await;
            at_once = others;
        }
    }

    async fn attempt<A: Answer, F>(
        &mut self,
        address: &str,
        repeat: Repeat,
        send: &impl Fn(Stub) -> F,
        deadline: Instant,
    ) -> Attempt<A::Done>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let left = deadline.saturating_duration_since(Instant::now());
        let stub = match self.connect(address, left.min(PATIENCE)).await {
            Ok(stub) => stub,
            Err(reason) => return Attempt::NotDone(reason),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left < LEAST {
            return Attempt::NotDone("no time was left to ask".to_owned());
        }
        let limit = if repeat == Repeat::Always { left.min(PATIENCE) } else { left };
        let (done, reason) = match timeout(limit, send(stub)).await {
            Ok(Ok(answer)) => return answer.into_inner().outcome(),
            Ok(Err(status)) => (was_done(&status), words(&status)),
            Err(_) => (Some(true), format!("no answer within {limit:?}")),
        };
        // It may be dead without knowing.
        self.connected.remove(address);
        match done {
            None => Attempt::Refused(reason),
            Some(true) if repeat == Repeat::IfNotDone => Attempt::Unknown(reason),
            Some(_) => Attempt::NotDone(reason),
        }
    }

    /// Connects, unless that was done before. Whatever fails here, nothing was sent.
    async fn connect(&mut self, address: &str, limit: Duration) -> Result<Stub, String> {
        let channel = match self.connected.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = endpoint(address, self.tls.as_ref()).map_err(|it| chain(&it))?;
                let connecting = timeout(limit, endpoint.connect());
                let connected = connecting.await.map_err(|_| format!("silent for {limit:?}"))?;
                let channel = connected.map_err(|error| chain(&error))?;
                self.connected.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        Ok(Stub::new(channel).max_decoding_message_size(usize::MAX))
    }

    /// Goes on to the next of the addresses that were given.
    fn turn(&mut self) {
        if let Some(next) = self.to.get(self.next % self.to.len().max(1)) {
            self.at.clone_from(next);
            self.next = self.next.wrapping_add(1);
        }
    }
}

/// When to send something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Always,
    /// If it was certainly not done.
    IfNotDone,
}

fn endpoint(
    address: &str,
    tls: Option<&ClientTlsConfig>,
) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?.tcp_nodelay(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()),
        None => Ok(endpoint),
    }
}

/// Each twice as long as the one before, cut by up to a half at random, so that clients that failed
/// together don't return together.
fn pauses() -> impl Iterator<Item = Duration> {
    let random = RandomState::new();
    (0_u32..).map(move |n| {
        let whole = PAUSES.0.saturating_mul(2_u32.saturating_pow(n.min(16))).min(PAUSES.1);
        let share = (random.hash_one(n) % 512) as u32;
        whole - whole.mul_f64(f64::from(share) / 1024.0)
    })
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
