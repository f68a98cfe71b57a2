//! [`ClientCodec`]: the clients' protocol in the body of a call. Its messages are as they are generated;
//! what is proposed is understood whole.

mod messages;

#[cfg(feature = "grpc")]
pub(crate) use self::messages::read_request;

use std::marker::PhantomData;

use bytes::Buf;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

/// What prost reads of the clients' protocol, if it is understood as far as it must be.
pub(crate) trait Understood: prost::Message + Default {
    /// Says what isn't, before prost skips it.
    fn check(_: &[u8]) -> Result<(), Status> {
        Ok(())
    }
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
        D::check(&bytes)?;
        D::decode(bytes).map(Some).map_err(invalid)
    }
}

fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
