//! What is thrown at a cluster. Each attack is a process of its own, which goes on until its standard
//! input ends, at a rate that is the same whatever the cluster makes of it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use seshat_core::config::TlsConfig;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::client::{ReadRequest, StatusRequest};
use seshat_core::proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceExt};

use super::CLUSTER;

/// What an attack is up against.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Of each node, where its peers call it.
    pub(crate) peers: Vec<String>,
    /// Of each node, where its clients call it.
    pub(crate) clients: Vec<String>,
    /// Certificates, by the name that they carry.
    pub(crate) certificates: PathBuf,
}

/// Ways to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Connections that say less than it takes to be told who they are, and stay.
    HalfOpen,
    /// Connections that say anything.
    Garbage,
    /// Handshakes by a certificate of another authority.
    Foreign,
    /// Calls of a client that may read: linearizable reads, and digests of all there is.
    Questions,
    /// A peer's calls whose messages are none, or say what can't be; questions of its standing.
    Statements,
    /// A peer's calls that announce all that a message may hold, and then keep everybody waiting.
    Stalled,
}

/// The attacks, by the names of their lines.
pub(crate) const ATTACKS: [(&str, Attack); 6] = [
    ("half-open connections", Attack::HalfOpen),
    ("garbage", Attack::Garbage),
    ("foreign certificates", Attack::Foreign),
    ("a client's questions", Attack::Questions),
    ("a peer's statements", Attack::Statements),
    ("stalled calls", Attack::Stalled),
];

/// Connections that each port is kept busy with by those who say little.
const HALF_OPEN: usize = 300;
/// Calls that stall at once, at each node.
const STALLED: usize = 64;
/// What each of them announces.
const ANNOUNCED: u32 = 48 << 20;

impl Attack {
    /// Attempts a second, at the whole cluster.
    fn rate(self) -> u32 {
        match self {
            Self::HalfOpen | Self::Stalled => 100,
            Self::Garbage => 200,
            Self::Foreign => 50,
            Self::Questions => 500,
            Self::Statements => 300,
        }
    }

    /// Goes on until it is dropped.
    pub(crate) async fn run(self, target: &Target) {
        let means = Means::new(target);
        let at_once = match self {
            Self::HalfOpen => HALF_OPEN * target.peers.len() * 2,
            Self::Stalled => STALLED * target.peers.len(),
            _ => 64,
        };
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(at_once));
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.rate());
        for n in 0_usize.. {
            ticks.tick().await;
            let Ok(place) = std::sync::Arc::clone(&places).try_acquire_owned() else { continue };
            let means = means.clone();
            tokio::spawn(async move {
                // What becomes of it is the cluster's business.
                let _ = tokio::time::timeout(Duration::from_secs(60), means.attempt(self, n)).await;
                drop(place);
            });
        }
    }
}

/// Connections that calls are made over, one to each node.
#[derive(Clone)]
struct Means {
    peers: Vec<String>,
    clients: Vec<String>,
    as_client: Vec<Channel>,
    as_peer: Vec<Channel>,
    as_nobody: Vec<Endpoint>,
}

impl Means {
    fn new(target: &Target) -> Self {
        let to_peers = |by: &str| -> Vec<Endpoint> {
            let named = (1..).zip(&target.peers);
            let to = named.map(|(id, address)| (address, format!("node-{id}.{CLUSTER}")));
            to.map(|(address, name)| endpoint(target, address, by).named(&name)).collect()
        };
        let by = format!("client.read.{CLUSTER}");
        let to_clients =
            target.clients.iter().map(|address| endpoint(target, address, &by).lazily());
        Self {
            as_client: to_clients.collect(),
            as_peer: to_peers(&format!("node-9.{CLUSTER}"))
                .iter()
                .map(Endpoint::connect_lazy)
                .collect(),
            as_nobody: to_peers("foreign"),
            peers: target.peers.clone(),
            clients: target.clients.clone(),
        }
    }

    async fn attempt(&self, attack: Attack, n: usize) -> Option<()> {
        let node = n % self.peers.len();
        match attack {
            Attack::HalfOpen | Attack::Garbage => {
                let ports = if (n / self.peers.len()).is_multiple_of(2) {
                    &self.peers
                } else {
                    &self.clients
                };
                let stream = TcpStream::connect(&ports[node]).await.ok()?;
                let said: &[&[u8]] = match attack {
                    Attack::HalfOpen => &[b"", b"P", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"],
                    _ => &[b"GET / HTTP/1.1\r\n\r\n", &[0xff; 512], b"\x16\x03\x01\x00\x05hello"],
                };
                say(stream, said[n % said.len()]).await
            }
            Attack::Foreign => self.as_nobody[node].connect().await.ok().map(drop),
            Attack::Questions => self.question(node, n).await,
            Attack::Statements => self.state(node, n).await,
            Attack::Stalled => self.stall(node).await,
        }
    }

    async fn question(&self, node: usize, n: usize) -> Option<()> {
        let mut client = ClientClient::new(self.as_client[node].clone());
        if n.is_multiple_of(8) {
            return client.status(StatusRequest { digest: true }).await.ok().map(drop);
        }
        let key = Bytes::from_static(b"anything");
        client.read(ReadRequest { key, ..ReadRequest::default() }).await.ok().map(drop)
    }

    async fn state(&self, node: usize, n: usize) -> Option<()> {
        let target = node as u64 + 1;
        let channel = self.as_peer[node].clone();
        let leader = |term| Some(v1::Vote { term, node_id: 9, committed: true });
        let append = v1::AppendEntriesRequest { vote: leader(0), ..Default::default() };
        match n % 4 {
            // Nothing, in many entries.
            0 => {
                let raw = Bytes::from([0x1a, 0].repeat(16 << 10));
                let body = StreamBody::new(tokio_stream::iter(
                    [frames(raw.len() as u32), raw]
                        .map(|bytes| Ok::<_, Status>(Frame::data(bytes))),
                ));
                call(channel, target, Body::new(body)).await
            }
            // A term from which no election leads on.
            1 => {
                let append = v1::AppendEntriesRequest { vote: leader(u64::MAX - 1), ..append };
                unary::<_, v1::AppendEntriesResponse>(channel, target, "AppendEntries", append)
                    .await
            }
            // Entries that don't follow.
            2 => {
                let blank = Some(v1::entry::Payload::Blank(v1::Blank {}));
                let entry = |index| v1::Entry {
                    format_version: 1,
                    log_id: Some(v1::LogId { term: 1, node_id: 9, index }),
                    payload: blank.clone(),
                };
                let entries = vec![entry(50), entry(7)];
                let append = v1::AppendEntriesRequest { vote: leader(1), entries, ..append };
                unary::<_, v1::AppendEntriesResponse>(channel, target, "AppendEntries", append)
                    .await
            }
            _ => {
                let asked =
                    v1::StandingRequest { node_id: 9, incarnation: n as u64, ..Default::default() };
                unary::<_, v1::StandingResponse>(channel, target, "Standing", asked).await
            }
        }
    }

    /// Says how much there is to come, and then a byte every now and then.
    async fn stall(&self, node: usize) -> Option<()> {
        let drops = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Some((Ok::<_, Status>(Frame::data(Bytes::from_static(b"\x0a"))), ()))
        });
        let head = tokio_stream::once(Ok(Frame::data(frames(ANNOUNCED))));
        let body =
            Body::new(StreamBody::new(Box::pin(futures_util::StreamExt::chain(head, drops))));
        call(self.as_peer[node].clone(), node as u64 + 1, body).await
    }
}

/// Says it, and stays until the other end has had enough.
async fn say(mut stream: TcpStream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    let mut buf = [0; 1024];
    while stream.read(&mut buf).await.ok()? > 0 {}
    Some(())
}

/// What goes before a message of that length.
fn frames(len: u32) -> Bytes {
    [&[0], &len.to_be_bytes()[..]].concat().into()
}

/// AppendEntries with that for a body.
async fn call(mut channel: Channel, target: u64, body: Body) -> Option<()> {
    let (metadata, ..) = signed(target, ()).into_parts();
    let mut request = http::Request::post("/seshat.v1.Transport/AppendEntries");
    *request.headers_mut()? = metadata.into_headers();
    let request = request
        .header("seshat-long", "1")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .ok()?;
    channel.ready().await.ok()?.call(request).await.ok().map(drop)
}

async fn unary<Q, A>(channel: Channel, target: u64, rpc: &str, message: Q) -> Option<()>
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let path: PathAndQuery = format!("/seshat.v1.Transport/{rpc}").parse().ok()?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.ok()?;
    let codec = ProstCodec::<Q, A>::default();
    client.unary(signed(target, message), path, codec).await.ok().map(drop)
}

/// As node 9 would send it.
fn signed<T>(target: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert_bin("seshat-cluster-bin", BinaryMetadataValue::from_bytes(CLUSTER.as_bytes()));
    metadata.insert("seshat-target", AsciiMetadataValue::from(target));
    metadata.insert("seshat-from", AsciiMetadataValue::from(9_u64));
    request
}

/// A server, and by which certificate it is called.
pub(crate) struct To {
    endpoint: Endpoint,
    tls: ClientTlsConfig,
}

pub(crate) fn endpoint(target: &Target, address: &str, by: &str) -> To {
    let TlsConfig { ca, cert, key, .. } = super::certificates::files(&target.certificates, by);
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)));
    let tls = tls.identity(Identity::from_pem(read(cert), read(key)));
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tcp_nodelay(true);
    To { endpoint, tls }
}

impl To {
    /// The server goes by that name, rather than by where it is.
    fn named(self, name: &str) -> Endpoint {
        self.endpoint.tls_config(self.tls.domain_name(name)).unwrap()
    }

    pub(crate) fn lazily(self) -> Channel {
        self.endpoint.tls_config(self.tls).unwrap().connect_lazy()
    }
}
