//! [`Caller`]: who is at the other end of a connection, and [`Role`], what it may do.
//!
//! Guarantees: where there are certificates, a node speaks for no other than its own names, and a
//! client may do what its role allows and no more. What a certificate says is looked up when its
//! connection comes about, and once for a node that speaks on it, not with each call.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::{Request, Status};

use super::names::{NotNamed, check, node_name};
use super::places::Usage;
use crate::types::NodeId;

/// What a client may do: by its certificate, which carries the DNS name `client.<role>.<cluster>`; of
/// several roles the highest counts. Where clients show no certificate (without TLS, or if
/// [`mutual`](crate::config::TlsConfig::mutual) is off) everybody is an [`Admin`](Role::Admin).
///
/// A service decides itself what takes which; [`require`](Role::require) asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Read,
    /// Reads and writes.
    Write,
    /// Does everything. Whoever changes the membership can do anything, in the end.
    Admin,
}

impl Role {
    /// From the highest on.
    pub(super) const ALL: [Self; 3] = [Self::Admin, Self::Write, Self::Read];

    /// Whether whoever sent `request` may do `what`, a verb as it reads behind "may not", for which
    /// this role is needed. Takes nanoseconds.
    ///
    /// ```
    /// use seshat_core::network::grpc::Role;
    /// use tonic::{Request, Response, Status};
    ///
    /// async fn flush(request: Request<()>) -> Result<Response<()>, Status> {
    ///     Role::Write.require(&request, "flush")?;
    ///     Ok(Response::new(()))
    /// }
    /// ```
    ///
    /// # Errors
    /// It may not; or it isn't known, as the request came by another way than a
    /// [`GrpcServer`](super::GrpcServer)'s listener for clients.
    pub fn require<T>(self, request: &Request<T>, what: &'static str) -> Result<(), NotAllowed> {
        let Some(caller) = request.extensions().get::<Caller>() else {
            return Err(NotAllowed::Unknown { what });
        };
        if caller.role() >= Some(self) {
            return Ok(());
        }
        let cluster = caller.shared.cluster.clone();
        Err(NotAllowed::Lacks { got: caller.role(), needed: self, what, cluster })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// What a client's certificate carries.
pub(super) fn client_name(role: Role, cluster: &str) -> String {
    format!("client.{role}.{cluster}")
}

/// Why a client may not do something. As a status it is [`PermissionDenied`](tonic::Code).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Its certificate doesn't say that it may.
    #[error("{} may not {what}: it takes {}", Who(*.got, .cluster), client_name(*.needed, .cluster))]
    Lacks {
        /// What its certificate says; `None` if nothing.
        got: Option<Role>,
        /// What it should say.
        needed: Role,
        /// What was to be done.
        what: &'static str,
        /// The cluster.
        cluster: String,
    },
    /// Nobody said who it is.
    #[error("who calls isn't known, and may not {what}")]
    Unknown {
        /// What was to be done.
        what: &'static str,
    },
}

struct Who<'a>(Option<Role>, &'a str);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(role) => f.write_str(&client_name(role, self.1)),
            None => write!(f, "a certificate without a role in cluster {:?}", self.1),
        }
    }
}

impl From<NotAllowed> for Status {
    fn from(error: NotAllowed) -> Self {
        Self::permission_denied(error.to_string())
    }
}

/// Who is at the other end of a connection: among the extensions of each request that a
/// [`GrpcServer`](super::GrpcServer) passes on. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Caller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
    cluster: String,
    role: Option<Role>,
    /// The node that the certificate was found to name last; 0 is none's id.
    named: AtomicU64,
    usage: Arc<Usage>,
    /// The clock of `usage`.
    epoch: Instant,
}

impl Caller {
    pub(super) fn new(
        address: SocketAddr,
        certificate: Option<CertificateDer<'static>>,
        cluster: String,
        role: Option<Role>,
        (usage, epoch): (Arc<Usage>, Instant),
    ) -> Self {
        let named = AtomicU64::new(0);
        let shared = Shared { address, certificate, cluster, role, named, usage, epoch };
        Self { shared: Arc::new(shared) }
    }

    /// Where it calls from.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// What it may do as a client; `None` for nothing.
    pub fn role(&self) -> Option<Role> {
        self.shared.role
    }

    /// A call of its was let in: its connection stays where others give way.
    pub(crate) fn was_let_in(&self) {
        let now = self.shared.epoch.elapsed().as_millis();
        self.shared.usage.note(u64::try_from(now).unwrap_or(u64::MAX));
    }

    /// Whether calls are known to come from whom they say, rather than from this machine.
    pub(super) fn is_certified(&self) -> bool {
        self.shared.certificate.is_some()
    }

    /// Whether it may speak for that node: who has no certificate may for any, as it was let in
    /// without.
    pub(super) fn check_node(&self, id: NodeId) -> Result<(), NotNamed> {
        let Shared { certificate, cluster, named, .. } = &*self.shared;
        let Some(certificate) = certificate else { return Ok(()) };
        // No more than what this same certificate was found to say before.
        if id != 0 && named.load(Ordering::Relaxed) == id {
            return Ok(());
        }
        check(certificate, &node_name(id, cluster))?;
        named.store(id, Ordering::Relaxed);
        Ok(())
    }
}
