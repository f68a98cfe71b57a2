//! How a connection to a node comes about, and what calls on it take.
//!
//! Guarantees: an address is looked at before anything is connected to. A connection with calls on it that is
//! dead is found out within seconds.

use std::time::Duration;

use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Error};

use crate::proto::client::client_client::ClientClient;

pub(super) type Stub = ClientClient<Channel>;

/// How often a connection with calls on it is asked whether it is alive, and how long that may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// What makes calls on a connection, with answers of any length.
pub(super) fn stub(channel: Channel) -> Stub {
    Stub::new(channel).max_decoding_message_size(usize::MAX)
}

pub(super) fn endpoint(address: &str, tls: Option<&ClientTlsConfig>) -> Result<Endpoint, Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()),
        None => Ok(endpoint),
    }
}
