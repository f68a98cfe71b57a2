//! No input panics, and none that was cut short is taken for whole.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message as _;
use seshat_core::legacy::bincode::{read_image, read_operation};
use seshat_core::legacy::{Export, Kind, LegacyEntry, LegacySnapshot, eraftpb};

use super::arbitrary;
use super::fixtures::{CODECS, address, stream};

const KINDS: [Kind; 5] =
    [Kind::HardState, Kind::ConfState, Kind::Snapshot, Kind::Entry, Kind::Message];

/// Everything that reads, on the same bytes.
fn probe(bytes: &Bytes) {
    let _ = read_operation(bytes);
    let _ = read_image(bytes);
    if let Ok(entry) = eraftpb::Entry::decode(bytes.clone()) {
        let _ = LegacyEntry::try_from(&entry);
    }
    if let Ok(snapshot) = eraftpb::Snapshot::decode(bytes.clone()) {
        let _ = LegacySnapshot::read(&snapshot);
    }
    if let Ok(export) = Export::from_stream(bytes.clone()) {
        let _ = export.import(&address);
    }
    for kind in KINDS {
        let _ = Export::from_files([(kind, bytes.clone())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..200)) {
        probe(&bytes.into());
    }

    #[test]
    fn bytes_that_claim_much(variant in 0..3_u32, count in arbitrary::number(), rest in vec(0..3_u8, 0..60)) {
        probe(&[&variant.to_le_bytes()[..], &count.to_le_bytes(), &rest].concat().into());
        probe(&[&count.to_le_bytes()[..], &rest].concat().into());
    }

    #[test]
    fn arbitrary_messages(
        entries in vec(arbitrary::entry(), 0..4), hard in arbitrary::hard_state(),
        conf in arbitrary::conf_state(), snapshot in arbitrary::snapshot(),
    ) {
        let frame = |message: Vec<u8>| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(message.len() as u64, &mut bytes);
            bytes.extend(message);
            Bytes::from(bytes)
        };
        let mut files = vec![
            (Kind::HardState, frame(hard.encode_to_vec())),
            (Kind::ConfState, frame(conf.encode_to_vec())),
            (Kind::Snapshot, frame(snapshot.encode_to_vec())),
        ];
        files.extend(entries.iter().map(|entry| (Kind::Entry, frame(entry.encode_to_vec()))));
        let _ = Export::from_files(files).unwrap().import(&address);
    }

    #[test]
    fn an_image_with_bytes_changed(
        codec in select(CODECS.to_vec()),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = stream(codec).to_vec();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        probe(&bytes.into());
    }

    #[test]
    fn changes_never_lead_to_what_raft_rs_refuses(
        start in arbitrary::configuration(), changes in vec(arbitrary::conf_change_v2(), 0..8),
    ) {
        let mut now = start;
        for change in changes {
            if let Ok(next) = now.changed_by(&change) {
                now = next;
            }
            prop_assert_eq!(TryFrom::try_from(&eraftpb::ConfState::from(&now)), Ok(now.clone()));
        }
    }
}

/// Without the entries that are known to be committed, or with half a message, there is nothing.
#[test]
fn a_stream_cut_anywhere_before_the_last_committed_entry_is_refused() {
    for codec in CODECS {
        let whole = stream(codec);
        // The last two messages aren't needed: an entry that isn't committed, and one under way.
        let mut passed = Vec::new();
        for len in 0..whole.len() {
            let export = Export::from_stream(whole.slice(..len));
            if export.is_ok_and(|export| export.import(&address).is_ok()) {
                passed.push(whole.len() - len);
            }
        }
        assert_eq!(passed, [58, 14], "{codec}: bytes missing, and not missed");
    }
}
