//! Those who wait for an entry, each for its own response.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::door::Place;
use crate::error::ProposeError;
use crate::operation::Response;

pub(super) type Reply = oneshot::Sender<Result<Response, ProposeError>>;
pub(super) type Answered = oneshot::Receiver<Result<Response, ProposeError>>;

/// The proposers that wait for one entry, in the order of its operations, and the entry's place, which
/// it keeps when nobody waits any more: until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    /// `None` once answered.
    replies: VecDeque<(Instant, Option<Reply>)>,
    /// How many of the first ones have been answered.
    expired: usize,
    _place: Place,
}

impl Waiting {
    pub(super) fn new(replies: VecDeque<(Instant, Option<Reply>)>, place: Place) -> Self {
        Self { replies, expired: 0, _place: place }
    }

    /// The earliest deadline; `None` if nobody waits any more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.replies.get(self.expired).map(|(deadline, _)| *deadline)
    }

    /// Answers those whose deadline has passed.
    pub(super) fn expire(&mut self, error: &ProposeError) {
        let now = Instant::now();
        for (deadline, reply) in self.replies.range_mut(self.expired..) {
            if *deadline > now {
                break;
            }
            self.expired += 1;
            if let Some(reply) = reply.take() {
                // Whoever dropped the future doesn't hear it.
                let _ = reply.send(Err(error.clone()));
            }
        }
    }

    /// Answers each with its own response.
    pub(super) fn answer(self, responses: Vec<Response>) {
        let (got, expected) = (responses.len(), self.replies.len());
        let mut responses = responses.into_iter();
        for (_, reply) in self.replies {
            let response = responses.next().ok_or(ProposeError::Unanswered { got, expected });
            if let Some(reply) = reply {
                // Whoever dropped the future doesn't hear it.
                let _ = reply.send(response);
            }
        }
    }

    /// Answers each with the same error.
    pub(super) fn fail(self, error: &ProposeError) {
        for reply in self.replies.into_iter().filter_map(|(_, reply)| reply) {
            // Whoever dropped the future doesn't hear it.
            let _ = reply.send(Err(error.clone()));
        }
    }
}
