//! Packs the operations that queue up while one entry is under way into the next entry.
//!
//! openraft 0.9 appends one entry for each write and waits for its flush before it replicates
//! it, so the node does what the store can't: one entry carries whatever was queued. No timer: a
//! lone client's operation goes out at once, alone. First come, first served, so proposers are
//! served in turn and each one in its own order.
//!
//! Bounds: the queue by bytes (a proposer waits for a place, then for its deadline), an entry by
//! operations and bytes, every proposal by a deadline of its own.

mod queue;

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::error::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::queue::{Queue, Waiting};
use crate::config::BatchConfig;
use crate::error::{NotLeader, ProposeError, Stopped};
use crate::operation::{Batch, EntryResponse, Operation, Response};
use crate::types::{Raft, TypeConfig};

/// openraft's answer to one entry.
type Answer = oneshot::Receiver<ClientWriteResult<TypeConfig>>;

/// The proposing side. Clones share the queue.
#[derive(Debug, Clone)]
pub(super) struct Batcher {
    queue: Arc<Queue>,
    timeout: Duration,
}

impl Batcher {
    /// The batcher, and the task that drives it until it is [closed](Batcher::close).
    pub(super) fn new(
        config: &BatchConfig,
        timeout: Duration,
        raft: Raft,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let queue = Arc::new(Queue::new(config));
        let driver = Driver { queue: Arc::clone(&queue), timeout, raft };
        (Self { queue, timeout }, driver.run())
    }

    /// Proposes one operation and waits for its response. Dropping the future gives up the
    /// response, and the operation too if it isn't in an entry yet.
    pub(super) async fn propose(&self, operation: Operation) -> Result<Response, ProposeError> {
        let deadline = Instant::now() + self.timeout;
        let answer = self.queue.push(operation, deadline, self.timeout).await?;
        answer.await.unwrap_or(Err(Stopped::ShutDown.into()))
    }

    /// Refuses proposals from now on. The driver answers those that are queued, then ends.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Bytes that proposals take in the queue and in the entry under way.
    #[cfg(test)]
    fn used(&self) -> usize {
        self.queue.used()
    }
}

struct Driver {
    queue: Arc<Queue>,
    timeout: Duration,
    raft: Raft,
}

impl Driver {
    async fn run(self) {
        while let Some((operations, waiting)) = self.queue.next_batch().await {
            tracing::trace!(operations = operations.len(), "propose an entry");
            match self.raft.client_write_ff(Batch::new(operations)).await {
                Ok(answer) => self.under_way(answer, waiting).await,
                Err(fatal) => waiting.fail(&Stopped::from(fatal).into()),
            }
            // Those who were just answered may have more to say: let them, so that it goes into
            // the next entry.
            tokio::task::yield_now().await;
        }
    }

    /// Waits for an entry's answer, and meanwhile for deadlines.
    async fn under_way(&self, mut answer: Answer, mut waiting: Waiting) {
        let mut server = self.raft.server_metrics();
        loop {
            let deadline = match (waiting.deadline(), self.queue.deadline()) {
                (Some(a), Some(b)) => a.min(b),
                // Nobody waits for the entry any more.
                (None, _) => return,
                (Some(a), None) => a,
            };
            tokio::select! {
                biased;
                answered = &mut answer => return self.distribute(answered, waiting),
                // The entry of a former leader may wait for a long time to be overwritten. What
                // is queued behind it shall hear at once that this node doesn't lead.
                Ok(()) = server.changed() => {
                    if server.borrow_and_update().state != ServerState::Leader {
                        return self.set_aside(answer, waiting);
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let late = ProposeError::NoQuorum { waited: self.timeout };
                    waiting.expire(&late);
                    self.queue.expire(&late);
                }
            }
        }
    }

    /// Goes on waiting for an entry's answer in a task of its own, until its last deadline.
    fn set_aside(&self, mut answer: Answer, mut waiting: Waiting) {
        let this =
            Self { queue: Arc::clone(&self.queue), timeout: self.timeout, raft: self.raft.clone() };
        tokio::spawn(async move {
            while let Some(deadline) = waiting.deadline() {
                tokio::select! {
                    biased;
                    answered = &mut answer => return this.distribute(answered, waiting),
                    () = tokio::time::sleep_until(deadline) => {
                        waiting.expire(&ProposeError::NoQuorum { waited: this.timeout });
                    }
                }
            }
        });
    }

    fn distribute(
        &self,
        answered: Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>,
        waiting: Waiting,
    ) {
        let error = match answered {
            Ok(Ok(written)) => match written.data {
                EntryResponse::Batch(responses) => return waiting.answer(responses),
                EntryResponse::Blank | EntryResponse::Membership => {
                    return waiting.answer(Vec::new());
                }
            },
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => NotLeader::from(forward).into(),
            // Not an answer to a normal entry.
            Ok(Err(ClientWriteError::ChangeMembershipError(_))) => {
                NotLeader { leader: None }.into()
            }
            // openraft dropped the proposal: it stopped, and its metrics say why.
            Err(_) => match &self.raft.metrics().borrow().running_state {
                Err(fatal) => Stopped::from(fatal.clone()).into(),
                Ok(()) => Stopped::ShutDown.into(),
            },
        };
        waiting.fail(&error);
    }
}
