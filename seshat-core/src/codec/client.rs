//! [`ClientCodec`]: the clients' protocol in the body of a call. Its messages are as they are generated;
//! what is proposed is understood whole.

use std::marker::PhantomData;

use bytes::Buf;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use super::{DecodeError, shape};

/// What prost reads of the clients' protocol, if it is understood as far as it must be.
pub(crate) trait Understood: prost::Message + Default {
    /// Says what isn't, before prost skips it.
    fn check(_: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Whether nothing in what a client proposes is unknown: to go on without it would be to do something
/// else than it asked for.
pub(crate) fn check_proposed(bytes: &[u8]) -> Result<(), DecodeError> {
    shape::check(&shape::PROPOSE_REQUEST, bytes)
}

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
