//! What the write-ahead log stores. Its domain are the schema's own types, which are checked for what
//! isn't known, and by the log for what they say.

use bytes::{BufMut, Bytes};

use super::{DecodeError, Message, parse, shape};
use crate::proto::v1;

/// Implements [`Message`] for a generated type.
macro_rules! stored {
    ($proto:ty, $shape:path) => {
        impl Message for $proto {
            const NAME: &'static str = $shape.name;

            fn encoded_len(&self) -> usize {
                prost::Message::encoded_len(self)
            }

            fn encode_to(&self, buf: &mut impl BufMut) {
                prost::Message::encode_raw(self, buf);
            }

            fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
                parse(&$shape, bytes)
            }
        }
    };
}

stored!(v1::LogId, shape::LOG_ID);
stored!(v1::Vote, shape::VOTE);
stored!(v1::Entries, shape::ENTRIES);
stored!(v1::Truncate, shape::TRUNCATE);
stored!(v1::Committed, shape::COMMITTED);
stored!(v1::SnapshotPointer, shape::SNAPSHOT_POINTER);
stored!(v1::Probation, shape::PROBATION);
stored!(v1::GroupState, shape::GROUP_STATE);
stored!(v1::Checkpoint, shape::CHECKPOINT);
stored!(v1::Identity, shape::IDENTITY);
