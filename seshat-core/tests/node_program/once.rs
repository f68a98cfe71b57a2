//! The client sends nothing again that may have been done.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seshat_core::client::{Client, ClientError};
use seshat_core::proto::client::client_server::{Client as Service, ClientServer};
use seshat_core::proto::client::propose_response::Outcome;
use seshat_core::proto::client::{self as proto, Leader, NotLeader, Refused, Unknown};
use seshat_core::proto::v1;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::program::run;

const PATIENCE: Duration = Duration::from_millis(700);

/// A node that answers as it was told, over and over the last.
#[derive(Clone, Default)]
struct Puppet {
    asked: Arc<AtomicUsize>,
    answers: Arc<Mutex<VecDeque<Option<Outcome>>>>,
}

impl Puppet {
    async fn listening() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let puppet = Self::default();
        let server =
            tonic::transport::Server::builder().add_service(ClientServer::new(puppet.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (puppet, address)
    }

    fn answers(&self, answers: impl IntoIterator<Item = Option<Outcome>>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl Service for Puppet {
    async fn propose(
        &self,
        _: Request<proto::ProposeRequest>,
    ) -> Result<Response<proto::ProposeResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(Response::new(proto::ProposeResponse { outcome: next.unwrap() }))
    }

    async fn read(
        &self,
        _: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn status(
        &self,
        _: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn add_member(
        &self,
        _: Request<proto::AddMemberRequest>,
    ) -> Result<Response<proto::ChangeResponse>, Status> {
        Err(Status::internal("something happened"))
    }

    async fn remove_member(
        &self,
        _: Request<proto::RemoveMemberRequest>,
    ) -> Result<Response<proto::ChangeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn transfer_leadership(
        &self,
        _: Request<proto::TransferLeadershipRequest>,
    ) -> Result<Response<proto::TransferLeadershipResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn snapshot(
        &self,
        _: Request<proto::SnapshotRequest>,
    ) -> Result<Response<proto::SnapshotResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn partitions(
        &self,
        _: Request<proto::PartitionsRequest>,
    ) -> Result<Response<proto::PartitionsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn health(
        &self,
        _: Request<proto::HealthRequest>,
    ) -> Result<Response<proto::HealthResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type BackupStream = tokio_stream::Empty<Result<proto::BackupPart, Status>>;

    async fn backup(
        &self,
        _: Request<proto::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn done() -> Option<Outcome> {
    let kind = v1::response::Kind::Set(v1::SetResponse { previous: None });
    Some(Outcome::Response(v1::Response { kind: Some(kind) }))
}

fn refused(later: bool) -> Option<Outcome> {
    Some(Outcome::Refused(Refused { reason: "no".to_owned(), later }))
}

/// Node `id` leads, wherever that is; 0 for none.
fn leader(id: u64) -> Option<Outcome> {
    let leader = (id > 0).then(|| Leader { id, address: Some("127.0.0.1:1".to_owned()) });
    Some(Outcome::NotLeader(NotLeader { leader }))
}

fn client(to: &[&str]) -> Client {
    Client::new(to.iter().map(ToString::to_string).collect(), None, PATIENCE).unwrap()
}

#[tokio::test]
async fn what_was_not_done_is_sent_again() {
    let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
    // To the next, as another leads.
    one.answers([leader(2)]);
    two.answers([refused(true), done()]);
    let mut client = client(&[&first, &second]);
    assert_eq!(client.set_get("key", "value").await.unwrap(), None);
    assert_eq!((one.asked(), two.asked()), (2, 2));
    // Which it remembers.
    client.set("key", "value").await.unwrap();
    assert_eq!((one.asked(), two.asked()), (2, 3));
}

#[tokio::test]
async fn where_nobody_listens_it_goes_on_to_the_next() {
    let (two, second) = Puppet::listening().await;
    two.answers([leader(0), done()]);
    let nobody = format!("127.0.0.1:{}", crate::cluster::port());
    client(&[&nobody, &second]).set("key", "value").await.unwrap();
    assert_eq!(two.asked(), 2);
}

/// Where that node serves clients nobody knows but who named it to the client.
#[tokio::test]
async fn a_leader_that_was_not_named_is_not_found() {
    let (one, first) = Puppet::listening().await;
    one.answers([leader(4)]);
    let late = client(&[&first]).set("key", "value").await.unwrap_err();
    assert!(matches!(late, ClientError::TooLate { .. }), "{late}");
    assert!((2..40).contains(&one.asked()), "{}", one.asked());
}

#[tokio::test]
async fn nodes_that_send_it_to_and_fro_are_asked_a_few_times_only() {
    let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
    one.answers([leader(2)]);
    two.answers([leader(1)]);
    let late = client(&[&first, &second]).set("key", "value").await.unwrap_err();
    assert!(matches!(late, ClientError::TooLate { .. }), "{late}");
    assert!((4..40).contains(&(one.asked() + two.asked())), "{}, {}", one.asked(), two.asked());
}

#[tokio::test]
async fn what_may_have_been_done_is_sent_once() {
    let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
    two.answers([done()]);
    let unknown = Some(Outcome::Unknown(Unknown { reason: "perhaps".to_owned() }));
    for (count, answer) in [unknown, None].into_iter().enumerate() {
        one.answers([answer]);
        let end = client(&[&first, &second]).set("key", "value").await.unwrap_err();
        assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
        assert_eq!((one.asked(), two.asked()), (count + 1, 0));
    }
    let end = client(&[&first, &second]).add(4, "127.0.0.1:1").await.unwrap_err();
    assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
    one.answers([refused(false)]);
    let end = client(&[&first, &second]).set("key", "value").await.unwrap_err();
    assert!(matches!(end, ClientError::Refused { .. }), "{end}");
    assert_eq!((one.asked(), two.asked()), (3, 0));
}

/// The key of an operation whose answer is lost.
const LOST: &str = "the operation whose answer is lost";

/// A node that takes an operation, and then breaks the connection or says nothing more. Returns its
/// address, and how often the operation came.
async fn void(breaks: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let came = Arc::clone(&count);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut all = Vec::new();
            while stream.read_buf(&mut all).await.is_ok_and(|count| count > 0) {
                if all.windows(LOST.len()).any(|window| window == LOST.as_bytes()) {
                    came.fetch_add(1, Ordering::SeqCst);
                    break;
                }
            }
            open.extend((!breaks).then_some(stream));
        }
    });
    (address, count)
}

#[tokio::test]
async fn what_was_sent_into_the_void_is_sent_once() {
    let (two, second) = Puppet::listening().await;
    two.answers([done()]);
    for breaks in [true, false] {
        let (first, came) = void(breaks).await;
        let end = client(&[&first, &second]).set(LOST, "value").await.unwrap_err();
        assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
        assert_eq!((came.load(Ordering::SeqCst), two.asked()), (1, 0));

        let arguments = ["client", "--timeout", "1", "--to", &first, "--to", &second, "del", LOST];
        let ended = run(arguments).await;
        assert_eq!(ended.code, Some(4), "{ended:#?}");
        assert!(ended.err.starts_with("seshat: the outcome is unknown: "), "{ended:#?}");
        assert!(ended.err.ends_with("or never; look before you repeat it\n"), "{ended:#?}");
        assert_eq!((came.load(Ordering::SeqCst), two.asked()), (2, 0));
    }
}

/// A newer client may ask for more than this node knows of: to do the rest would be something else.
#[tokio::test]
async fn what_is_half_understood_is_not_done() {
    let (node, address) = Puppet::listening().await;
    node.answers([done()]);
    // ProposeRequest { operation: Operation { set: SetOperation { key: "k", value: "v", 3: 60 } } }
    let operation: &[u8] = &[0x0a, 8, 0x0a, 1, b'k', 0x12, 1, b'v', 0x18, 60];
    let propose = async |operation: &[u8]| {
        // On the wire the same: one field, number 1, of bytes.
        let request = v1::SnapshotRecord { key: operation.to_vec().into(), ..Default::default() };
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
        let mut client = tonic::client::Grpc::new(endpoint.unwrap().connect().await.unwrap());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<_, proto::ProposeResponse>::default();
        let path = "/seshat.client.v1.Client/Propose".parse().unwrap();
        client.unary(Request::new(request), path, codec).await.map(|_| ())
    };
    let refused = propose(operation).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("SetOperation.*: field 3"), "{refused}");
    assert_eq!(node.asked(), 0);
    // Without that field it is a SET.
    propose(&[0x0a, 6, 0x0a, 1, b'k', 0x12, 1, b'v']).await.unwrap();
    assert_eq!(node.asked(), 1);
}
