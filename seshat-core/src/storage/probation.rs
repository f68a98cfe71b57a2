//! [`Probation`]: on whose word a node takes part that remembers nothing, and where that is kept.
//!
//! The rules, and why they hold, are those of `admission`; here is what of them outlives a process.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use crate::codec::{DecodeError, Leadership};
use crate::proto::v1;
use crate::types::StorageError;

/// On whose word a node takes part that remembers nothing, and until when it holds back.
///
/// From its first moment on such a node refuses every leader older than that one, whose vote it stores, and
/// neither votes nor campaigns until its [log reaches](Probation::is_over) what that leader had committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probation {
    /// The leader that said so, and what it had.
    pub leadership: Leadership,
}

impl Probation {
    /// Whether a node whose log ends with index `last` may vote and campaign. Once it may, it may for good:
    /// what the leader had committed is never taken back.
    ///
    /// That the index says it: the log was empty when the probation began, and since then whoever appends to
    /// it has the leader's entry there. Asked of the log each time, so that nothing has to be kept of the end:
    /// where a crash takes what was not durable yet, the node is on probation again.
    pub fn is_over(&self, last: Option<u64>) -> bool {
        last >= Some(self.leadership.committed.index)
    }
}

impl From<&Probation> for v1::Probation {
    fn from(probation: &Probation) -> Self {
        let v1::Leadership { vote, committed } = (&probation.leadership).into();
        Self { vote, committed }
    }
}

impl TryFrom<v1::Probation> for Probation {
    type Error = DecodeError;

    fn try_from(proto: v1::Probation) -> Result<Self, DecodeError> {
        let v1::Probation { vote, committed } = proto;
        let leadership = v1::Leadership { vote, committed }.try_into()?;
        Ok(Self { leadership })
    }
}

/// Where a node keeps its [`Probation`]. Beside log and machine, which openraft owns, and without holding
/// them open.
///
/// Kept before the node stores a vote or an entry, and never taken back: whether it is over, the log says.
/// So there is no moment at which the storage holds something and doesn't say what it is worth: killed before,
/// the node remembers nothing, and asks its cluster again; killed after, it is on probation.
pub trait Probations: Debug + Send + Sync + 'static {
    /// The one that was kept last. None in a storage that was empty when its node took part in a new
    /// cluster.
    fn kept(&self) -> Option<Probation>;

    /// Keeps one in place of the last. As durable as a vote when this returns. Blocks as long as a vote takes
    /// to be stored.
    ///
    /// # Errors
    /// The storage failed: the node must stop.
    fn keep(&self, probation: Probation) -> Result<(), StorageError>;
}

/// Those of a storage that forgets everything with its process.
#[derive(Debug, Default)]
pub(super) struct InMemory(Mutex<Option<Probation>>);

impl Probations for InMemory {
    // A panic while the lock was held can't have left a half-done change.
    fn kept(&self) -> Option<Probation> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, probation: Probation) -> Result<(), StorageError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(probation);
        Ok(())
    }
}
