//! [`Course`]: the attempts of one call, until somebody does it, or the time is over.
//!
//! Guarantees: a call that may have been done is sent again only if it changes nothing. A node that can't do it
//! is passed by, and only if each of them says so of itself is the call refused. Between rounds there are
//! pauses, which grow; the end comes within the time, and nothing is sent so late that it could have no answer.

use std::collections::BTreeSet;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::attempt::{Answer, Attempt, is_unconnected};
use super::connect::{Stub, stub};
use super::error::{ClientError, chain, words};
use super::node::Node;
use super::{Client, PATIENCE, Shared};
use crate::proto::client::{answer, request};

/// What is left less than that before the end is too little for an answer: to send something that late
/// would only make its outcome unknown.
const LEAST: Duration = Duration::from_millis(50);

/// The first pause before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

impl Client {
    /// A call of its own.
    pub(super) async fn call<A: Answer, F>(
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
            let connection =
                async { node.channel().await.map_err(|error| Attempt::NotDone(chain(&error))) };
            let attempt = match course.connected(connection).await {
                Err(attempt) => attempt,
                Ok(channel) => match repeat.limit(course.deadline) {
                    None => too_late(),
                    Some(limit) => match timeout(limit, send(stub(channel))).await {
                        Ok(Ok(answer)) => answer.into_inner().outcome(),
                        Ok(Err(status)) => {
                            // It may be dead without knowing.
                            node.disconnect();
                            repeat.failed(&status)
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
    pub(super) async fn exchange<T>(
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
                None => course.connected(async { node.connect().await.map_err(Into::into) }).await,
            };
            let attempt = match (link, repeat.limit(course.deadline)) {
                (Err(attempt), _) => attempt,
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
                            if lost.done.is_some() {
                                node.leave(&link);
                            }
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
    /// Nodes that don't know the call.
    older: BTreeSet<usize>,
    /// Why it wasn't done at the last attempt.
    last: String,
}

impl<'a> Course<'a> {
    fn new(shared: &'a Shared) -> Self {
        let at_once = shared.nodes.len().saturating_sub(1);
        let last = "no time was left to ask".to_owned();
        let (deadline, older) = (Instant::now() + shared.timeout, BTreeSet::new());
        Self { shared, deadline, at: 0, at_once, pauses: 0, older, last }
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

    async fn connected<T, U>(
        &self,
        connection: impl Future<Output = Result<T, Attempt<U>>>,
    ) -> Result<T, Attempt<U>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let limit = left.min(PATIENCE);
        let connected = timeout(limit, connection).await;
        connected.unwrap_or_else(|_| Err(Attempt::NotDone(format!("silent for {limit:?}"))))
    }

    /// What came of an attempt, if that is the end; else it is time for the next.
    async fn after<T>(&mut self, attempt: Attempt<T>) -> Option<Result<T, ClientError>> {
        let node = self.current();
        let address = || node.map(|node| node.address().to_owned()).unwrap_or_default();
        let older = matches!(attempt, Attempt::Older(_));
        let (reason, elsewhere) = match attempt {
            Attempt::Done(done) => return Some(Ok(done)),
            Attempt::Refused(reason) => {
                return Some(Err(ClientError::Refused { address: address(), reason }));
            }
            Attempt::Unknown(reason) => {
                self.shared.turn(self.at);
                return Some(Err(ClientError::Unknown { address: address(), reason }));
            }
            Attempt::Older(reason) => {
                self.older.insert(self.at % self.shared.nodes.len().max(1));
                if self.older.len() == self.shared.nodes.len() {
                    return Some(Err(ClientError::Refused { address: address(), reason }));
                }
                (reason, true)
            }
            Attempt::Elsewhere(reason) => (reason, true),
            Attempt::NotDone(reason) => (reason, false),
        };
        // Where the leader is older, that others don't lead says less.
        if !reason.is_empty() && (older || self.older.is_empty()) {
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

/// Without words, as what came before says more.
fn too_late<T>() -> Attempt<T> {
    Attempt::NotDone(String::new())
}

/// When to send something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
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

    /// What came of a call that ended so.
    fn failed<T>(self, status: &Status) -> Attempt<T> {
        let reason = words(status);
        if is_unconnected(status) {
            return Attempt::NotDone(reason);
        }
        match status.code() {
            // The server's codec, before there was a message: too long, or no such call.
            Code::OutOfRange => Attempt::Refused(reason),
            Code::Unimplemented => Attempt::Older(reason),
            _ => self.after(Some(true), reason),
        }
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

/// The pause after so many: each is twice as long as the one before, cut by up to a half at random, so that
/// clients that failed together don't return together.
fn pause(n: u32) -> Duration {
    let whole = PAUSES.0.saturating_mul(2_u32.saturating_pow(n.min(16))).min(PAUSES.1);
    let share = (RandomState::new().hash_one(n) % 512) as u32;
    whole - whole.mul_f64(f64::from(share) / 1024.0)
}
