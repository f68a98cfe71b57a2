//! What clients read: levels, many keys at once, pages.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use seshat_core::client::{
    Client, ClientError, Condition, ReadLevel, Scan, SetOptions, SetOutcome,
};

use crate::DEADLINE;
use crate::cluster::Cluster;

#[tokio::test]
async fn conditions_are_kept_and_told() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let with = |condition, get| SetOptions { condition: Some(condition), get };
    let outcome = |set, previous: Option<&'static str>| SetOutcome {
        set,
        previous: previous.map(Bytes::from),
    };
    let set =
        async |value: &'static str, options| client.set_with("", value, options).await.unwrap();
    assert_eq!(set("a", with(Condition::Present, true)).await, outcome(false, None));
    assert_eq!(set("b", with(Condition::Absent, true)).await, outcome(true, None));
    assert_eq!(set("c", with(Condition::Absent, false)).await, outcome(false, None));
    assert_eq!(set("d", with(Condition::Absent, true)).await, outcome(false, Some("b")));
    assert_eq!(set("e", with(Condition::Present, true)).await, outcome(true, Some("b")));
    assert_eq!(client.get("").await.unwrap(), Some("e".into()));
}

/// Any node answers a local read, and says how far it is behind; only the leader answers the others.
#[tokio::test]
async fn levels_are_kept() {
    let cluster = Cluster::start(3).await;
    cluster.client().set("key", "value").await.unwrap();
    let leader = cluster.leader().await;
    let follower = &cluster.nodes[(leader + 1) % 3];
    let applied = cluster.nodes[leader].node.last_applied().unwrap().index;
    let caught_up = follower.node.wait_until(DEADLINE, "it", |now| {
        now.last_applied.is_some_and(|last| last.index >= applied)
    });
    caught_up.await.unwrap();

    let to = |address: &str, time| Client::new(vec![address.to_owned()], None, time).unwrap();
    let client = to(&follower.address, Duration::from_millis(300));
    let (value, behind) = client.get_at("key", ReadLevel::Local).await.unwrap();
    assert_eq!(value, Some("value".into()));
    let behind = behind.unwrap();
    assert!(behind.applied >= Some(applied) && behind.committed >= behind.applied, "{behind:?}");
    assert!(behind.heard.unwrap() < DEADLINE, "{behind:?}");
    for level in [ReadLevel::Linearizable, ReadLevel::Leader] {
        let end = client.get_at("key", level).await.unwrap_err();
        let ClientError::TooLate { last, .. } = end else { panic!("{end}") };
        assert!(last.contains("not the leader, which is node"), "{last}");
    }
    let client = to(&cluster.nodes[leader].address, DEADLINE);
    for level in [ReadLevel::Linearizable, ReadLevel::Leader] {
        assert_eq!(client.get_at("key", level).await.unwrap(), (Some("value".into()), None));
    }
}

#[tokio::test]
async fn many_keys_are_read_at_once_within_bounds() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    for key in ["a", "b", ""] {
        client.set(key, key).await.unwrap();
    }
    let get = async |keys: Vec<Bytes>| client.get_many(keys, ReadLevel::Linearizable).await;
    let values = get(vec!["b".into(), "c".into(), "".into(), "b".into()]).await.unwrap();
    assert_eq!(values.values, [Some("b".into()), None, Some("".into()), Some("b".into())]);
    assert_eq!(values.behind, None);
    assert_eq!(get(Vec::new()).await.unwrap().values, []);
    assert_eq!(get(vec!["a".into(); 1024]).await.unwrap().values.len(), 1024);
    let many = get(vec!["a".into(); 1025]).await.unwrap_err().to_string();
    assert!(many.ends_with("GET of 1025 keys: at most 1024 are read at once"), "{many}");
    client.set("long", vec![b'x'; 1 << 20]).await.unwrap();
    assert!(get(vec!["long".into(); 4]).await.is_ok());
    let long = get(vec!["long".into(); 5]).await.unwrap_err().to_string();
    assert!(long.contains("the values have 5242880 bytes in all, and at most 4194304"), "{long}");
}

/// Page by page, on whichever node, each key comes once.
#[tokio::test]
async fn pages_are_read_on_at_any_node() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let keys = (0..100).map(|n| (Bytes::from(format!("user:{n:03}")), Bytes::from(n.to_string())));
    let keys: BTreeMap<_, _> = keys.collect();
    for (key, value) in &keys {
        client.set(key.clone(), value.clone()).await.unwrap();
    }
    client.set("other", "").await.unwrap();
    let applied = cluster.nodes[cluster.leader().await].node.last_applied();
    for served in &cluster.nodes {
        let caught_up = served.node.wait_until(DEADLINE, "it", |now| now.last_applied >= applied);
        caught_up.await.unwrap();
    }
    for keys_only in [false, true] {
        let mut scan = Scan {
            prefix: "user:".into(),
            max_keys: 7,
            keys_only,
            level: ReadLevel::Local,
            ..Scan::default()
        };
        let mut found = BTreeMap::new();
        for page in 0.. {
            let to = vec![cluster.nodes[page % 3].address.clone()];
            let page = Client::new(to, None, DEADLINE).unwrap().scan(&scan).await.unwrap();
            assert!(page.behind.is_some() && page.records.len() <= 7);
            for (key, value) in page.records {
                assert!(found.insert(key, value).is_none());
            }
            match page.next {
                Some(next) => scan.cursor = Some(next),
                None => break,
            }
        }
        let expected = |(key, value): (&Bytes, &Bytes)| {
            (key.clone(), if keys_only { Bytes::new() } else { value.clone() })
        };
        assert_eq!(found, keys.iter().map(expected).collect());
    }
    let all = client.scan(&Scan::default()).await.unwrap();
    assert_eq!((all.records.len(), all.next, all.behind), (101, None, None));
}

/// Whatever is asked for, none included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_has_ten_thousand_keys_at_most() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let set = |n: u32| client.set(format!("{n:05}"), "");
    join_all((0..10_001).map(set)).await.into_iter().for_each(|done| done.unwrap());
    for max_keys in [0, 10_000, 10_001, u32::MAX] {
        let mut scan = Scan { max_keys, ..Scan::default() };
        let page = client.scan(&scan).await.unwrap();
        assert_eq!(page.records.len(), 10_000, "{max_keys}");
        scan.cursor = page.next;
        let rest = client.scan(&scan).await.unwrap();
        assert_eq!((rest.records, rest.next), (vec![("10000".into(), "".into())], None));
    }
}
