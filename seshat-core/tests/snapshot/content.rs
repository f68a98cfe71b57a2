//! What a snapshot's bytes are, and that reading them gives the state back.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use prost::encoding::encode_varint;
use rstest::rstest;
use seshat_core::codec::DecodeReason;
use seshat_core::machine::{FrozenMachine, Machine};
use seshat_core::snapshot::{self, SnapshotError};

use super::*;

/// Bytes of which many are alike, extremes and zeros among them.
fn tail(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(select(b"\0\0ab\x7f\xff".to_vec()), len)
}

/// Keys that begin alike and some that don't: shorter ones, lower and greater ones, and the
/// common beginning itself. The most sorting has to deal with.
fn any_keys() -> impl Strategy<Value = Keys> {
    let prefix = select(vec!["", "k", "user:1", "12345678", "a/long/prefix/of/many/keys/"]);
    let alike = btree_map(tail(0..12), tail(0..4), 0..400);
    let others = btree_map(tail(1..4), tail(0..4), 0..4);
    (prefix, alike, others, any::<bool>()).prop_map(|(prefix, alike, others, more)| {
        let prefix = prefix.as_bytes();
        let mut keys: Keys =
            alike.into_iter().map(|(tail, value)| ([prefix, &tail].concat(), value)).collect();
        keys.extend(others);
        if let Some((last, shorter)) = prefix.split_last().filter(|_| more) {
            keys.insert(shorter.to_vec(), b"shorter".to_vec());
            keys.insert([shorter, &[last - 1]].concat(), b"below".to_vec());
            keys.insert([shorter, &[last + 1]].concat(), b"above".to_vec());
        }
        keys.remove(b"".as_slice());
        keys
    })
}

fn records(bytes: Bytes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = parts(bytes).records.into_iter();
    records.map(|record| (record.key.into(), record.value.into())).collect()
}

/// `BTreeMap` sorts as the schema asks: bytewise, strictly ascending.
fn expected(keys: &Keys) -> Vec<(Vec<u8>, Vec<u8>)> {
    keys.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

proptest! {
    #[test]
    fn records_are_the_keys_in_ascending_order(keys in any_keys()) {
        prop_assert_eq!(records(snapshot::write(&machine(&keys).freeze())), expected(&keys));
    }

    #[test]
    fn what_was_written_reads_back(keys in any_keys()) {
        let mut written = machine(&keys);
        let bytes = snapshot::write(&written.freeze());
        let mut read = snapshot::read(&bytes, &meta_of(&written)).unwrap();

        prop_assert_eq!(read.last_applied(), written.last_applied());
        prop_assert_eq!(read.membership(), written.membership());
        prop_assert_eq!(read.size(), written.size());
        for (key, value) in &keys {
            prop_assert_eq!(read.get(key), Some(Bytes::copy_from_slice(value)));
        }
        prop_assert_eq!(snapshot::write(&read.freeze()), bytes);
    }
}

/// A sort that guesses the common beginning from a sample meets keys that the sample didn't show.
#[test]
fn keys_outside_the_common_prefix_are_in_order() {
    let mut many: Keys =
        (0..2_000).map(|i| (format!("common/{i:05}").into_bytes(), vec![1])).collect();
    let outside = [
        "a",
        "b\0",
        "common",
        "common.",
        "common/",
        "common/0",
        "common/00000\0",
        "common/\x7f",
        "common0",
        "d",
        "common/zzzzzzzzzzzzzzz",
        "z",
    ];
    many.extend(outside.map(|key| (key.into(), vec![])));
    // Each machine keeps its keys in an order of its own, so each has another sample.
    for _ in 0..10 {
        assert_eq!(records(snapshot::write(&machine(&many).freeze())), expected(&many));
    }
}

#[rstest]
fn many_keys_read_back(#[values(1_023, 1_024, 1_025, 4_096, 5_000)] count: u32) {
    let many: Keys = (0..count).map(|i| (i.to_be_bytes().to_vec(), b"value".to_vec())).collect();
    let mut written = machine(&many);
    let bytes = snapshot::write(&written.freeze());
    let mut read = snapshot::read(&bytes, &meta_of(&written)).unwrap();
    assert_eq!(read.size().keys, u64::from(count));
    assert_eq!(snapshot::write(&read.freeze()), bytes);
}

/// The only record of a snapshot, and what prost makes of it.
fn read_one(
    record: &[u8],
) -> (Result<Machine, SnapshotError>, Result<v1::SnapshotRecord, prost::DecodeError>) {
    let expected = v1::SnapshotRecord::decode(record);
    let len = expected.as_ref().map_or(0, |record| record.key.len() + record.value.len());
    let mut body = header_of(&nothing_applied(), 1, len as u64).encode_length_delimited_to_vec();
    encode_varint(record.len() as u64, &mut body);
    body.extend_from_slice(record);
    (snapshot::read(&seal(&body), &nothing_applied()), expected)
}

/// Protobuf lets a writer of another kind, or of another version, write the same otherwise.
#[rstest]
#[case::as_we_do(&[0x0a, 1, b'k', 0x12, 1, b'v'])]
#[case::value_first(&[0x12, 1, b'v', 0x0a, 1, b'k'])]
#[case::fields_twice(&[0x0a, 1, b'x', 0x12, 1, b'y', 0x0a, 1, b'k', 0x12, 1, b'v'])]
#[case::long_lengths(&[0x0a, 0x81, 0, b'k', 0x12, 0x81, 0x80, 0, b'v'])]
#[case::long_field_number(&[0x8a, 0, 1, b'k', 0x12, 1, b'v'])]
fn a_record_written_otherwise_reads_the_same(#[case] record: &[u8]) {
    let read = read_one(record).0.unwrap();
    assert_eq!((read.get(b"k"), read.size().keys), (Some("v".into()), 1));
}

#[rstest]
#[case::left_out(&[0x0a, 1, b'k'])]
#[case::present(&[0x0a, 1, b'k', 0x12, 0])]
fn an_empty_value_reads_the_same_however_it_is_written(#[case] record: &[u8]) {
    assert_eq!(read_one(record).0.unwrap().get(b"k"), Some(Bytes::new()));
}

/// Fields 1 to 3 in any order and of any kind.
fn record_like() -> impl Strategy<Value = Vec<u8>> {
    let key = select(vec![0x0a, 0x0a, 0x0a, 0x12, 0x12, 0x1a, 0x08, 0x0d, 0x11, 0x18, 0x8a, 0x00]);
    let field = (key, 0..4_u8, tail(0..4)).prop_map(|(key, lie, data)| {
        let len = if lie == 0 { data.len() as u8 + 1 } else { data.len() as u8 };
        [&[key, len], &data[..]].concat()
    });
    vec(field, 0..4).prop_map(|fields| fields.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// What is refused is what prost can't read either, or would skip.
    #[test]
    fn a_record_reads_as_prost_reads_it_or_is_refused(bytes in record_like()) {
        let (read, expected) = read_one(&bytes);
        let refused = match read {
            Ok(machine) => {
                let expected = expected.unwrap();
                prop_assert_eq!(machine.get(&expected.key), Some(expected.value));
                return Ok(());
            }
            Err(SnapshotError::Decode(refused)) => refused,
            Err(other) => panic!("{other:?}"),
        };
        prop_assert_eq!(refused.message, "SnapshotRecord");
        match refused.reason {
            DecodeReason::Unknown { number, wire_type } => {
                prop_assert!(![(1, 2), (2, 2)].contains(&(number, wire_type)));
            }
            // Of a header of version 1.
            DecodeReason::Empty => prop_assert!(expected.unwrap().key.is_empty()),
            DecodeReason::Malformed(_) => prop_assert!(expected.is_err()),
            reason => panic!("{reason:?}"),
        }
    }
}

/// The empty key needs version 2 of the header, in which everything else is as in version 1.
#[test]
fn the_empty_key_is_written_and_read_in_version_2() {
    let with = keys([("", "of the empty key"), ("a", "1")]);
    let mut written = machine(&with);
    let bytes = snapshot::write(&written.freeze());
    assert_eq!(parts(bytes.clone()).header.format_version, 2);
    let mut read = snapshot::read(&bytes, &meta_of(&written)).unwrap();
    assert_eq!(read.get(b""), Some(Bytes::from("of the empty key")));
    assert_eq!(snapshot::write(&read.freeze()), bytes);

    // Only a cluster that writes version 2 has one, and it never goes back.
    assert_eq!((written.format(), read.format()), (1, 2));
    for (machine, version) in [(&mut written, 1), (&mut read, 2)] {
        machine.apply(vec![normal(9001, vec![del(b"")])]).unwrap();
        assert_eq!(parts(snapshot::write(&machine.freeze())).header.format_version, version);
    }
}

#[test]
fn keys_that_differ_in_trailing_zeros_are_kept_apart() {
    let zeros: Keys =
        (0..20).map(|n| ([b"a".as_slice(), &vec![0; n]].concat(), vec![n as u8])).collect();
    let mut written = machine(&zeros);
    let bytes = snapshot::write(&written.freeze());
    assert_eq!(records(bytes.clone()), expected(&zeros));
    assert_eq!(snapshot::read(&bytes, &meta_of(&written)).unwrap().size().keys, 20);
}

#[test]
fn header_and_trailer_say_what_is_there() {
    let mut written = machine(&keys([("a", "1"), ("bb", ""), ("c", "333")]));
    let bytes = snapshot::write(&written.freeze());
    let found = parts(bytes.clone());
    assert_eq!(found.header, header_of(&meta_of(&written), 3, 8));
    let body = &bytes[..bytes.len() - TRAILER];
    assert_eq!(found.trailer.checksum, twox_hash::XxHash3_64::oneshot(body));
    assert_eq!(seal(body), bytes, "the tests' own seal is the writer's");
}

#[test]
fn nothing_at_all_reads_back() {
    let bytes = snapshot::write(&Machine::default().freeze());
    let read = snapshot::read(&bytes, &nothing_applied()).unwrap();
    assert_eq!((read.last_applied(), read.size().keys), (None, 0));
    assert_eq!(read.membership(), &StoredMembership::default());
}

#[test]
fn the_id_of_a_snapshot_is_not_in_its_bytes() {
    let mut written = machine(&keys([("a", "1")]));
    let meta = SnapshotMeta { snapshot_id: "another".to_owned(), ..meta_of(&written) };
    assert!(snapshot::read(&snapshot::write(&written.freeze()), &meta).is_ok());
}

#[derive(Debug, Clone)]
enum Step {
    Set(Vec<u8>, Vec<u8>),
    Del(Vec<u8>),
    /// The next operation comes in another entry.
    Cut,
    /// A view is taken, and dropped when the given number of later ones was taken.
    Freeze(usize),
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let key = || tail(1..3);
    let step = prop_oneof![
        8 => (key(), tail(0..3)).prop_map(|(key, value)| Step::Set(key, value)),
        4 => key().prop_map(Step::Del),
        2 => Just(Step::Cut),
        1 => (0..3_usize).prop_map(Step::Freeze),
    ];
    vec(step, 0..120)
}

/// Goes through the steps with a machine and with a map.
fn live_through(steps: &[Step]) -> (Machine, Keys) {
    let (mut machine, mut keys) = (Machine::default(), Keys::new());
    machine.apply(vec![cluster(id(1, 1, 0))]).unwrap();
    let mut views: Vec<FrozenMachine> = vec![];
    let mut batch = vec![];
    let mut index = 0;
    let mut flush = |machine: &mut Machine, batch: &mut Vec<Operation>| {
        index += 1;
        machine.apply(vec![normal(index, std::mem::take(batch))]).unwrap();
    };
    for step in steps {
        match step {
            Step::Set(key, value) => {
                batch.push(set(key, value));
                keys.insert(key.clone(), value.clone());
            }
            Step::Del(key) => {
                batch.push(del(key));
                keys.remove(key);
            }
            Step::Cut => flush(&mut machine, &mut batch),
            Step::Freeze(keep) => {
                flush(&mut machine, &mut batch);
                views.push(machine.freeze());
                views.drain(..views.len().saturating_sub(*keep));
            }
        }
    }
    flush(&mut machine, &mut batch);
    machine.apply(vec![blank(id(2, 3, 9000))]).unwrap();
    (machine, keys)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn equal_states_give_equal_bytes_whatever_came_before(steps in history()) {
        let (mut lived, keys) = live_through(&steps);
        let mut fresh = machine(&keys);
        let (lived, fresh) = (lived.freeze(), fresh.freeze());
        prop_assert_eq!(snapshot::write(&lived), snapshot::write(&fresh));
        prop_assert_eq!(snapshot::digest(&lived), snapshot::digest(&fresh));
    }

    /// An installed snapshot and a replayed log are the same state from then on.
    #[test]
    fn a_read_machine_lives_on_like_the_one_written(before in history(), after in history()) {
        let (mut written, _) = live_through(&before);
        let bytes = snapshot::write(&written.freeze());
        let mut read = snapshot::read(&bytes, &meta_of(&written)).unwrap();
        let operations: Vec<Operation> = after
            .iter()
            .filter_map(|step| match step {
                Step::Set(key, value) => Some(set(key, value)),
                Step::Del(key) => Some(del(key)),
                Step::Cut | Step::Freeze(_) => None,
            })
            .collect();
        let next = vec![normal(9001, operations)];
        prop_assert_eq!(read.apply(next.clone()), written.apply(next));
        prop_assert_eq!(snapshot::write(&read.freeze()), snapshot::write(&written.freeze()));
    }
}
