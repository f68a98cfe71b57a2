//! What the generated services carry: the schema's messages as checked domain types, under the schema's
//! names.

use std::marker::PhantomData;

use bytes::Buf;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::error::Refusal;
use crate::codec::Message;
pub(super) use crate::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotPart as FullSnapshotRequest,
    SnapshotOffsetRequest, SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
pub(super) use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse as FullSnapshotResponse,
    VoteRequest, VoteResponse,
};

/// [`Message`]s straight to and from the body of a call, without a generated type in between.
pub(super) struct Codec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for Codec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for Codec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = One<E>;
    type Decoder = One<D>;

    fn encoder(&mut self) -> One<E> {
        One(PhantomData)
    }

    fn decoder(&mut self) -> One<D> {
        One(PhantomData)
    }
}

/// One direction of a [`Codec`].
pub(super) struct One<M>(PhantomData<M>);

impl<M: Message> Encoder for One<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(message.encoded_len());
        message.encode_to(buf);
        Ok(())
    }
}

impl<M: Message> Decoder for One<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        // Split off, not copied.
        let bytes = buf.copy_to_bytes(buf.remaining());
        match M::decode(bytes) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Refusal::Garbled.status(error)),
        }
    }
}
