//! More connections than there may be, and some that never get to say anything.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use seshat_core::config::{GrpcConfig, TlsConfig};
use seshat_core::proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::Status;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::authority::Authority;
use crate::capture::{Happened, capture};
use crate::host::{DEADLINE, Host, Ports};
use crate::hostile::until_closed;
use crate::raw::{channel, signed, unary};

/// HTTP/2's preface, and settings that leave all as it is.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Longer than a test takes: what ends sooner ends for another reason.
const PATIENT: Duration = Duration::from_secs(3600);

/// A node alone, and where it serves peers and clients.
async fn host(most: usize, patience: Duration, tls: Option<TlsConfig>) -> (Host, String, String) {
    named(
        "seshat",
        GrpcConfig {
            max_connections: most,
            connect_timeout: patience,
            tls,
            ..GrpcConfig::default()
        },
    )
    .await
}

async fn named(cluster: &'static str, grpc: GrpcConfig) -> (Host, String, String) {
    let mut ports = Ports::named(cluster, 1).await;
    let config = ports.config(1).single_node().grpc(grpc).build().unwrap();
    let (host, clients) = Host::with_clients(config, ports.listener(1), Default::default()).await;
    host.admit().await.unwrap();
    (host, ports.address(1).to_owned(), clients)
}

/// A call of a node that is let in.
async fn call(channel: &Channel) -> Result<(), Status> {
    let asked = signed(
        "seshat",
        1,
        v1::StandingRequest { node_id: 9, incarnation: 0, ..Default::default() },
    );
    let answer = unary::<_, v1::StandingResponse>(channel.clone(), "Standing", asked);
    timeout(DEADLINE, answer).await.expect("an answer").map(drop)
}

/// Connects, and says that.
async fn connect(address: &str, words: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Who is hung up on may not get to say it.
    let _ = stream.write_all(words).await;
    stream
}

/// Whoever doesn't get to speak HTTP/2, or doesn't answer its pings, goes.
#[rstest]
#[case::nothing(b"")]
#[case::a_byte(&PREFACE[..1])]
#[case::half_a_preface(&PREFACE[..12])]
#[case::a_preface_and_half_a_frame(&PREFACE[..28])]
#[case::no_answer_to_pings(PREFACE)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_little_is_hung_up_on(
    #[case] words: &[u8],
    #[values(false, true)] as_client: bool,
) {
    let (_host, peers, clients) = host(4, Duration::from_millis(300), None).await;
    let address = if as_client { clients } else { peers };
    until_closed(connect(&address, words).await).await;
}

/// However often a byte comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_it_slowly_is_hung_up_on() {
    let (_host, address, _) = host(4, Duration::from_millis(300), None).await;
    let (mut from, mut to) = connect(&address, b"").await.into_split();
    let dripping = tokio::spawn(async move {
        for byte in PREFACE.iter().cycle() {
            if to.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut heard = Vec::new();
    let closed = timeout(DEADLINE, from.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "it is open still: {heard:?}");
    dripping.abort();
}

#[rstest]
#[case::a_byte(&b"\x16"[..])]
#[case::half_a_hello(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_shake_hands_is_hung_up_on(#[case] words: &[u8]) {
    let authority = Authority::new();
    let tls = authority.certify(&["node-1.seshat"]);
    let (_host, address, _) = host(4, Duration::from_millis(300), Some(tls)).await;
    until_closed(connect(&address, words).await).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shakes_hands_and_says_little_is_hung_up_on(#[values(0, 12)] bytes: usize) {
    let authority = Authority::new();
    let tls = authority.certify(&["node-1.seshat"]);
    let (_host, address, _) = host(4, Duration::from_secs(1), Some(tls)).await;
    let theirs = authority.certify(&["node-9.seshat"]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&theirs.ca).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&theirs.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&theirs.key).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = config.with_client_auth_cert(chain, key).unwrap();
    let name = ServerName::try_from("node-1.seshat").unwrap();
    let stream = TcpStream::connect(&address).await.unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(&PREFACE[..bytes]).await.unwrap();
    let mut heard = Vec::new();
    // Without a farewell, which is an error of TLS.
    let closed = timeout(DEADLINE, stream.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "it is open still: {heard:?}");
}

/// A crowd that comes again and again, and talks as long as it stays, is in no member's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_take_places_from_each_other() {
    const MOST: usize = 4;
    let (_host, address, _) = host(MOST, PATIENT, None).await;
    let member = channel(&address);
    call(&member).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..10 * MOST {
        strangers.push(tokio::spawn(until_closed(connect(&address, PREFACE).await)));
    }
    call(&member).await.unwrap();
    call(&channel(&address)).await.unwrap();
    // No more are open than may be, those of the members among them.
    let deadline = Instant::now() + DEADLINE;
    loop {
        let open = strangers.iter().filter(|stranger| !stranger.is_finished()).count();
        if open <= MOST - 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{open} strangers are there still");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    call(&member).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_at_work_stays_and_who_comes_is_turned_away() {
    let (_host, address, _) = host(2, PATIENT, None).await;
    let members = [channel(&address), channel(&address)];
    for member in &members {
        call(member).await.unwrap();
    }
    for _ in 0..3 {
        let late = TcpStream::connect(&address).await.unwrap();
        assert_eq!(until_closed(late).await, 0, "hung up on without a word");
    }
    for member in &members {
        call(member).await.unwrap();
    }
    // When one goes, there is a place again.
    let [stays, goes] = members;
    drop(goes);
    let deadline = Instant::now() + DEADLINE;
    while call(&channel(&address)).await.is_err() {
        assert!(Instant::now() < deadline, "its place isn't given back");
    }
    call(&stays).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_take_no_places_of_nodes_and_nodes_none_of_clients() {
    let (_host, peers, clients) = host(2, PATIENT, None).await;
    let check = async |channel: &Channel| {
        HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.map(drop)
    };
    let served = [channel(&clients), channel(&clients)];
    let members = [channel(&peers), channel(&peers)];
    for (client, member) in served.iter().zip(&members) {
        check(client).await.unwrap();
        call(member).await.unwrap();
    }
    check(&channel(&clients)).await.unwrap_err();
    call(&channel(&peers)).await.unwrap_err();
    for (client, member) in served.iter().zip(&members) {
        check(client).await.unwrap();
        call(member).await.unwrap();
    }
}

/// However many are turned away, an event a second tells of them, and of all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_does_not_fill_the_log() {
    const CROWD: u64 = 300;
    capture();
    let started = Instant::now();
    let grpc = GrpcConfig { max_connections: 1, connect_timeout: PATIENT, ..GrpcConfig::default() };
    let (_host, address, _) = named("crowded", grpc).await;
    let mut crowd = Vec::new();
    for _ in 0..=CROWD {
        crowd.push(connect(&address, b"").await);
    }
    let told = |event: &Happened| {
        event.fields.is("message", "connections turned away")
            && event.fields.is("cluster", "crowded")
            && event.fields.is("listener", "peers")
    };
    let deadline = Instant::now() + DEADLINE;
    loop {
        let events = capture().events(told);
        let counts = events.iter().filter_map(|event| event.fields.number("gave_way"));
        if counts.sum::<u64>() == CROWD {
            let most = started.elapsed().as_secs() as usize + 1;
            assert!(events.len() <= most, "{} events in {:?}", events.len(), started.elapsed());
            assert!(events[0].fields.has("last", "127.0.0.1:"), "{events:?}");
            return;
        }
        assert!(Instant::now() < deadline, "not all were told of: {events:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
