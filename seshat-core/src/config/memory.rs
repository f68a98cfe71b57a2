//! What a node may hold beside what it stores, by its configuration.
//!
//! Guarantees: no sum overflows: what can't be counted is [`u64::MAX`].

use super::NodeConfig;
use crate::codec::DECODED_PER_BYTE;

/// The longest message that has its room with its call's place.
pub(crate) const SHORT: u64 = 64 << 10;
/// What may have arrived on a connection and wasn't read.
pub(crate) const CONNECTION_WINDOW: u64 = 8 << 20;
/// The headers of one call.
const HEADERS: u64 = 8 << 10;
/// A short message, the one behind it, and what their reader begins with.
const PLACE: u64 = 2 * SHORT + (8 << 10);
/// A message, and what is made of it.
const DECODED: u64 = 1 + DECODED_PER_BYTE as u64;
/// Health watches and reflection.
const STREAMS: u64 = 64;
/// Exchanges that a client's connection may have, on average.
pub(crate) const EXCHANGES: u64 = 1;
/// Values of many keys that are read at once, unless one may have more.
pub(crate) const VALUES_BYTES: u64 = 4 << 20;
/// A page of keys and values, unless one record has more.
pub(crate) const PAGE_BYTES: u64 = 1 << 20;
/// Calls that an exchange has under way at most, and the bytes of answers that wait to be taken.
pub(crate) const EXCHANGE_CALLS: u64 = 1024;
pub(crate) const EXCHANGE_ANSWERS: u64 = 1 << 20;
/// Operations of an exchange that ask for a value and are under way, or whose answers find no room among those
/// that wait, beside those that all exchanges share; and such pages.
pub(crate) const EXCHANGE_PREVIOUS: u64 = 4;
pub(crate) const EXCHANGE_PAGES: u64 = 2;
/// What a call of an exchange takes beside its operation, which is among those that wait.
const EXCHANGE_CALL: u64 = 4 << 10;

impl NodeConfig {
    /// [`GrpcConfig::max_peer_bytes`](super::GrpcConfig::max_peer_bytes), or one message if that is more.
    pub fn max_peer_bytes(&self) -> u64 {
        self.grpc.max_peer_bytes.max(self.max_message_bytes() as u64)
    }

    /// [`GrpcConfig::max_client_bytes`](super::GrpcConfig::max_client_bytes), or one message if that is
    /// more.
    pub fn max_client_bytes(&self) -> u64 {
        self.grpc.max_client_bytes.max(self.max_message_bytes() as u64)
    }

    /// The bytes that a node which is served over gRPC may hold at most, whatever others do, beside its
    /// log, its state and the snapshot of that. The sum of
    ///
    /// | of | bytes |
    /// |---|---|
    /// | each of twice `max_connections`, nodes' and clients': what has arrived and isn't read, and headers | 8 MiB + `max_calls` · 8 KiB |
    /// | each of `max_peer_calls`: a short message, and the one behind it | 136 KiB |
    /// | each of `max_client_calls`, and 64 streams: the same, and the longest answer | 136 KiB + `values` |
    /// | each of `max_connections` exchanges: the same, its calls, and answers that wait to be taken, for some of which there is no room | 5.1 MiB + `values` + 4 · `max_value_bytes` + 2 · `page` |
    /// | each of `max_peer_bytes` and `max_client_bytes`: the message, and what is made of it ([`DECODED_PER_BYTE`]) | 25 |
    /// | what waits to be proposed: `queue_bytes` and one operation, and as much in entries, and answers of exchanges to such as ask for values | 2 · (`queue_bytes` + [`max_message_bytes`](Self::max_message_bytes)) + `queue_bytes` |
    /// | each other member: the entries that it is sent, as they are encoded, twice where a connection broke | 2 · [`max_message_bytes`](Self::max_message_bytes) |
    /// | a snapshot that arrives, and one that is being installed | 2 · `max_snapshot_bytes` |
    ///
    /// where `values` is `max_value_bytes`, and 4 MiB at the least, and `page` is `max_key_bytes` +
    /// `max_value_bytes`, and 1 MiB at the least. With everything else at its default, some 26 GiB, and twice
    /// the longest snapshot that is taken in: half is what the worst messages are made into, which hold nothing but the smallest
    /// operations (others take as much as they are long), and a sixth the windows of all connections. What the
    /// allocator keeps for itself, tasks, buffers of sockets and TLS (some 100 KiB for each connection) are
    /// not in it; nor is what an embedder's own services make of a call, and what they answer beyond a
    /// value.
    pub fn max_memory_bytes(&self) -> u64 {
        let Self { grpc, batch, limits, members, .. } = self;
        let message = self.max_message_bytes() as u64;
        let others = members.keys().filter(|id| **id != self.node_id).count() as u64;
        let value = limits.max_value_bytes as u64;
        let values = value.max(VALUES_BYTES);
        let page = value.saturating_add(limits.max_key_bytes as u64).max(PAGE_BYTES);
        let exchange = [
            PLACE + EXCHANGE_CALLS * EXCHANGE_CALL + EXCHANGE_ANSWERS,
            values,
            value.saturating_mul(EXCHANGE_PREVIOUS),
            page.saturating_mul(EXCHANGE_PAGES),
        ];
        [
            (
                (grpc.max_connections as u64).saturating_mul(2),
                CONNECTION_WINDOW + u64::from(grpc.max_calls) * HEADERS,
            ),
            (grpc.max_peer_calls as u64, PLACE),
            ((grpc.max_client_calls as u64).saturating_add(STREAMS), PLACE.saturating_add(values)),
            (
                (grpc.max_connections as u64).saturating_mul(EXCHANGES),
                exchange.into_iter().fold(0, u64::saturating_add),
            ),
            (self.max_peer_bytes().saturating_add(self.max_client_bytes()), DECODED),
            ((batch.queue_bytes as u64).saturating_add(message), 2),
            (batch.queue_bytes as u64, 1),
            (others, message.saturating_mul(2)),
            (grpc.max_snapshot_bytes, 2),
        ]
        .iter()
        .fold(0, |sum, (count, each)| sum.saturating_add(count.saturating_mul(*each)))
    }
}
