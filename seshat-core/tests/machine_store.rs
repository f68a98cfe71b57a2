//! [`MachineStore`] as openraft drives it: applied state, and snapshots built, kept, received and
//! installed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;
#[path = "common/machine_oracle.rs"]
mod machine_oracle;

use std::collections::BTreeSet;
use std::io::SeekFrom;

use bytes::Bytes;
use entries::{blank, del, id, membership, normal, set, soon, voters};
use machine_oracle::Oracle;
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use rstest::rstest;
use seshat_core::machine::{ApplyError, MachineSnapshotBuilder, MachineStore};
use seshat_core::operation::{EntryResponse, Response};
use seshat_core::snapshot::{self, SnapshotData};
use seshat_core::types::{Entry, LogId, Snapshot, SnapshotMeta, StorageError, StoredMembership};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// A store with its oracle.
#[derive(Default)]
struct Tested {
    store: MachineStore,
    oracle: Oracle,
}

impl Tested {
    /// With entries 1 to `last`, in which every tenth is a membership.
    async fn at(last: u64) -> Self {
        let mut tested = Self::default();
        tested.apply((1..=last).map(entry)).await;
        tested
    }

    async fn apply(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let expected = self.oracle.apply(&entries);
        assert_eq!(soon(self.store.apply(entries)).await.unwrap(), expected);
    }

    async fn builder(&mut self) -> MachineSnapshotBuilder {
        soon(self.store.get_snapshot_builder()).await
    }

    async fn build(&mut self) -> Snapshot {
        build(&mut self.builder().await).await
    }

    async fn install(&mut self, meta: &SnapshotMeta, bytes: Bytes) -> Result<(), StorageError> {
        let data = Box::new(SnapshotData::from(bytes));
        soon(self.store.install_snapshot(meta, data)).await
    }

    /// What the current snapshot's id and bytes are.
    async fn current(&mut self) -> Option<(SnapshotMeta, Bytes)> {
        let current = soon(self.store.get_current_snapshot()).await.unwrap();
        current.map(|current| (current.meta, current.snapshot.into_bytes().unwrap()))
    }

    async fn assert_state(&mut self, expected: &Oracle) {
        let state = soon(self.store.applied_state()).await.unwrap();
        assert_eq!(state, (expected.last_applied, expected.membership.clone()));
        let reader = self.store.reader();
        assert_eq!(reader.last_applied(), expected.last_applied);
        assert_eq!(reader.size(), expected.size());
        assert_eq!(snapshot::write(&reader.freeze()), expected.snapshot());
    }
}

fn entry(index: u64) -> Entry {
    let log_id = id(index / 7 + 1, index);
    match index % 10 {
        0 => membership(log_id, voters([index, index + 1])),
        4 => normal(log_id, [del([format!("key-{}", index - 1)])]),
        _ => normal(log_id, [set(format!("key-{index}"), format!("value-{index}"))]),
    }
}

async fn build(builder: &mut MachineSnapshotBuilder) -> Snapshot {
    soon(builder.build_snapshot()).await.unwrap()
}

/// The leader's state at `index`, as it sends it.
fn snapshot_at(index: u64) -> (Oracle, SnapshotMeta, Bytes) {
    let mut oracle = Oracle::default();
    oracle.apply(&(1..=index).map(entry).collect::<Vec<_>>());
    let bytes = oracle.snapshot();
    let meta = SnapshotMeta { snapshot_id: format!("of the leader at {index}"), ..oracle.meta() };
    (oracle, meta, bytes)
}

#[tokio::test]
async fn a_fresh_store_has_applied_nothing_and_has_no_snapshot() {
    let mut tested = Tested::default();
    let state = soon(tested.store.applied_state()).await.unwrap();
    assert_eq!(state, (None, StoredMembership::default()));
    assert_eq!(tested.current().await, None);
}

#[tokio::test]
async fn applied_state_follows_every_entry() {
    let mut tested = Tested::default();
    for index in 1..=25 {
        tested.apply([entry(index)]).await;
        let expected = tested.oracle.clone();
        tested.assert_state(&expected).await;
    }
    assert_eq!(tested.store.reader().get(b"key-25"), Some(Bytes::from("value-25")));
    let replies = soon(tested.store.apply([blank(id(9, 26)), entry(27), entry(27 + 7)])).await;
    let deleted = EntryResponse::Batch(vec![Response::Del { deleted: 0 }]);
    let set = EntryResponse::Batch(vec![Response::Set { previous: None }]);
    assert_eq!(replies.unwrap(), [EntryResponse::Blank, set, deleted]);
}

#[tokio::test]
async fn a_refused_apply_is_a_storage_error_that_says_why_and_changes_nothing() {
    let mut tested = Tested::at(12).await;
    let before = tested.oracle.clone();
    let error = soon(tested.store.apply([entry(13), entry(12)])).await.unwrap_err();
    let cause = ApplyError { got: entry(12).log_id, last_applied: entry(13).log_id };
    assert!(matches!(error, StorageError::IO { .. }), "{error:?}");
    assert!(error.to_string().ends_with(&format!("machine::ApplyError: {cause}")), "{error}");
    tested.assert_state(&before).await;
    tested.apply([entry(13)]).await;
}

#[rstest]
#[case::nothing(0)]
#[case::without_membership(9)]
#[case::with_membership(23)]
#[tokio::test]
async fn a_built_snapshot_is_the_applied_state_and_becomes_current(#[case] last: u64) {
    let mut tested = Tested::at(last).await;
    let mut built = tested.build().await;
    assert_eq!(built.meta.last_log_id, tested.oracle.last_applied);
    assert_eq!(built.meta.last_membership, tested.oracle.membership);
    assert!(!built.meta.snapshot_id.is_empty());

    let mut read = Vec::new();
    built.snapshot.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, tested.oracle.snapshot());
    let expected = (built.meta, built.snapshot.into_bytes().unwrap());
    assert_eq!(tested.current().await, Some(expected));
}

#[tokio::test]
async fn no_two_snapshots_have_one_id() {
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let mut tested = Tested::at(3).await;
        let mut builder = tested.builder().await;
        for _ in 0..3 {
            seen.insert(build(&mut builder).await.meta.snapshot_id);
            seen.insert(tested.build().await.meta.snapshot_id);
        }
    }
    assert_eq!(seen.len(), 20 * 3 * 2);
}

#[tokio::test]
async fn handles_on_the_current_snapshot_have_cursors_of_their_own() {
    let mut tested = Tested::at(30).await;
    let mut built = tested.build().await;
    built.snapshot.seek(SeekFrom::End(0)).await.unwrap();
    built.snapshot.write_all(b"scribbled over").await.unwrap();
    let mut first = soon(tested.store.get_current_snapshot()).await.unwrap().unwrap();
    let mut read = Vec::new();
    first.snapshot.read_to_end(&mut read).await.unwrap();
    let mut second = soon(tested.store.get_current_snapshot()).await.unwrap().unwrap();
    read.clear();
    second.snapshot.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, tested.oracle.snapshot());
}

#[rstest]
#[case::over_nothing(0)]
#[case::over_an_older_state(5)]
#[case::over_a_newer_state(40)]
#[tokio::test]
async fn an_installed_snapshot_replaces_the_state_and_becomes_current(#[case] last: u64) {
    let mut tested = Tested::at(last).await;
    tested.build().await;
    tested.apply([normal(id(8, 50), [set("only here", "")])]).await;
    let (oracle, meta, bytes) = snapshot_at(25);
    tested.install(&meta, bytes.clone()).await.unwrap();

    tested.assert_state(&oracle).await;
    assert_eq!(tested.store.reader().get(b"only here"), None);
    assert_eq!(tested.current().await, Some((meta, bytes)));

    tested.oracle = oracle;
    tested.apply([entry(26), entry(30)]).await;
    let (after, build) = (tested.oracle.clone(), tested.build().await);
    assert_eq!(build.snapshot.into_bytes().unwrap(), after.snapshot());
}

#[tokio::test]
async fn an_older_build_never_replaces_a_newer_install_and_is_returned_intact() {
    let mut tested = Tested::at(5).await;
    let mut builder = tested.builder().await;
    let (oracle, meta, bytes) = snapshot_at(10);
    tested.install(&meta, bytes.clone()).await.unwrap();

    let built = build(&mut builder).await;
    assert_eq!(built.meta.last_log_id, Some(entry(5).log_id));
    assert_eq!(built.snapshot.into_bytes().unwrap(), snapshot_at(5).2);
    assert_eq!(tested.current().await, Some((meta, bytes)));
    tested.assert_state(&oracle).await;
}

#[tokio::test]
async fn an_older_build_never_replaces_a_newer_build() {
    let mut tested = Tested::at(5).await;
    let mut older = tested.builder().await;
    tested.apply([entry(6)]).await;
    let newer = tested.build().await;
    build(&mut older).await;
    assert_eq!(tested.current().await.unwrap().0, newer.meta);
}

#[tokio::test]
async fn a_newer_build_replaces_an_older_install() {
    let mut tested = Tested::default();
    let (oracle, meta, bytes) = snapshot_at(10);
    tested.install(&meta, bytes).await.unwrap();
    tested.oracle = oracle;
    tested.apply([entry(11)]).await;
    let built = tested.build().await;
    assert_eq!(built.meta.last_log_id, Some(entry(11).log_id));
    assert_eq!(tested.current().await.unwrap().0, built.meta);
}

#[tokio::test]
async fn a_builder_shows_the_moment_it_was_made_at() {
    let mut tested = Tested::at(20).await;
    let at_20 = tested.oracle.clone();
    let mut builder = tested.builder().await;
    tested.apply((21..300).map(entry)).await;
    tested.apply([normal(id(60, 300), [del((1..300).map(|n| format!("key-{n}")))])]).await;
    let built = build(&mut builder).await;
    assert_eq!((built.meta.last_log_id, built.meta.last_membership), {
        (at_20.last_applied, at_20.membership.clone())
    });
    assert_eq!(built.snapshot.into_bytes().unwrap(), at_20.snapshot());
    let now = tested.oracle.clone();
    tested.assert_state(&now).await;
}

#[rstest]
#[case::start(SeekFrom::Start(0))]
#[case::middle(SeekFrom::Start(40))]
#[case::end(SeekFrom::End(0))]
#[case::after_the_end(SeekFrom::End(1_000))]
#[tokio::test]
async fn the_handles_position_is_of_no_matter_to_install(#[case] position: SeekFrom) {
    let (oracle, meta, bytes) = snapshot_at(25);
    let mut data = Box::new(SnapshotData::from(bytes));
    data.seek(position).await.unwrap();
    let mut tested = Tested::at(5).await;
    soon(tested.store.install_snapshot(&meta, data)).await.unwrap();
    tested.assert_state(&oracle).await;
}

/// As `Chunked::receive_snapshot` of openraft 0.9.25 does: seek if the offset isn't where the
/// last chunk ended, write, shut down at the end, install without going back to the start.
async fn receive(store: &mut MachineStore, chunks: &[(usize, &[u8])]) -> Box<SnapshotData> {
    let mut data = soon(store.begin_receiving_snapshot()).await.unwrap();
    let mut end = 0;
    for (offset, chunk) in chunks {
        if *offset != end {
            data.seek(SeekFrom::Start(*offset as u64)).await.unwrap();
        }
        data.write_all(chunk).await.unwrap();
        end = offset + chunk.len();
    }
    data.shutdown().await.unwrap();
    data
}

#[rstest]
#[case::bytes(1, 1)]
#[case::some(7, 1)]
#[case::each_twice(64, 2)]
#[case::whole(usize::MAX, 1)]
#[case::whole_thrice(usize::MAX, 3)]
#[tokio::test]
async fn what_arrives_in_chunks_can_be_installed(#[case] size: usize, #[case] times: usize) {
    let (oracle, meta, bytes) = snapshot_at(25);
    let size = size.min(bytes.len());
    let chunks: Vec<_> = (0..)
        .step_by(size)
        .zip(bytes.chunks(size))
        .flat_map(|chunk| std::iter::repeat_n(chunk, times))
        .collect();
    let mut tested = Tested::at(5).await;
    let mut abandoned = soon(tested.store.begin_receiving_snapshot()).await.unwrap();
    abandoned.write_all(&bytes[..bytes.len() / 2]).await.unwrap();

    let data = receive(&mut tested.store, &chunks).await;
    assert_eq!(tested.current().await, None, "not before it is installed");
    soon(tested.store.install_snapshot(&meta, data)).await.unwrap();
    tested.assert_state(&oracle).await;
    assert_eq!(tested.current().await, Some((meta, bytes)));
}

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}

#[rstest]
#[case::no_bytes(|_: &Bytes| Bytes::new(), id(4, 25))]
#[case::cut_in_half(|bytes: &Bytes| bytes.slice(..bytes.len() / 2), id(4, 25))]
#[case::last_byte_lost(|bytes: &Bytes| bytes.slice(..bytes.len() - 1), id(4, 25))]
#[case::first_byte_lost(|bytes: &Bytes| bytes.slice(1..), id(4, 25))]
#[case::first_byte_changed(|bytes: &Bytes| flipped(bytes, 0), id(4, 25))]
#[case::middle_changed(|bytes: &Bytes| flipped(bytes, bytes.len() / 2), id(4, 25))]
#[case::last_byte_changed(|bytes: &Bytes| flipped(bytes, bytes.len() - 1), id(4, 25))]
#[case::twice(|bytes: &Bytes| [&bytes[..], bytes].concat().into(), id(4, 25))]
#[case::of_another_entry(Bytes::clone, id(4, 26))]
#[tokio::test]
async fn a_refused_install_changes_nothing(
    #[case] damage: fn(&Bytes) -> Bytes,
    #[case] last_log_id: LogId,
    #[values(false, true)] with_current: bool,
) {
    let mut tested = Tested::at(15).await;
    if with_current {
        tested.build().await;
    }
    let (before, current) = (tested.oracle.clone(), tested.current().await);
    let (_, meta, bytes) = snapshot_at(25);
    let meta = SnapshotMeta { last_log_id: Some(last_log_id), ..meta };
    let damaged = damage(&bytes);
    let cause = snapshot::read(&damaged, &meta).unwrap_err();

    let error = tested.install(&meta, damaged).await.unwrap_err();
    assert!(matches!(error, StorageError::IO { .. }), "{error:?}");
    assert!(error.to_string().contains(&cause.to_string()), "{error}");
    assert!(error.to_string().contains("of the leader at 25"), "it doesn't say which: {error}");

    tested.assert_state(&before).await;
    assert_eq!(tested.current().await, current);
    tested.apply((16..20).map(entry)).await;
    let after = tested.oracle.clone();
    assert_eq!(tested.build().await.snapshot.into_bytes().unwrap(), after.snapshot());
}
