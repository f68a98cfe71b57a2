//! The places in the queue, and the door before them.
//!
//! Guarantees: whatever is queued has a place, and so has what is in the log until openraft has
//! answered it, whoever waits for it. Together they are at most `queue_bytes`, and one operation that
//! is larger takes all of it. Whoever finds no place waits at the door, first come, first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::Instant;

use crate::error::{ProposeError, Stopped};
use crate::operation::{Limits, Operation};

/// What an operation takes beside its payload and the answer it asks for, in bytes. Bounds the number of
/// small ones.
const OVERHEAD: usize = 256;

/// The place of an entry, in bytes. Given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    space: Arc<Semaphore>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.space.add_permits(self.bytes);
    }
}

#[derive(Debug)]
pub(super) struct Door {
    /// One permit a byte.
    space: Arc<Semaphore>,
    /// Held by the proposer that waits for space; others wait for it behind, in turn.
    front: Mutex<()>,
    /// Proposers at the door. While there are any, nobody passes by.
    waiting: AtomicUsize,
    queue_bytes: usize,
    limits: Limits,
}

/// A proposal's place, and, until it is in, the right to use it before those who are at the door still.
/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    permit: SemaphorePermit<'a>,
    front: Option<(MutexGuard<'a, ()>, Waits<'a>)>,
}

impl Pass<'_> {
    /// It is in: whoever is behind it at the door may come, however long this one keeps its place.
    pub(super) fn is_in(&mut self) {
        self.front = None;
    }

    /// The bytes that it is for, to be made a [place](Door::place) again: while a proposal is queued that
    /// is all it keeps, since there are many.
    pub(super) fn into_bytes(self) -> usize {
        let bytes = self.permit.num_permits();
        self.permit.forget();
        bytes
    }
}

impl Door {
    pub(super) fn new(queue_bytes: usize, limits: Limits) -> Self {
        Self {
            space: Arc::new(Semaphore::new(queue_bytes)),
            front: Mutex::default(),
            waiting: AtomicUsize::new(0),
            queue_bytes,
            limits,
        }
    }

    // `queue_bytes` fits (`BatchConfig`), so the weight does.
    fn weight(&self, operation: &Operation) -> u32 {
        let answer = operation.answer_bytes(&self.limits);
        let bytes = operation.payload_bytes().saturating_add(answer);
        bytes.saturating_add(OVERHEAD).min(self.queue_bytes) as u32
    }

    /// A place for `operation`, if there is one and nobody waits.
    pub(super) fn pass_by(&self, operation: &Operation) -> Result<Option<Pass<'_>>, Stopped> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return Ok(None);
        }
        match self.space.try_acquire_many(self.weight(operation)) {
            Ok(permit) => Ok(Some(Pass { permit, front: None })),
            Err(TryAcquireError::Closed) => Err(Stopped::ShutDown),
            Err(TryAcquireError::NoPermits) => Ok(None),
        }
    }

    /// A place for `operation`, waited for until `deadline`, which is `timeout` after the start.
    /// Dropping the future leaves nothing behind.
    pub(super) async fn wait(
        &self,
        operation: &Operation,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Pass<'_>, ProposeError> {
        let waits = Waits::new(&self.waiting);
        let place = async {
            let front = self.front.lock().await;
            let permit = self.space.acquire_many(self.weight(operation)).await;
            permit.map(|permit| Pass { permit, front: Some((front, waits)) })
        };
        match tokio::time::timeout_at(deadline, place).await {
            Ok(Ok(pass)) => Ok(pass),
            Ok(Err(_)) => Err(Stopped::ShutDown.into()),
            Err(_) => {
                let queue_bytes = self.queue_bytes;
                Err(ProposeError::QueueFull { waited: timeout, queue_bytes })
            }
        }
    }

    /// The place that so many bytes of passes make.
    pub(super) fn place(&self, bytes: usize) -> Place {
        Place { space: Arc::clone(&self.space), bytes }
    }

    /// Nobody passes any more.
    pub(super) fn close(&self) {
        self.space.close();
    }
}

/// A proposer that waits for space, counted until it is queued or gives up.
#[derive(Debug)]
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
