//! [`Node`]: one of the addresses, and the connections to it.
//!
//! Guarantees: however many calls need one, one connection at a time is made, and shared. One that failed, or
//! is in doubt, serves no new call; those that wait on it go on waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::transport::{Channel, Endpoint};

use super::attempt::words;
use super::link::Link;
use super::{chain, stub};

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

impl Node {
    pub(super) fn new(address: String, endpoint: Endpoint) -> Self {
        Self { address, endpoint, connected: Mutex::default(), connecting: Default::default() }
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

    /// Opens a stream, unless that was done meanwhile. Whatever fails here, nothing was asked for.
    pub(super) async fn connect(&self) -> Result<Arc<Link>, String> {
        let _turn = self.connecting.lock().await;
        if let Some(link) = self.link() {
            return Ok(link);
        }
        let channel = self.endpoint.connect().await.map_err(|error| chain(&error))?;
        let link = Link::open(stub(channel.clone())).await.map_err(|status| words(&status))?;
        let link = Arc::new(link);
        let before = std::mem::replace(
            &mut *self.lock(),
            Connected { channel: Some(channel), link: Some(Arc::clone(&link)) },
        );
        drop(before);
        Ok(link)
    }

    /// A connection for calls of their own.
    pub(super) async fn channel(&self) -> Result<Channel, String> {
        let _turn = self.connecting.lock().await;
        if let Some(channel) = self.lock().channel.clone() {
            return Ok(channel);
        }
        let channel = self.endpoint.connect().await.map_err(|error| chain(&error))?;
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
