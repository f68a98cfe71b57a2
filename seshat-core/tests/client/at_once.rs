//! Many calls at once, whatever happens to nodes and connections meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use seshat_core::client::{Client, ClientError, Condition, SetOptions, SetOutcome};
use tokio::time::timeout;

use crate::DEADLINE;
use crate::cluster::Cluster;
use crate::proxy::{Proxy, Wire};
use crate::puppet::{Manner, Puppet};

const ONCE: SetOptions = SetOptions { condition: Some(Condition::Absent), get: false };

/// Binds a key that nobody else binds: an operation that is applied twice finds what it did itself.
async fn bind_once(client: &Client, key: String) -> Result<(), ClientError> {
    let SetOutcome { set, .. } = client.set_with(key.clone(), "value", ONCE).await?;
    assert!(set, "{key} was bound before");
    Ok(())
}

/// How many calls are done, and of how many that isn't known.
#[derive(Debug, Default)]
struct Ends {
    done: AtomicUsize,
    unknown: AtomicUsize,
}

impl Ends {
    fn note(&self, end: Result<(), ClientError>) {
        match end {
            Ok(()) => self.done.fetch_add(1, Ordering::Relaxed),
            Err(ClientError::Unknown { .. }) => self.unknown.fetch_add(1, Ordering::Relaxed),
            Err(other) => panic!("{other}"),
        };
    }
}

/// Calls on and on, until it is told to stop.
async fn go_on(client: Client, name: usize, stop: Arc<AtomicBool>, ends: Arc<Ends>) {
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        ends.note(bind_once(&client, format!("{name}-{n}")).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_in_flight_while_the_leader_moves_are_done_once_or_unknown() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let (stop, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(Ends::default()));
    let call = |name| tokio::spawn(go_on(client.clone(), name, stop.clone(), ends.clone()));
    let calls: Vec<_> = (0..1000).map(call).collect();
    let enough = async |done: usize| {
        while ends.done.load(Ordering::Relaxed) < done {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, enough(2000)).await.expect("calls are done");
    let before = cluster.leader().await;
    // Its service goes before it does, so that nothing is lost.
    cluster.nodes[before].service.close().await;
    cluster.nodes[before].node.shutdown().await;
    let so_far = ends.done.load(Ordering::Relaxed);
    timeout(DEADLINE, enough(so_far + 2000)).await.expect("calls are done by the next leader");
    stop.store(true, Ordering::Relaxed);
    for call in calls {
        timeout(DEADLINE, call).await.expect("each call ends").unwrap();
    }
    let unknown = ends.unknown.load(Ordering::Relaxed);
    assert_eq!(unknown, 0, "a leader that shuts down leaves nobody in doubt: {ends:?}");
    assert!(client.retries() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_when_a_connection_is_cut_is_never_done_twice() {
    let cluster = Cluster::start(1).await;
    let proxy = Proxy::to(cluster.nodes[0].address.clone(), 7).await;
    let client = Client::new(vec![proxy.address.to_string()], None, DEADLINE).unwrap();
    let (stop, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(Ends::default()));
    let call = |name| tokio::spawn(go_on(client.clone(), name, stop.clone(), ends.clone()));
    let calls: Vec<_> = (0..64).map(call).collect();
    for _ in 0..10 {
        let so_far = ends.done.load(Ordering::Relaxed);
        let more = async {
            while ends.done.load(Ordering::Relaxed) < so_far + 100 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, more).await.expect("calls go on after a cut");
        proxy.set(Wire::Cut);
        // A connection that looks only now and then sees it all the same.
        tokio::time::sleep(Duration::from_millis(10)).await;
        proxy.set(Wire::WHOLE);
    }
    stop.store(true, Ordering::Relaxed);
    for call in calls {
        timeout(DEADLINE, call).await.expect("each call ends").unwrap();
    }
    assert!(ends.unknown.load(Ordering::Relaxed) > 0, "nothing was in flight: {ends:?}");
}

/// What waits goes together, and a lone call alone.
#[tokio::test]
async fn calls_that_wait_share_messages() {
    let (puppet, address) = Puppet::listening().await;
    puppet.answers([None]);
    let client = Client::new(vec![address], None, DEADLINE).unwrap();
    let call = || client.set("key", "value");
    call().await.unwrap_err();
    assert_eq!((puppet.asked(), puppet.messages()), (1, 1));
    join_all((0..500).map(|_| call())).await;
    assert_eq!(puppet.asked(), 501);
    assert!(puppet.messages() < 60, "{} messages", puppet.messages());
}

/// A call that takes its time keeps nobody waiting, and ends when it should.
#[tokio::test]
async fn a_call_ends_with_its_time_and_not_before() {
    let (puppet, address) = Puppet::listening().await;
    puppet.behaves(Manner::Silent);
    let time = Duration::from_millis(400);
    let client = Client::new(vec![address], None, time).unwrap();
    let started = Instant::now();
    let (set, get) = tokio::join!(client.set("key", "value"), client.get("key"));
    let took = started.elapsed();
    assert!(matches!(set, Err(ClientError::Unknown { .. })), "{set:?}");
    assert!(matches!(get, Err(ClientError::TooLate { .. })), "{get:?}");
    assert!(took >= time - Duration::from_millis(60) && took < DEADLINE, "{took:?}");
}

/// Who listens, and never begins, is asked for nothing: that is certain.
#[tokio::test]
async fn what_was_never_sent_is_certainly_not_done() {
    let (puppet, address) = Puppet::listening().await;
    puppet.behaves(Manner::NeverBegins);
    let client = Client::new(vec![address], None, Duration::from_millis(300)).unwrap();
    let end = client.set("key", "value").await.unwrap_err();
    assert!(matches!(end, ClientError::TooLate { .. }), "{end}");
    assert_eq!(puppet.asked(), 0);
}

/// A node that closes says how far it came; what is behind that is sent elsewhere, what isn't answered is
/// unknown.
#[tokio::test]
async fn what_a_closing_node_did_not_take_goes_to_the_next() {
    for (taken, known) in [(0, true), (1, false)] {
        let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
        one.behaves(Manner::Closes(taken));
        two.answers([None]);
        let client = Client::new(vec![first, second], None, DEADLINE).unwrap();
        let end = client.set("key", "value").await.unwrap_err();
        // The second doesn't know what to say, which shows that it was asked.
        assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
        assert_eq!((one.asked(), two.asked()), (1, usize::from(known)), "{end}");
    }
}

/// Clones are one client, and the last takes the connection with it.
#[tokio::test]
async fn clones_share_a_connection_which_ends_with_the_last() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let clones: Vec<_> = (0..50).map(|_| client.clone()).collect();
    join_all(clones.iter().map(|clone| clone.set("key", "value"))).await;
    let server = cluster.nodes[0].server.as_ref().unwrap();
    assert_eq!(server.under_way().client_calls, 1, "one stream");
    drop(client);
    clones[7].set("key", "other").await.unwrap();
    drop(clones);
    let gone = async {
        while server.under_way().client_calls > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, gone).await.expect("nothing is left of them");
}

/// Calls that are dropped when they have been sent: their answers are nobody's, and others go on.
#[tokio::test]
async fn calls_that_are_given_up_are_in_nobodys_way() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    client.set("key", "value").await.unwrap();
    for n in 0..200_u64 {
        let call = client.set(n.to_string(), Bytes::from(vec![b'x'; 100]));
        let _ = timeout(Duration::from_micros(n * 10), call).await;
    }
    let calls = (0..200_u64).map(|n| client.set(format!("later-{n}"), "value"));
    for end in join_all(calls).await {
        end.unwrap();
    }
    assert_eq!(client.get("key").await.unwrap(), Some("value".into()));
}

/// Each asks for room for the longest value, and the queue has some for 63.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_ask_for_the_value_before_are_all_done() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    for round in 0..3 {
        let name = |n| format!("key-{n}");
        let calls = (0..1000).map(|n| client.set_get(name(n), format!("{round}-{n}")));
        for (n, end) in join_all(calls).await.into_iter().enumerate() {
            let before = (round > 0).then(|| format!("{}-{n}", round - 1).into());
            assert_eq!(end.unwrap(), before, "{}", name(n));
        }
    }
}
