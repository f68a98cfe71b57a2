//! [`Door`]: which connections of a listener have a place.
//!
//! Guarantees: no more than so many at once, handshakes included; who comes then takes the place of one
//! that matters less, or is hung up on ([`Places`]). Who is turned away leaves an event, at most one a
//! second for all of them.

use std::convert::Infallible;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::places::{Places, Usage};

/// Between two events that tell of connections turned away.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// For whom a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Nodes, of which none gives way once it has been let in: a connection that is seldom used may be
    /// what an election needs.
    Peers,
    Clients,
}

impl For {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Peers => "peers",
            Self::Clients => "clients",
        }
    }
}

/// The places of a listener's connections.
pub(super) struct Door {
    whom: For,
    cluster: String,
    epoch: Instant,
    places: Mutex<Places<oneshot::Sender<Infallible>>>,
    turned: Mutex<Tally>,
    news: Notify,
}

/// A connection that was let in.
pub(super) struct Entered {
    pub(super) place: Place,
    /// When it was used, by the clock that began at that instant.
    pub(super) used: (Arc<Usage>, Instant),
    /// Never told: its sender is dropped when this connection has to give way.
    pub(super) gives_way: oneshot::Receiver<Infallible>,
}

/// Given back when it is dropped.
pub(super) struct Place {
    door: Arc<Door>,
    number: u64,
}

impl Place {
    /// Where it is.
    pub(super) fn door(&self) -> &Door {
        &self.door
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.places().leave(self.number);
    }
}

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// There were as many as may be.
    Full,
    /// It took the place of another, which this one was.
    GaveWay,
    /// It didn't begin to speak in time.
    Silent,
    /// There was no handshake in time, or one that failed.
    Unencrypted,
}

#[derive(Debug, Default)]
struct Tally {
    full: u64,
    gave_way: u64,
    silent: u64,
    unencrypted: u64,
    last: Option<SocketAddr>,
    last_reason: String,
}

impl Door {
    /// With `most` places. One that was used gives way after being idle for `idle`, if for anything.
    pub(super) fn new(whom: For, cluster: &str, most: usize, idle: Option<Duration>) -> Self {
        let idle = idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let (places, turned) = (Mutex::new(Places::new(most, idle)), Mutex::default());
        let (cluster, epoch, news) = (cluster.to_owned(), Instant::now(), Notify::new());
        Self { whom, cluster, epoch, places, turned, news }
    }

    /// For whom it is.
    pub(super) fn whom(&self) -> For {
        self.whom
    }

    /// Gives a connection a place, if there is one.
    pub(super) fn enter(self: &Arc<Self>, address: SocketAddr) -> Option<Entered> {
        let usage = Arc::new(Usage::default());
        let (ends, gives_way) = oneshot::channel();
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        let entered = self.places().enter(address.ip(), Arc::clone(&usage), ends, now);
        let Some(entered) = entered else {
            self.turned(Turned::Full, Some(address), "");
            return None;
        };
        let place = Place { door: Arc::clone(self), number: entered.place };
        if let Some(ends) = entered.instead_of {
            drop(ends);
            self.turned(Turned::GaveWay, Some(address), "");
        }
        Some(Entered { place, used: (usage, self.epoch), gives_way })
    }

    pub(super) fn turned(&self, why: Turned, address: Option<SocketAddr>, reason: &str) {
        let mut tally = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match why {
            Turned::Full => &mut tally.full,
            Turned::GaveWay => &mut tally.gave_way,
            Turned::Silent => &mut tally.silent,
            Turned::Unencrypted => &mut tally.unencrypted,
        };
        *count = count.saturating_add(1);
        tally.last = address;
        reason.clone_into(&mut tally.last_reason);
        drop(tally);
        self.news.notify_one();
    }

    /// Tells of connections that are turned away, without end.
    pub(super) async fn tell(&self) {
        loop {
            self.news.notified().await;
            let tally = mem::take(&mut *self.turned.lock().unwrap_or_else(PoisonError::into_inner));
            let Tally { full, gave_way, silent, unencrypted, last, last_reason } = tally;
            let listener = self.whom.word();
            tracing::warn!(
                cluster = self.cluster,
                listener,
                full,
                gave_way,
                silent,
                unencrypted,
                ?last,
                last_reason,
                "connections turned away"
            );
            tokio::time::sleep(TELL_EVERY).await;
        }
    }

    // Every change under the lock is a single one.
    fn places(&self) -> MutexGuard<'_, Places<oneshot::Sender<Infallible>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
