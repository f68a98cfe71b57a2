//! Snapshots that are sent from a file, and received into one: the file is whole or gone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use rstest::rstest;
use seshat_core::codec::FullSnapshotHeader;
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::types::{Entry, EntryPayload, LogId, Snapshot};
use seshat_core::wal;

use crate::host::{DEADLINE, Host};
use crate::link::Link;
use crate::resumed::{
    FAST, OVERHEAD, Source, assert_installed, connection, cut, leader, receiver_on, send,
    send_snapshot,
};
use crate::sim::Sim;

const STALL: Duration = Duration::from_secs(5);

/// A receiver on a directory.
async fn receiver(stall: Duration) -> (Host, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let storage = DiskStorage::open(dir.path(), DiskOptions::new("seshat", 1)).unwrap();
    let (host, address) = receiver_on(stall, storage).await;
    (host, address, dir)
}

/// The same snapshot as a file of a sender's.
async fn on_disk(source: &Source) -> (DiskStorage, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(dir.path(), DiskOptions::new("seshat", 9)).unwrap();
    let Snapshot { meta, snapshot } = source.snapshot();
    storage.machine.install_snapshot(&meta, snapshot).await.unwrap();
    (storage, dir)
}

async fn current(storage: &mut DiskStorage) -> Snapshot {
    storage.machine.get_current_snapshot().await.unwrap().unwrap()
}

/// Files in the folder of snapshots, and how long they are.
fn files(dir: &Path) -> Vec<(String, u64)> {
    let files = fs::read_dir(dir.join("snap")).unwrap().map(Result::unwrap);
    // One that goes at this moment has no length.
    let named = files.filter_map(|file| {
        Some((file.file_name().into_string().unwrap(), file.metadata().ok()?.len()))
    });
    let mut named: Vec<_> = named.collect();
    named.sort();
    named
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "{what} after {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const WHOLE: &str = "000000000001.snap";
const TEMPORARY: &str = "000000000001.snap.tmp";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_becomes_a_file() {
    let (host, address, dir) = receiver(STALL).await;
    let source = Source::of(100, "a").await;
    let (mut sender, _senders) = on_disk(&source).await;
    let mut connection = connection(address, STALL).await;
    send_snapshot(&mut connection, current(&mut sender).await).await.unwrap();
    assert_installed(&host, "a").await;
    assert_eq!(files(dir.path()), [(WHOLE.to_owned(), source.len())]);
    assert_eq!(fs::read(dir.path().join("snap").join(WHOLE)).unwrap(), source.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_waits_in_a_file_and_only_the_rest_follows() {
    let (host, address, dir) = receiver(STALL).await;
    let source = Source::of(100, "a").await;
    let half = source.bytes.slice(..source.bytes.len() / 2);
    cut(&address, source.header(leader(98)), half).await.unwrap();
    assert_eq!(source.offset(&address).await, source.len() / 2);
    let written = [(TEMPORARY.to_owned(), source.len() / 2)];
    until("the half isn't there", || files(dir.path()) == written).await;

    let (mut sender, _senders) = on_disk(&source).await;
    let link = Link::to(address, FAST, u64::MAX).await;
    let mut connection = connection(link.address, STALL).await;
    send_snapshot(&mut connection, current(&mut sender).await).await.unwrap();
    assert_installed(&host, "a").await;
    let most = source.len() / 2 + OVERHEAD;
    assert!(link.carried() <= most, "{} of {} bytes", link.carried(), source.len());
    assert_eq!(files(dir.path()), [(WHOLE.to_owned(), source.len())]);
}

/// What a sender leaves behind that doesn't come to its end.
#[derive(Debug)]
enum Left {
    /// What nobody adds to.
    Half,
    /// Bytes that aren't what they were said to be.
    Garbage,
    /// Bytes that are that, and no snapshot.
    Nothing,
}

#[rstest]
#[case::half(Left::Half)]
#[case::garbage(Left::Garbage)]
#[case::nothing(Left::Nothing)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_left_of_what_is_not_installed(#[case] left: Left) {
    let (host, address, dir) = receiver(Duration::from_millis(400)).await;
    let mut source = Source::of(10, "a").await;
    let header = source.header(leader(99));
    match left {
        Left::Half => cut(&address, header, source.bytes.slice(..50_000)).await.unwrap(),
        Left::Garbage => {
            cut(&address, header, Bytes::from(vec![7; 50_000])).await.unwrap();
            let mut connection = connection(address, STALL).await;
            let end = send(&mut connection, &source).await.unwrap_err();
            assert!(end.to_string().contains("the trailer says"), "{end}");
        }
        Left::Nothing => {
            source.bytes = vec![7; 50_000].into();
            let mut connection = connection(address, STALL).await;
            let end = send(&mut connection, &source).await.unwrap_err();
            assert!(end.to_string().contains("the snapshot can't be read"), "{end}");
        }
    }
    until("something is left", || files(dir.path()).is_empty()).await;
    host.node.shutdown().await;
}

/// One half is kept at most, and none of them when the server is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_snapshot_takes_the_place_of_a_half() {
    let (host, address, dir) = receiver(STALL).await;
    for filled_with in ["a", "b"] {
        let source = Source::of(10, filled_with).await;
        cut(&address, source.header(leader(99)), source.bytes.slice(..50_000)).await.unwrap();
    }
    until("the first is left", || {
        files(dir.path()) == [("000000000002.snap.tmp".to_owned(), 50_000)]
    })
    .await;
    host.shutdown().await;
    until("the second is left", || files(dir.path()).is_empty()).await;
}

/// The server may live longer than its node, and a half in it would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_goes_with_the_node_and_so_does_the_lock() {
    let (host, address, dir) = receiver(STALL).await;
    let source = Source::of(10, "a").await;
    cut(&address, source.header(leader(99)), source.bytes.slice(..50_000)).await.unwrap();
    host.node.stop().await;
    until("something is left", || files(dir.path()).is_empty()).await;
    let again = || DiskStorage::open(dir.path(), DiskOptions::new("seshat", 1));
    until("it is locked", || again().is_ok()).await;
    host.server.shutdown().await;
}

/// A leader that is busy has newer snapshots before an old one is sent: their files go, what is sent stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_superseded_while_it_is_sent_arrives() {
    let (host, address, _dir) = receiver(STALL).await;
    let source = Source::of(300, "a").await;
    let (mut sender, senders) = on_disk(&source).await;
    let link = Link::to(address, 500_000, u64::MAX).await;
    let mut connection = connection(link.address, STALL).await;
    let snapshot = current(&mut sender).await;
    let sending = tokio::spawn(async move { send_snapshot(&mut connection, snapshot).await });
    until("nothing is carried", || link.carried() > 100_000).await;
    let last = source.meta.last_log_id.unwrap();
    for newer in 1..=3 {
        let log_id = LogId::new(last.leader_id, last.index + newer);
        sender.machine.apply([Entry { log_id, payload: EntryPayload::Blank }]).await.unwrap();
        sender.machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    }
    assert!(!senders.path().join("snap").join(WHOLE).exists(), "it isn't superseded");
    assert!(!sending.is_finished(), "too late to tell");
    link.set(FAST, u64::MAX);
    sending.await.unwrap().unwrap();
    assert_installed(&host, "a").await;
}

/// Nobody gets what is damaged where it lies; the node that has it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_not_sent() {
    let (_host, address, _dir) = receiver(STALL).await;
    let source = Source::of(10, "a").await;
    let (mut sender, senders) = on_disk(&source).await;
    let path = senders.path().join("snap").join(WHOLE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let link = Link::to(address, FAST, u64::MAX).await;
    let mut connection = connection(link.address, STALL).await;
    let end = send_snapshot(&mut connection, current(&mut sender).await).await.unwrap_err();
    let words = "this node's own snapshot can't be read: checksum";
    assert!(end.to_string().contains(words), "{end}");
    assert_eq!(link.carried(), 0);
}

/// The sender is told why; the receiver goes on, with all the room that there was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_without_room_is_refused() {
    let sim = Sim::new(4096);
    // A log that makes room for itself, or gives some back, makes less of it than a snapshot takes.
    let segments = wal::Options {
        first_segment_bytes: 64 << 10,
        segment_bytes: 64 << 10,
        spares: 1,
        reserve_bytes: 4 << 10,
        ..wal::Options::new("seshat", 1)
    };
    let options = DiskOptions { wal: segments, ..DiskOptions::new("seshat", 1) };
    let storage = DiskStorage::open_on(sim.clone(), options).unwrap();
    let (host, address) = receiver_on(STALL, storage).await;
    let source = Source::of(100, "a").await;
    let size = |sim: &Sim| sim.world().files().values().map(Vec::len).sum::<usize>();
    let room = size(&sim) + 300_000;
    sim.world().faults.room = Some(room);
    let mut connection = connection(address, STALL).await;
    let end = send(&mut connection, &source).await.unwrap_err();
    let words = format!("refused, full: there is no room for a snapshot of {}", source.len());
    assert!(end.to_string().contains(&words), "{end}");
    let left = || sim.world().files().into_keys().any(|name| name.starts_with("snap/"));
    until("something is left", || !left()).await;

    sim.world().faults.room = None;
    send(&mut connection, &source).await.unwrap();
    assert_installed(&host, "a").await;
}

/// The header alone says how much is to come: no byte is kept for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_takes_no_room() {
    let (_host, address, dir) = receiver(STALL).await;
    let source = Source::of(10, "a").await;
    let header = FullSnapshotHeader { length: 1 << 33, ..source.header(leader(99)) };
    cut(&address, header, source.bytes.slice(..1000)).await.unwrap();
    until("it isn't there", || files(dir.path()) == [(TEMPORARY.to_owned(), 1000)]).await;
}
