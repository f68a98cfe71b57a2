//! What a node serves to those who look after it.

use std::time::Duration;

use prometheus_parse::LineInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::cluster::{Cluster, IDS, port};
use crate::{DEADLINE, POLL};

/// The status of an answer, and its body.
type Answer = (u16, String);

async fn ask(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an end")?;
    Ok(answer)
}

async fn get(address: &str, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    parse(&ask(address, &request).await.unwrap())
}

fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").expect(answer);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(head);
    (status, body.to_owned())
}

async fn until(address: &str, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = get(address, path).await;
        if is_so(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path}: {answer:?}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alive_is_not_ready() {
    let mut cluster = Cluster::new("");
    let at: Vec<String> = IDS.iter().map(|_| format!("127.0.0.1:{}", port())).collect();
    for (id, address) in IDS.into_iter().zip(&at) {
        let arguments = vec!["--listen-metrics".to_owned(), address.clone()];
        cluster.arguments.insert(id, arguments);
    }
    // Alone it waits for the others.
    let node = cluster.run(1);
    node.says(&format!("serves metrics at http://{}/metrics\n", at[0])).await;
    node.says("listens at").await;
    assert_eq!(get(&at[0], "/livez").await, (200, "alive\n".to_owned()));
    let (status, why) = get(&at[0], "/readyz").await;
    assert!(status == 503 && why.starts_with("no leader is heard"), "{why}");

    for id in [2, 3] {
        cluster.run(id);
    }
    cluster.leader().await;
    for address in &at {
        until(address, "/readyz", |answer| *answer == (200, "ready\n".to_owned())).await;
        let (status, text) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let read = LineInfo::parse(line);
            assert!(matches!(read, LineInfo::Sample { .. } | LineInfo::Empty), "{line:?}");
        }
        assert!(text.contains("\nseshat_raft_has_leader{group=\"0\"} 1\n"), "{text}");
        assert!(
            text.contains("\n# TYPE seshat_raft_commit_duration_seconds histogram\n"),
            "{text}"
        );
    }

    // The last one, without a quorum.
    let last = &at[0];
    cluster.kill(2).await;
    cluster.kill(3).await;
    let (_, why) = until(last, "/readyz", |(status, _)| *status == 503).await;
    assert!(why.contains("majority of the members"), "{why}");
    assert_eq!(get(last, "/livez").await.0, 200);

    // Told to end, which takes a while if it leads.
    let node = cluster.take(1);
    node.signal("TERM").await;
    let drained = async {
        while let Ok(answer) = ask(last, "GET /readyz HTTP/1.1\r\nHost: it\r\n\r\n").await {
            if answer.contains("the node shuts down") {
                return Some(answer);
            }
        }
        None
    };
    let drained = drained.await;
    let ended = node.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let led = ended.out.contains("nobody took over");
    assert!(drained.is_some() || !led, "it led, and was never said to end: {ended:#?}");
}

/// Whoever asks for something else, or nothing, or too much, keeps nobody from being answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_in_a_probes_way() {
    let address = format!("127.0.0.1:{}", port());
    let settings = format!("metrics_address = \"{address}\"");
    let mut cluster = Cluster::new(settings.leak());
    cluster.run(1).says("serves metrics").await;

    assert_eq!(get(&address, "/").await.0, 404);
    assert_eq!(get(&address, "/livez?verbose").await.0, 200);
    let posted = ask(&address, "POST /metrics HTTP/1.1\r\nHost: it\r\n\r\n").await.unwrap();
    assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET, HEAD"), "{posted}");
    let head = ask(&address, "HEAD /livez HTTP/1.1\r\nHost: it\r\n\r\n").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let garbled = ask(&address, "\u{1}\u{2}\r\n\r\n").await.unwrap();
    assert!(garbled.starts_with("HTTP/1.1 400"), "{garbled}");

    // A line without end is refused, or cut.
    let long = format!("GET /{} HTTP/1.1\r\nHost: it\r\n\r\n", "x".repeat(1 << 20));
    if let Ok(answer) = ask(&address, &long).await {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    // Many that say half of something: the first of them have to go, and a probe is answered at once.
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(b"GET /metr").await;
        held.push(stream);
    }
    let probed = timeout(Duration::from_secs(5), get(&address, "/livez")).await;
    assert_eq!(probed.expect("within what probes wait").0, 200);
    let mut byte = [0];
    let first = timeout(DEADLINE, held[0].read(&mut byte)).await.expect("it is ended");
    assert!(matches!(first, Ok(0) | Err(_)), "{first:?}");
}
