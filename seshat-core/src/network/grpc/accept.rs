//! Connections as they come in.
//!
//! Guarantees: each has a place ([`Door`]), also while it shakes hands. Handshakes don't wait for each
//! other, and end in time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::caller::{Caller, Role, client_name};
use super::connection::{Connection, Io, Wire};
use super::door::{Door, Entered, For, Turned};
use super::names::check;
use super::places::Usage;
use super::tls::Tls;

/// How long to wait where no connection can be accepted, for want of file descriptors say.
const BREATHE: Duration = Duration::from_millis(100);

/// Accepts the connections of one listener.
pub(super) struct Acceptor {
    door: Arc<Door>,
    cluster: String,
    tls: Option<Arc<Tls>>,
    /// How long whoever connects may take to shake hands and begin to speak.
    patience: Duration,
}

impl Acceptor {
    pub(super) fn new(
        door: Arc<Door>,
        cluster: &str,
        tls: Option<Arc<Tls>>,
        patience: Duration,
    ) -> Self {
        Self { door, cluster: cluster.to_owned(), tls, patience }
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
            let Some((wire, used)) = self.enter(stream, address) else { continue };
            let (acceptor, accepted) = (Arc::clone(&self), accepted.clone());
            establishing.spawn(async move {
                if let Some(connection) = acceptor.establish(wire, used, address).await {
                    // Who is gone needs no more connections.
                    let _ = accepted.send(Ok(connection)).await;
                }
            });
        }
    }

    /// Lets a connection in, if there is a place.
    fn enter(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<(Wire, (Arc<Usage>, Instant))> {
        let Entered { place, used, gives_way } = self.door.enter(address)?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "connection is gone already");
            return None;
        }
        let deadline = tokio::time::sleep(self.patience);
        Some((Wire::new(stream, place, deadline, gives_way), used))
    }

    /// Shakes hands, where there is TLS. The wire itself knows its deadline; whoever doesn't let it be
    /// written to is left to this one.
    async fn establish(
        &self,
        wire: Wire,
        used: (Arc<Usage>, Instant),
        address: SocketAddr,
    ) -> Option<Connection> {
        let use_of =
            |certificate, role| Caller::new(address, certificate, self.cluster.clone(), role, used);
        let Some(tls) = &self.tls else {
            let role = (self.door.whom() == For::Clients).then_some(Role::Admin);
            return Some(Connection::new(Io::Plain(wire), use_of(None, role)));
        };
        let acceptor = TlsAcceptor::from(tls.server(self.door.whom()));
        let refuse = |reason: &dyn std::fmt::Display| {
            tracing::debug!(%address, %reason, "handshake failed");
            self.door.turned(Turned::Unencrypted, Some(address), &reason.to_string());
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
        if self.door.whom() == For::Peers {
            return None;
        }
        let Some(certificate) = certificate else { return Some(Role::Admin) };
        let carries = |role: &Role| check(certificate, &client_name(*role, &self.cluster)).is_ok();
        Role::ALL.into_iter().find(carries)
    }
}
