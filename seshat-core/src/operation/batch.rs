//! [`Batch`]: what one entry carries.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::Operation;

/// The normal payload of a log entry: operations in the order in which they were proposed.
///
/// Cheap to clone, and a pointer wide: log, replication and apply share one list, and the list
/// shares its bytes with whoever proposed them or with the frame they arrived in.
#[derive(Debug, Clone)]
pub struct Batch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    operations: Operations,
    /// The batch as it arrived, so that whoever sends it on needn't encode it again.
    encoded: Option<Bytes>,
}

/// One operation needs no list, and so no allocation of its own.
#[derive(Debug)]
enum Operations {
    One(Operation),
    Many {
        operations: Vec<Operation>,
        payload_bytes: usize,
        format: u32,
    },
    /// None: the cluster's format rises.
    Raise(u32),
}

impl From<Operation> for Operations {
    fn from(operation: Operation) -> Self {
        Self::One(operation)
    }
}

impl From<Vec<Operation>> for Operations {
    fn from(operations: Vec<Operation>) -> Self {
        let (mut payload_bytes, mut format) = (0, 1);
        for operation in &operations {
            payload_bytes += operation.payload_bytes();
            format = format.max(operation.format());
        }
        Self::Many { operations, payload_bytes, format }
    }
}

impl Batch {
    /// A batch of operations proposed here.
    pub fn new(operations: impl Into<Vec<Operation>>) -> Self {
        Self::from_parts(operations.into().into(), None)
    }

    /// For the codec: a batch that arrived as `encoded`.
    pub(crate) fn decoded(operations: Vec<Operation>, encoded: Bytes) -> Self {
        Self::from_parts(operations.into(), Some(encoded))
    }

    /// For the codec: the same, of a single operation.
    pub(crate) fn decoded_one(operation: Operation, encoded: Bytes) -> Self {
        Self::from_parts(operation.into(), Some(encoded))
    }

    /// For the codec: a batch of no operation, of which many take the memory of one.
    pub(crate) fn empty() -> Self {
        static EMPTY: LazyLock<Batch> = LazyLock::new(|| Batch::new([]));
        EMPTY.clone()
    }

    fn from_parts(operations: Operations, encoded: Option<Bytes>) -> Self {
        Self { shared: Arc::new(Shared { operations, encoded }) }
    }

    /// In the order in which they are applied.
    pub fn operations(&self) -> &[Operation] {
        match &self.shared.operations {
            Operations::One(operation) => std::slice::from_ref(operation),
            Operations::Many { operations, .. } => operations,
            Operations::Raise(_) => &[],
        }
    }

    /// The bytes as they arrived, if the batch wasn't made here.
    pub(crate) fn encoded(&self) -> Option<&Bytes> {
        self.shared.encoded.as_ref()
    }

    /// The sum of its operations' [`payload_bytes`](Operation::payload_bytes).
    pub fn payload_bytes(&self) -> usize {
        match &self.shared.operations {
            Operations::One(operation) => operation.payload_bytes(),
            Operations::Many { payload_bytes, .. } => *payload_bytes,
            Operations::Raise(_) => 0,
        }
    }
    /// The least version of an entry that may hold it: the greatest of its operations'.
    pub fn format(&self) -> u32 {
        match &self.shared.operations {
            Operations::One(operation) => operation.format(),
            Operations::Many { format, .. } => *format,
            Operations::Raise(format) => *format,
        }
    }

    /// A batch without operations that raises the cluster's format. Of that format itself: who can't
    /// read what may follow can't read this either.
    pub(crate) fn raise(format: u32) -> Self {
        Self::from_parts(Operations::Raise(format), None)
    }

    /// The format to which the cluster's rises when this is applied, unless it is that, or more,
    /// already. Proposed by a leader itself, once all members read it; a state machine that keeps the
    /// greatest tells it by [`StateReader::format`](crate::storage::StateReader::format).
    pub fn raises(&self) -> Option<u32> {
        match self.shared.operations {
            Operations::Raise(format) => Some(format),
            Operations::One(_) | Operations::Many { .. } => None,
        }
    }
}

/// Equal operations make equal batches, wherever they came from, and so do equal raises.
impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.operations() == other.operations() && self.raises() == other.raises()
    }
}

impl Eq for Batch {}

impl From<Operation> for Batch {
    fn from(operation: Operation) -> Self {
        Self::from_parts(operation.into(), None)
    }
}
