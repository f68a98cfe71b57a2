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
//! - A node that is shutting down, or has no room for what is sent to it, says what it took: the rest is sent
//!   again, here or elsewhere. A node of an older version that doesn't know a call is passed by; if none of them
//!   does, the call is refused at once.
//! - Calls that are made at once share a stream to the node that leads: what waits goes in one message, and
//!   answers come as they are ready. A call waits for no other, but that pages of scans, and long answers that
//!   aren't taken, have their turns at the node.
//!
//! Not guaranteed: that one learns whether an operation was applied. Where its answer is lost, it was
//! or it wasn't ([`ClientError::Unknown`]), and nothing in a cluster tells it from others like it.

mod admin;
mod attempt;
mod calls;
pub mod commands;
mod connect;
mod course;
mod error;
mod link;
mod node;
mod outcome;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use self::attempt::{Answer, Attempt};
use self::course::Repeat;
pub use self::error::{AskError, ClientError, Unanswered};
use self::node::Node;
pub use self::outcome::{Behind, Page, Scan, SetOutcome, Values};
pub use crate::condition::{Condition, SetOptions};
use crate::proto::client::{self as proto, answer, request};
use crate::proto::v1::{self, operation::Kind, response};
/// What a client shows, and whom it trusts: tonic's own.
pub use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// How long a connection may take to come about, and an answer that can be asked for elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which state a read is of. The protocol's words; their numbers are on the wire.
pub use proto::ReadLevel;

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
        let node = |address| Node::new(address, tls.as_ref());
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

    /// How often anything had to be sent again, elsewhere or later.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Goes on to the node behind `at`, unless another call did.
    fn turn(&self, at: usize) {
        let next = at.wrapping_add(1);
        let _ = self.at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}
