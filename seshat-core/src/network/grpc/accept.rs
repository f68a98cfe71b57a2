//! Connections as they come in.
//!
//! Guarantees: no more than so many at once, handshakes included; who comes then takes the place of one
//! that matters less, or is hung up on ([`Places`]). Handshakes don't wait for each other, and end in
//! time. Who is turned away leaves an event, at most one a second for all of them.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::caller::{Caller, Role, client_name};
use super::connection::{Connection, Io, Place, Wire};
use super::names::check;
use super::places::{Places, Usage};
use super::tls::Tls;

/// How long to wait where no connection can be accepted, for want of file descriptors say.
const BREATHE: Duration = Duration::from_millis(100);
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

/// What the connections of a listener share.
pub(super) struct Door {
    whom: For,
    cluster: String,
    tls: Option<Arc<Tls>>,
    /// How long whoever connects may take to shake hands and begin to speak.
    patience: Duration,
    epoch: Instant,
    places: Mutex<Places<oneshot::Sender<Infallible>>>,
    turned: Mutex<Tally>,
    news: Notify,
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
    pub(super) fn new(
        whom: For,
        cluster: &str,
        tls: Option<Arc<Tls>>,
        most: usize,
        (patience, idle): (Duration, Option<Duration>),
    ) -> Self {
        let idle = idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let (places, turned) = (Mutex::new(Places::new(most, idle)), Mutex::default());
        let (cluster, epoch, news) = (cluster.to_owned(), Instant::now(), Notify::new());
        Self { whom, cluster, tls, patience, epoch, places, turned, news }
    }

    /// Accepts until the receiver is gone.
    pub(super) async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        accepted: mpsc::Sender<io::Result<Connection>>,
    ) {
        let mut establishing = JoinSet::new();
        loop {
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                Some(_) = establishing.join_next() => continue,
                () = accepted.closed() => return,
            };
            let (stream, address) = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::time::sleep(BREATHE).await;
                    continue;
                }
            };
            let Some((wire, usage)) = self.enter(stream, address) else { continue };
            let (door, accepted) = (Arc::clone(&self), accepted.clone());
            establishing.spawn(async move {
                if let Some(connection) = door.establish(wire, usage, address).await {
                    // Who is gone needs no more connections.
                    let _ = accepted.send(Ok(connection)).await;
                }
            });
        }
    }

    /// Gives a connection a place, if there is one.
    fn enter(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<(Wire, Arc<Usage>)> {
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
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "connection is gone already");
            return None;
        }
        let deadline = tokio::time::sleep(self.patience);
        Some((Wire::new(stream, place, deadline, gives_way), usage))
    }

    /// Shakes hands, where there is TLS. The wire itself knows its deadline; whoever doesn't let it be
    /// written to is left to this one.
    async fn establish(
        &self,
        wire: Wire,
        usage: Arc<Usage>,
        address: SocketAddr,
    ) -> Option<Connection> {
        let use_of = |certificate, role| {
            let used = (usage, self.epoch.into_std());
            Caller::new(address, certificate, self.cluster.clone(), role, used)
        };
        let Some(tls) = &self.tls else {
            let role = (self.whom == For::Clients).then_some(Role::Admin);
            return Some(Connection::new(Io::Plain(wire), use_of(None, role)));
        };
        let acceptor = TlsAcceptor::from(tls.server(self.whom));
        let refuse = |reason: &dyn std::fmt::Display| {
            tracing::debug!(%address, %reason, "handshake failed");
            self.turned(Turned::Unencrypted, Some(address), &reason.to_string());
        };
        let stream = match tokio::time::timeout(self.patience, acceptor.accept(wire)).await {
            Ok(Ok(stream)) => stream,
            // The wire has told of it.
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return None,
            Ok(Err(error)) => {
                refuse(&error);
                return None;
            }
            Err(late) => {
                refuse(&late);
                return None;
            }
        };
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(<[_]>::first).map(|it| it.clone().into_owned());
        let role = self.role(certificate.as_ref());
        Some(Connection::new(Io::Encrypted(Box::new(stream)), use_of(certificate, role)))
    }

    /// What a client may do by its certificate, or without one, where none was asked for.
    fn role(&self, certificate: Option<&CertificateDer<'_>>) -> Option<Role> {
        if self.whom == For::Peers {
            return None;
        }
        let Some(certificate) = certificate else { return Some(Role::Admin) };
        let carries = |role: &Role| check(certificate, &client_name(*role, &self.cluster)).is_ok();
        Role::ALL.into_iter().find(carries)
    }

    pub(super) fn leave(&self, place: u64) {
        self.places().leave(place);
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
