//! Backups that don't come to their end: nothing is left of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use seshat_core::proto::client::client_server::{Client, ClientServer};
use seshat_core::proto::client::{self as proto, BackupEnd, BackupPart, backup_part::Part};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::directory::made;
use crate::program::command;

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends these parts, and then nothing, or the end of the stream.
#[derive(Clone)]
struct Sends {
    parts: Vec<Part>,
    ends: bool,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Client for Sends {
    async fn propose(&self, _: Request<proto::ProposeRequest>) -> Answer<proto::ProposeResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn read(&self, _: Request<proto::ReadRequest>) -> Answer<proto::ReadResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_many(&self, _: Request<proto::GetManyRequest>) -> Answer<proto::GetManyResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn scan(&self, _: Request<proto::ScanRequest>) -> Answer<proto::ScanResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    type ExchangeStream = ReceiverStream<Result<proto::Answers, Status>>;

    async fn exchange(
        &self,
        _: Request<tonic::Streaming<proto::Requests>>,
    ) -> Answer<Self::ExchangeStream> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn status(&self, _: Request<proto::StatusRequest>) -> Answer<proto::StatusResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn add_member(
        &self,
        _: Request<proto::AddMemberRequest>,
    ) -> Answer<proto::ChangeResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn remove_member(
        &self,
        _: Request<proto::RemoveMemberRequest>,
    ) -> Answer<proto::ChangeResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn transfer_leadership(
        &self,
        _: Request<proto::TransferLeadershipRequest>,
    ) -> Answer<proto::TransferLeadershipResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn snapshot(
        &self,
        _: Request<proto::SnapshotRequest>,
    ) -> Answer<proto::SnapshotResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn partitions(
        &self,
        _: Request<proto::PartitionsRequest>,
    ) -> Answer<proto::PartitionsResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn health(&self, _: Request<proto::HealthRequest>) -> Answer<proto::HealthResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    type BackupStream = ReceiverStream<Result<BackupPart, Status>>;

    async fn backup(&self, _: Request<proto::BackupRequest>) -> Answer<Self::BackupStream> {
        let (parts, taken) = mpsc::channel(1);
        let Self { parts: all, ends } = self.clone();
        tokio::spawn(async move {
            for part in all {
                let _ = parts.send(Ok(BackupPart { part: Some(part) })).await;
            }
            if !ends {
                parts.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(taken)))
    }
}

/// Where it is served, for as long as the runtime lives.
async fn serve(sends: Sends) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(ClientServer::new(sends));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

async fn snapshot() -> Vec<u8> {
    let dir = made().await;
    fs::read(dir.path().join("snap/000000000002.snap")).unwrap()
}

#[rstest]
#[case::cut(|all: &mut Vec<u8>| all.truncate(700), "are no trailer")]
#[case::a_byte(|all: &mut Vec<u8>| all[500] ^= 1, "a byte was changed or lost")]
#[case::nothing(|all: &mut Vec<u8>| all.clear(), "too few for a snapshot")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_verify_is_not_written(
    #[case] harm: impl FnOnce(&mut Vec<u8>),
    #[case] words: &str,
) {
    let mut bytes = snapshot().await;
    harm(&mut bytes);
    let end = Part::End(BackupEnd { length: bytes.len() as u64 });
    let address = serve(Sends { parts: vec![Part::Bytes(bytes.into()), end], ends: true }).await;
    refuse(&address, words).await;
}

#[rstest]
#[case::without_an_end(None, "it ended after 9 bytes")]
#[case::of_another_length(Some(Part::End(BackupEnd { length: 10 })), "9 bytes came of 10")]
#[case::refused(
    Some(Part::Refused(proto::Refused { reason: "too busy".into(), later: true })),
    "too busy"
)]
#[case::refused_for_good(
    Some(Part::Refused(proto::Refused { reason: "you may not".into(), later: false })),
    "you may not"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_complete_is_not_written(#[case] last: Option<Part>, #[case] words: &str) {
    let parts = [Some(Part::Bytes(vec![1; 9].into())), last].into_iter().flatten().collect();
    refuse(&serve(Sends { parts, ends: true }).await, words).await;
}

async fn refuse(address: &str, words: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup").display().to_string();
    let mut backup = command(["backup", "--to", address, "--timeout", "1", &file]);
    let output = tokio::task::spawn_blocking(move || backup.output().unwrap()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains(words), "{error}");
    assert!(error.contains(address), "{error}");
    assert!(is_empty(dir.path()), "something is left");
}

/// In the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_leaves_nothing() {
    let address = serve(Sends { parts: vec![Part::Bytes(vec![1; 999].into())], ends: false }).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup").display().to_string();
    let mut backup = command(["backup", "--to", &address, &file]);
    let mut child = backup.stderr(Stdio::piped()).spawn().unwrap();
    let unfinished = dir.path().join("backup.unfinished");
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(&unfinished).map_or(0, |meta| meta.len()) < 999 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it begins");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("Ctrl-C") && error.contains("is not written"), "{error}");
    assert!(is_empty(dir.path()), "something is left");
}

/// Nobody is there.
#[test]
fn nobody_answers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup").display().to_string();
    // A port that nothing listens at, as its listener is gone.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = address.to_string();
    let output = command(["backup", "--to", &to, "--timeout", "1", &file]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains(&to) && error.contains("no node gave a backup"), "{error}");
    assert!(is_empty(dir.path()));
}
