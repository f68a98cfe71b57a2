//! The proposals under way: proposed and answered in the same order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use seshat_core::error::ProposeError;
use seshat_core::node::RaftNode;
use seshat_core::operation::{Operation, Response};

/// Bytes in flight at most, whatever the window. A node whose queue is full makes proposers wait,
/// and those that wait might be overtaken; a quarter of the default `queue_bytes` never fills it.
const WINDOW_BYTES: usize = 16 << 20;

/// More than a proposal takes beside its keys and values.
const OVERHEAD: usize = 256;

pub(crate) type Answer = Result<Response, ProposeError>;

/// The proposals under way, oldest first.
#[derive(Default)]
pub(crate) struct Flight {
    proposals: VecDeque<Proposal>,
    bytes: usize,
}

struct Proposal {
    bytes: usize,
    state: State,
}

enum State {
    Waiting(Pin<Box<dyn Future<Output = Answer> + Send>>),
    Answered(Answer),
}

impl Flight {
    pub(crate) fn len(&self) -> usize {
        self.proposals.len()
    }

    /// Whether one more may be under way. One always may.
    pub(crate) fn has_room(&self, window: usize, operation: &Operation) -> bool {
        let bytes = self.bytes + operation.payload_bytes() + OVERHEAD;
        self.len() < window && (bytes <= WINDOW_BYTES || self.len() == 0)
    }

    /// Polls the proposal once, which puts it into the node's queue behind those before it. Only
    /// the oldest needs to be woken, by [`next`](Flight::next).
    pub(crate) fn propose(&mut self, leader: &RaftNode, operation: &Operation) {
        let bytes = operation.payload_bytes() + OVERHEAD;
        let (leader, operation) = (leader.clone(), operation.clone());
        let mut answer = Box::pin(async move { leader.propose(operation).await });
        let state = match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => State::Answered(answer),
            Poll::Pending => State::Waiting(answer),
        };
        self.proposals.push_back(Proposal { bytes, state });
        self.bytes += bytes;
    }

    /// The answer to the oldest proposal; `None` if there is none.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        if let State::Waiting(answer) = &mut self.proposals.front_mut()?.state {
            let answered = answer.await;
            self.proposals.front_mut()?.state = State::Answered(answered);
        }
        let oldest = self.proposals.pop_front()?;
        self.bytes -= oldest.bytes;
        match oldest.state {
            State::Answered(answer) => Some(answer),
            // It was answered above.
            State::Waiting(_) => None,
        }
    }

    /// Waits for all the answers and drops them.
    pub(crate) async fn drain(&mut self) {
        while self.next().await.is_some() {}
    }
}
