//! What the generated services carry: of nodes, the schema's messages as checked domain types, under the
//! schema's names; of clients, messages as they are generated, with what is proposed understood whole.

use std::marker::PhantomData;

use bytes::Buf;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::ProstEncoder;

use super::error::Refusal;
use crate::codec::{DecodeError, Message, check_proposed};
pub(crate) use crate::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotPart as FullSnapshotRequest,
    SnapshotOffsetRequest, SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use crate::proto::client;
pub(crate) use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse as FullSnapshotResponse,
    VoteRequest, VoteResponse,
};

/// [`Message`]s straight to and from the body of a call, without a generated type in between.
pub(crate) struct Codec<E, D>(PhantomData<(E, D)>);

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
pub(crate) struct One<M>(PhantomData<M>);

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

/// What prost reads of the clients' protocol, if it is understood as far as it must be.
pub(crate) trait Understood: prost::Message + Default {
    /// Says what isn't, before prost skips it.
    fn check(_: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

impl Understood for client::ProposeRequest {
    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        check_proposed(bytes)
    }
}

impl Understood for client::ProposeResponse {}
impl Understood for client::ReadRequest {}
impl Understood for client::ReadResponse {}
impl Understood for client::StatusRequest {}
impl Understood for client::StatusResponse {}
impl Understood for client::AddMemberRequest {}
impl Understood for client::RemoveMemberRequest {}
impl Understood for client::ChangeResponse {}

/// The codec of the clients' protocol.
pub(crate) struct ClientCodec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for ClientCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for ClientCodec<E, D>
where
    E: prost::Message + Send + 'static,
    D: Understood + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProstEncoder<E>;
    type Decoder = UnderstoodDecoder<D>;

    fn encoder(&mut self) -> ProstEncoder<E> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> UnderstoodDecoder<D> {
        UnderstoodDecoder(PhantomData)
    }
}

/// What comes in by a [`ClientCodec`].
pub(crate) struct UnderstoodDecoder<D>(PhantomData<D>);

impl<D: Understood> Decoder for UnderstoodDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        let invalid = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
        D::check(&bytes).map_err(|error| invalid(&error))?;
        D::decode(bytes).map(Some).map_err(|error| invalid(&error))
    }
}
