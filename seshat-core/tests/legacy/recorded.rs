//! Every fixture reads as the library that wrote it says, and none was changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use rstest::rstest;
use seshat_core::legacy::eraftpb::{Entry, Snapshot};
use seshat_core::legacy::{LegacyEntry, LegacySnapshot};
use twox_hash::XxHash3_128;

use super::fixtures::{CODECS, records, root};
use super::show::read;

const MESSAGES: [&str; 6] =
    ["entry", "hard_state", "conf_state", "conf_change", "snapshot", "message"];

#[test]
fn every_message_reads_as_its_library_says() {
    let files = CODECS.iter().flat_map(|codec| {
        let files = MESSAGES.iter().chain(&["node"]);
        files.map(move |file| format!("{codec}/{file}.txt"))
    });
    let mut count = 0;
    for file in files {
        for mut record in records(&file) {
            // In the image of a node, behind its length.
            if file.ends_with("node.txt") {
                let mut message: &[u8] = &record.bytes;
                let len = prost::encoding::decode_varint(&mut message).unwrap();
                assert_eq!(len, message.len() as u64, "{file}: {}", record.what);
                record.bytes = record.bytes.slice_ref(message);
            }
            let got = read(&record.kind, &record.bytes);
            assert_eq!(got.as_ref(), Ok(&record.value), "{file}: {}", record.what);
            count += 1;
        }
    }
    assert!(count >= 2 * (60 + 12), "only {count} were found");
}

#[rstest]
fn operations_and_images_read_as_bincode_says(
    #[values("bincode/operation.txt", "bincode/image.txt")] file: &str,
) {
    let records = records(file);
    assert!(records.len() >= 7);
    for record in records {
        let got = read(&record.kind, &record.bytes);
        if record.what.ends_with(", which is refused") {
            let error = got.expect_err(&record.what);
            assert!(error.contains("an empty key"), "{}: {error}", record.what);
        } else {
            assert_eq!(got, Ok(record.value), "{file}: {}", record.what);
        }
    }
}

/// Their bytes differ: one packs numbers, and fields come in another order. Where a field holds a
/// message, or a map, as bytes, it is what these mean that must be the same.
#[rstest]
fn both_codecs_say_the_same(
    #[values("entry", "hard_state", "conf_state", "conf_change", "snapshot", "message")] file: &str,
) {
    let [prost, protobuf] = CODECS.map(|codec| records(&format!("{codec}/{file}.txt")));
    assert_eq!(prost.len(), protobuf.len());
    let mut differ = 0;
    for (one, other) in prost.iter().zip(&protobuf) {
        assert_eq!((&one.kind, &one.what), (&other.kind, &other.what));
        assert_eq!(meaning(&one.kind, &one.bytes), meaning(&other.kind, &other.bytes));
        differ += u32::from(one.bytes != other.bytes);
    }
    let packs = ["conf_state", "snapshot"].contains(&file);
    assert!(!packs || differ >= 3, "the codecs' bytes don't differ: was one recorded twice?");
}

fn meaning(kind: &str, bytes: &Bytes) -> String {
    match kind {
        "Entry" => {
            let entry = Entry::decode(bytes.clone()).unwrap();
            let rest = Entry { data: Bytes::new(), ..entry.clone() };
            format!("{rest:?} {:?}", LegacyEntry::try_from(&entry))
        }
        "Snapshot" => {
            let snapshot = Snapshot::decode(bytes.clone()).unwrap();
            format!("{:?} {:?}", snapshot.metadata, LegacySnapshot::read(&snapshot))
        }
        kind => read(kind, bytes).unwrap(),
    }
}

/// Each file's digest, as [`DIGESTS`] lists it.
const DIGESTS: &str = "digests.txt";

fn files(folder: &Path, found: &mut BTreeMap<String, String>) {
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.is_dir() {
            files(&file, found);
            continue;
        }
        let name = file.strip_prefix(root()).unwrap();
        let name = name.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/");
        let digest = XxHash3_128::oneshot(&fs::read(&file).unwrap());
        found.insert(name, format!("{digest:032x}"));
    }
}

#[test]
fn no_fixture_was_changed_added_or_removed() {
    let mut found = BTreeMap::new();
    files(&root(), &mut found);
    assert!(found.remove(DIGESTS).is_some() && found.remove("README.md").is_some());
    let lines = |(name, digest): (&String, &String)| format!("{digest} {name}");
    let found: BTreeSet<String> = found.iter().map(lines).collect();
    let listed = fs::read_to_string(root().join(DIGESTS)).unwrap();
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let (new, gone) = (&found - &listed, &listed - &found);
    assert!(
        new.is_empty() && gone.is_empty(),
        "restore what is gone or changed (git checkout seshat-core/fixtures/legacy); what is new \
         needs a line in {DIGESTS}\n\nnot there:\n{}\n\nnot listed:\n{}\n",
        gone.into_iter().collect::<Vec<_>>().join("\n"),
        new.into_iter().collect::<Vec<_>>().join("\n"),
    );
}
