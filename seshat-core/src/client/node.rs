//! [`Node`]: one of the addresses, and the connections to it.
//!
//! Guarantees: however many calls need one, one connection at a time is made, and shared. One that failed, or
//! is in doubt, serves no new call; those that wait on it go on waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Error};
use tonic::{Code, Status};

use super::attempt::Attempt;
use super::connect::{endpoint, stub};
use super::error::{ClientError, chain, words};
use super::link::Link;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Node {
    address: String,
    endpoint: Endpoint,
    connected: Mutex<Connected>,
    /// Whose turn it is to connect.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Connected {
    channel: Option<Channel>,
    link: Option<Arc<Link>>,
}

/// Why there is no stream. Nothing was asked for.
pub(super) enum NoLink {
    Unconnected(Error),
    Failed(Status),
}

impl<T> From<NoLink> for Attempt<T> {
    fn from(error: NoLink) -> Self {
        match error {
            NoLink::Unconnected(error) => Self::NotDone(chain(&error)),
            NoLink::Failed(status) if status.code() == Code::Unimplemented => {
                Self::Older(format!("Exchange: {}", words(&status)))
            }
            NoLink::Failed(status) => Self::NotDone(words(&status)),
        }
    }
}

impl Node {
    /// Connects to nobody yet.
    pub(super) fn new(address: String, tls: Option<&ClientTlsConfig>) -> Result<Self, ClientError> {
        match endpoint(&address, tls) {
            Ok(endpoint) => Ok(Self {
                address,
                endpoint,
                connected: Mutex::default(),
                connecting: Default::default(),
            }),
            Err(source) => Err(ClientError::Address { address, source }),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    // Every change under the lock is a single assignment.
    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream that is open, if one is.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.lock().link.clone().filter(|link| link.is_open())
    }

    /// Opens a stream, unless that was done meanwhile.
    pub(super) async fn connect(&self) -> Result<Arc<Link>, NoLink> {
        let _turn = self.connecting.lock().await;
        if let Some(link) = self.link() {
            return Ok(link);
        }
        let channel = self.endpoint.connect().await.map_err(NoLink::Unconnected)?;
        let link = Link::open(stub(channel.clone())).await.map_err(NoLink::Failed)?;
        let link = Arc::new(link);
        let before = std::mem::replace(
            &mut *self.lock(),
            Connected { channel: Some(channel), link: Some(Arc::clone(&link)) },
        );
        drop(before);
        Ok(link)
    }

    /// A connection for calls of their own.
    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        let _turn = self.connecting.lock().await;
        if let Some(channel) = self.lock().channel.clone() {
            return Ok(channel);
        }
        let channel = self.endpoint.connect().await?;
        self.lock().channel = Some(channel.clone());
        Ok(channel)
    }

    /// New calls need a new connection, unless that was made meanwhile.
    pub(super) fn leave(&self, link: &Arc<Link>) {
        let mut connected = self.lock();
        if connected.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            let before = std::mem::take(&mut *connected);
            drop(connected);
            drop(before);
        }
    }

    /// The same, for calls of their own.
    pub(super) fn disconnect(&self) {
        let before = self.lock().channel.take();
        drop(before);
    }
}
