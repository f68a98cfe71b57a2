//! [`Answer`]: openraft's, to one entry.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::metrics::Timer;
use crate::types::TypeConfig;

/// How it arrives.
pub(super) type Received = Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>;

/// Times how long it takes to come, if the entry is applied.
#[derive(Debug)]
pub(super) struct Answer {
    answer: oneshot::Receiver<ClientWriteResult<TypeConfig>>,
    timer: Timer,
}

impl Answer {
    pub(super) fn new(
        answer: oneshot::Receiver<ClientWriteResult<TypeConfig>>,
        timer: Timer,
    ) -> Self {
        Self { answer, timer }
    }

    /// If it is there.
    pub(super) fn now(&mut self) -> Option<Received> {
        match self.answer.try_recv() {
            Ok(received) => Some(self.timed(Ok(received))),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }

    fn timed(&self, received: Received) -> Received {
        if let Ok(Ok(_)) = &received {
            self.timer.record();
        }
        received
    }
}

impl Future for Answer {
    type Output = Received;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Received> {
        let received = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(self.timed(received))
    }
}
