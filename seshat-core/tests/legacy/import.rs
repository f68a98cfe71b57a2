//! What an import takes over, leaves behind and refuses.

use std::error::Error;
use std::fs;

use bytes::Bytes;
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use prost::Message as _;
use prost::encoding::encode_varint;
use rstest::rstest;
use seshat_core::legacy::bincode::write_operation;
use seshat_core::legacy::eraftpb::{
    ConfChange, ConfState, Entry, EntryType, HardState, Message, Snapshot, SnapshotMetadata,
};
use seshat_core::legacy::{Export, ImportError, Imported, Kind};
use seshat_core::operation::Operation;
use seshat_core::types::{LeaderId, LogId};

use super::fixtures::{CODECS, address, image, stream};

#[test]
fn the_image_of_a_node_is_taken_over() {
    let [prost, protobuf] = CODECS.map(|codec| image(codec).import(&address).unwrap().summary);
    insta::assert_snapshot!(prost, @r"
    vote           term 2, node 2
    state          6 keys of 73 bytes, as of index 12
    log            6 entries up to index 18: operations 5, changes of members 1, blank 0
    committed      up to index 17
    members        joint, voters {1, 2, 4}, outgoing {1, 2, 3}, learners {5}, learners to be {3}
    left behind    6
      entries, byte 0: entry 11: the snapshot covers it
      entries, byte 24: entry 12: the snapshot covers it
      entries, byte 128: context of entry 15, 6 bytes: entries have none any more
      entries, byte 128: learners_next [3]: voters until the change is ended
      entries, byte 157: context of entry 16, 6 bytes: entries have none any more
      messages, byte 0: message from node 1 to node 2: it was under way
    ");
    // Places aside: what is in front of an entry may be a byte longer in one than in the other.
    let of = |summary: &seshat_core::legacy::Summary| {
        let left: Vec<_> = summary.left_behind.iter().map(|left| left.reason.clone()).collect();
        (summary.configuration.clone(), summary.state, summary.last, left)
    };
    assert_eq!(of(&prost), of(&protobuf));
    for codec in CODECS {
        let streamed = Export::from_stream(stream(codec)).unwrap().import(&address).unwrap();
        assert_eq!(of(&streamed.summary), of(&prost));
    }
}

fn delimited(message: &impl prost::Message) -> Bytes {
    let mut bytes = Vec::new();
    encode_varint(message.encoded_len() as u64, &mut bytes);
    bytes.extend(message.encode_to_vec());
    bytes.into()
}

/// What a small node exports: three entries behind a snapshot up to 5, the last not committed.
struct Node {
    hard_state: HardState,
    conf_state: Option<ConfState>,
    snapshot: Option<Snapshot>,
    entries: Vec<Entry>,
    more: Vec<(Kind, Bytes)>,
}

fn voters(voters: &[u64]) -> ConfState {
    ConfState { voters: voters.to_vec(), ..Default::default() }
}

fn entry(term: u64, index: u64, key: &str) -> Entry {
    let set = Operation::set(key.to_owned(), "value", &Default::default()).unwrap();
    Entry { term, index, data: write_operation(&set), ..Default::default() }
}

fn adds_4(index: u64) -> Entry {
    let data = ConfChange { node_id: 4, ..Default::default() }.encode_to_vec().into();
    Entry {
        entry_type: EntryType::EntryConfChange.into(),
        term: 3,
        index,
        data,
        ..Default::default()
    }
}

fn snapshot(term: u64, index: u64) -> Snapshot {
    let data = Bytes::from_static(&[0; 16]);
    let conf_state = Some(voters(&[1, 2, 3]));
    Snapshot { data, metadata: Some(SnapshotMetadata { conf_state, index, term }) }
}

impl Node {
    fn new() -> Self {
        Self {
            hard_state: HardState { term: 4, vote: 0, commit: 7 },
            conf_state: Some(voters(&[3, 2, 1])),
            snapshot: Some(snapshot(2, 5)),
            entries: vec![entry(2, 6, "a"), entry(3, 7, "b"), entry(3, 8, "c")],
            more: Vec::new(),
        }
    }

    /// As it was before its first snapshot.
    fn from_the_start() -> Self {
        let entries = vec![entry(1, 1, "a"), entry(2, 2, "b")];
        let hard_state = HardState { term: 2, vote: 1, commit: 1 };
        Self { hard_state, snapshot: None, entries, ..Self::new() }
    }

    fn export(self) -> Export {
        let mut files = vec![(Kind::HardState, delimited(&self.hard_state))];
        files.extend(self.conf_state.map(|state| (Kind::ConfState, delimited(&state))));
        files.extend(self.snapshot.map(|snapshot| (Kind::Snapshot, delimited(&snapshot))));
        let entries: Vec<u8> = self.entries.iter().flat_map(delimited).collect();
        files.push((Kind::Entry, entries.into()));
        files.extend(self.more);
        Export::from_files(files).unwrap()
    }

    fn import(self) -> Result<Imported, ImportError> {
        self.export().import(&address)
    }
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 0), index)
}

#[tokio::test]
async fn a_log_without_a_snapshot_begins_behind_raft_rs_dummy() {
    let Imported { mut storage, summary } = Node::from_the_start().import().unwrap();
    assert_eq!((summary.base, summary.last), (id(0, 0), id(2, 2)));
    let state = storage.log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(0, 0)), Some(id(2, 2))));
    let (applied, membership) = storage.machine.applied_state().await.unwrap();
    assert_eq!((applied, *membership.log_id()), (Some(id(0, 0)), Some(id(0, 0))));
    let entries = storage.log.try_get_log_entries(..).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.log_id).collect::<Vec<_>>(), [id(1, 1), id(2, 2)]);
    assert_eq!(storage.log.read_committed().await.unwrap(), Some(id(1, 1)));
    assert!(!storage.log.read_vote().await.unwrap().unwrap().committed);
}

#[rstest]
#[case::nothing_at_all(
    |node: &mut Node| {
        *node = Node::from_the_start();
        node.hard_state = HardState::default();
        node.entries = vec![];
    },
)]
#[case::an_empty_snapshot(
    |node: &mut Node| {
        *node = Node::from_the_start();
        node.snapshot = Some(Snapshot::default());
    },
)]
#[case::no_conf_state(|node: &mut Node| node.conf_state = None)]
#[case::no_entries(|node: &mut Node| { node.hard_state.commit = 5; node.entries = vec![] })]
#[case::a_change_that_is_not_committed(
    |node: &mut Node| {
        *node = Node::from_the_start();
        node.entries = vec![entry(1, 1, "a"), adds_4(2)];
        node.hard_state = HardState { term: 3, vote: 0, commit: 1 };
    },
)]
#[case::a_conf_state_from_before_the_change(
    |node: &mut Node| node.entries = vec![adds_4(6), entry(3, 7, "b")],
)]
#[case::a_conf_state_from_after_the_change(
    |node: &mut Node| {
        node.entries = vec![adds_4(6), entry(3, 7, "b")];
        node.conf_state = Some(voters(&[1, 2, 3, 4]));
    },
)]
fn is_whole(#[case] change: fn(&mut Node)) {
    let mut node = Node::new();
    change(&mut node);
    node.import().unwrap();
}

/// All that an error says, down to its last source.
fn chain(error: &dyn Error) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        all = format!("{all}: {source}");
        next = source.source();
    }
    all
}

#[rstest]
#[case::a_hole(
    |node: &mut Node| node.entries = vec![entry(2, 6, "a"), entry(3, 8, "c")],
    "entries, byte 33: entry T3-N0-8 does not continue the log, which ends with T2-N0-6: expected index 7"
)]
#[case::a_hole_behind_the_snapshot(
    |node: &mut Node| node.entries = vec![entry(2, 7, "a")],
    "entries, byte 0: entry T2-N0-7 does not continue the log, which ends with T2-N0-5: expected index 6"
)]
#[case::an_entry_twice(
    |node: &mut Node| node.entries = vec![entry(2, 6, "a"), entry(2, 6, "a")],
    "entries, byte 33: entry T2-N0-6 does not continue the log, which ends with T2-N0-6: expected index 7"
)]
#[case::a_term_that_descends(
    |node: &mut Node| node.entries = vec![entry(3, 6, "a"), entry(2, 7, "b")],
    "entries, byte 33: entry T2-N0-7 has an older leader than the entry before it, T3-N0-6"
)]
#[case::a_hole_below_the_snapshot(
    |node: &mut Node| node.entries = vec![entry(2, 3, "a"), entry(2, 5, "b")],
    "entries, byte 33: entry 5 after entry 3, expected the next one"
)]
#[case::another_term_than_the_snapshot(
    |node: &mut Node| node.entries = vec![entry(1, 5, "a"), entry(3, 6, "b")],
    "entries, byte 0: entry T1-N0-5, but the snapshot ends with T2-N0-5"
)]
#[case::a_later_term_than_the_snapshot(
    |node: &mut Node| node.entries = vec![entry(3, 4, "a"), entry(3, 5, "b")],
    "entries, byte 0: entry T3-N0-4, but the snapshot ends with T2-N0-5"
)]
#[case::no_operation(
    |node: &mut Node| node.entries = vec![Entry { data: Bytes::from_static(b"\x02\0\0\0"), ..entry(2, 6, "a") }],
    "entries, byte 0: data is no operation: at byte 0: variant 2, expected 0 to 1"
)]
#[case::no_change(
    |node: &mut Node| node.entries = vec![Entry { data: Bytes::from_static(b"\xff"), ..adds_4(6) }],
    "entries, byte 0: eraftpb.ConfChange.*: not a protobuf message: failed to decode Protobuf message: invalid varint"
)]
#[case::no_entry_type(
    |node: &mut Node| node.entries = vec![Entry { entry_type: 3, ..entry(2, 6, "a") }],
    "entries, byte 0: entry_type 3, expected 0 to 2"
)]
#[case::an_index_beyond_counting(
    |node: &mut Node| node.entries = vec![entry(2, u64::MAX, "a")],
    "entries, byte 0: eraftpb.Entry.index: 18446744073709551615 is out of range: at most 18446744073709551614"
)]
#[case::a_change_that_leaves_nothing(
    |node: &mut Node| node.entries = vec![Entry { entry_type: EntryType::EntryConfChangeV2.into(), data: Bytes::new(), ..entry(2, 6, "a") }],
    "entries, byte 0: a change of the configuration that can't be applied: a joint configuration is left, but it is not joint"
)]
#[case::a_member_without_an_address(
    |node: &mut Node| node.entries = vec![Entry { data: ConfChange { node_id: 99, ..Default::default() }.encode_to_vec().into(), ..adds_4(6) }],
    "entries, byte 0: no address was given for node 99"
)]
#[case::committed_beyond_the_log(
    |node: &mut Node| node.hard_state.commit = 9,
    "hard_state, byte 0: committed up to 9, expected an index from 5 to 8"
)]
#[case::committed_before_the_snapshot(
    |node: &mut Node| node.hard_state.commit = 4,
    "hard_state, byte 0: committed up to 4, expected an index from 5 to 8"
)]
#[case::a_term_behind_the_log(
    |node: &mut Node| node.hard_state.term = 2,
    "hard_state, byte 0: term 2, but the last entry is T3-N0-8"
)]
#[case::a_term_beyond_counting(
    |node: &mut Node| node.hard_state.term = u64::MAX,
    "hard_state, byte 0: eraftpb.HardState.term: 18446744073709551615 is out of range: at most 18446744073709551614"
)]
#[case::a_conf_state_that_never_was(
    |node: &mut Node| node.conf_state = Some(voters(&[1, 2])),
    "conf_state, byte 0: voters {1, 2}, learners {}; from index 5 to 7 it never was that, at the end it was voters {1, 2, 3}, learners {}"
)]
#[case::a_conf_state_of_a_change_to_come(
    |node: &mut Node| {
        node.entries = vec![entry(2, 6, "a"), entry(3, 7, "b"), adds_4(8)];
        node.conf_state = Some(voters(&[1, 2, 3, 4]));
    },
    "conf_state, byte 0: voters {1, 2, 3, 4}, learners {}; from index 5 to 7 it never was that, at the end it was voters {1, 2, 3}, learners {}"
)]
#[case::a_conf_state_that_can_be_either(
    |node: &mut Node| {
        *node = Node::from_the_start();
        node.entries = vec![adds_4(1)];
        node.hard_state = HardState { term: 3, vote: 0, commit: 1 };
    },
    "conf_state, byte 0: without a snapshot, it may be from before or after its change at index 1: have the \
     old node take a snapshot, and export that as well"
)]
#[case::a_conf_state_that_is_none(
    |node: &mut Node| node.conf_state = Some(voters(&[0])),
    "conf_state, byte 0: conf_state can't be restored: voters name node 0, expected ids of at least 1"
)]
#[case::an_image_cut_short(
    |node: &mut Node| node.snapshot = Some(Snapshot { data: Bytes::from_static(b"\x01\0\0"), ..snapshot(2, 5) }),
    "snapshot, byte 0: no image of the state machine: at byte 0: 8 bytes are needed, 3 are left"
)]
#[case::an_image_ahead(
    |node: &mut Node| node.snapshot = Some(Snapshot { data: [&[0_u8; 8][..], &6_u64.to_le_bytes()].concat().into(), ..snapshot(2, 5) }),
    "snapshot, byte 0: an image up to index 6 in a snapshot up to 5"
)]
#[case::a_snapshot_of_nothing(
    |node: &mut Node| node.snapshot = Some(snapshot(0, 0)),
    "snapshot, byte 0: a snapshot up to index 0 that is not empty"
)]
#[case::a_second_hard_state(
    |node: &mut Node| node.more = vec![(Kind::HardState, delimited(&HardState::default()))],
    "hard_state, byte 0: a second hard_state; the first is at hard_state, byte 0"
)]
#[case::no_message(
    |node: &mut Node| node.more = vec![(Kind::Message, Bytes::from_static(b"\x01\xff"))],
    "messages, byte 0: eraftpb.Message.*: not a protobuf message: failed to decode Protobuf message: invalid varint"
)]
fn is_refused(#[case] damage: fn(&mut Node), #[case] expected: &str) {
    let mut node = Node::new();
    damage(&mut node);
    let address = |id| (id < 9).then(|| format!("node-{id}"));
    let error = node.export().import(&address).expect_err("it is damaged");
    assert_eq!(chain(&error), expected);
}

#[test]
fn what_is_needed_is_named() {
    let without = |kind| {
        let node = Node::from_the_start();
        let mut files = vec![
            (Kind::HardState, delimited(&node.hard_state)),
            (Kind::ConfState, delimited(&node.conf_state.unwrap())),
        ];
        files.retain(|(one, _)| *one != kind);
        chain(&Export::from_files(files).unwrap().import(&address).unwrap_err())
    };
    insta::assert_snapshot!(without(Kind::HardState), @"there is no hard_state");
    insta::assert_snapshot!(without(Kind::ConfState), @"there is no conf_state");
}

#[rstest]
#[case::cut(b"\x0a\x05\x08", "stream, byte 0: a message of 5 bytes, 1 are left")]
#[case::an_unknown_kind(
    b"\x0a\x00\x32\x00",
    "stream, byte 2: kind 50, expected 8 * n + 2 for an n from 1 to 5"
)]
#[case::another_wire_type(
    b"\x08\x00",
    "stream, byte 0: kind 8, expected 8 * n + 2 for an n from 1 to 5"
)]
#[case::a_length_beyond_all(
    b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    "stream, byte 0: a message of 18446744073709551615 bytes, 0 are left"
)]
fn is_no_stream(#[case] bytes: &'static [u8], #[case] expected: &str) {
    let error = Export::from_stream(Bytes::from_static(bytes)).unwrap_err();
    assert_eq!(chain(&error), expected);
}

#[test]
fn a_directory_holds_nothing_else_and_a_path_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Export::read(&folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, ImportError::Read { .. }), "{missing}");
    fs::write(folder.path().join("hard_state"), [0]).unwrap();
    fs::write(folder.path().join("conf_state"), delimited(&voters(&[1]))).unwrap();
    Export::read(folder.path()).unwrap().import(&address).unwrap();
    fs::write(folder.path().join("entires"), []).unwrap();
    let error = Export::read(folder.path()).unwrap_err();
    assert!(matches!(&error, ImportError::UnknownFile { path } if path.ends_with("entires")));
}

#[test]
fn messages_that_were_under_way_are_named() {
    let message = Message { from: 2, to: 1, ..Default::default() };
    let more = vec![(Kind::Message, delimited(&message))];
    let summary = Node { more, ..Node::new() }.import().unwrap().summary;
    let left: Vec<_> = summary.left_behind.iter().map(|left| left.reason.to_string()).collect();
    assert_eq!(left, ["message from node 2 to node 1: it was under way"]);
}
