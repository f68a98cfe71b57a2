//! What openraft's feature `serde` asks of a command and a reply. Seshat doesn't use it; whoever
//! has it on for types of their own, beside Seshat's in one build, needs these.
//!
//! Both are the bytes of the schema's messages, so what is read is checked as any other input.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::Message;
use crate::operation::{Batch, EntryResponse, Response};

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encode().as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        message(Vec::deserialize(deserializer)?)
    }
}

/// [`EntryResponse`] with each response encoded.
#[derive(serde::Serialize, serde::Deserialize)]
enum Reply {
    Blank,
    Membership,
    Batch(Vec<Vec<u8>>),
}

impl Serialize for EntryResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reply = match self {
            Self::Blank => Reply::Blank,
            Self::Membership => Reply::Membership,
            Self::Batch(responses) => {
                Reply::Batch(responses.iter().map(|response| response.encode().into()).collect())
            }
        };
        reply.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EntryResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Reply::deserialize(deserializer)? {
            Reply::Blank => Self::Blank,
            Reply::Membership => Self::Membership,
            Reply::Batch(responses) => {
                let responses: Result<Vec<Response>, _> =
                    responses.into_iter().map(message).collect();
                Self::Batch(responses?)
            }
        })
    }
}

fn message<M: Message, E: Error>(bytes: Vec<u8>) -> Result<M, E> {
    M::decode(bytes.into()).map_err(E::custom)
}
