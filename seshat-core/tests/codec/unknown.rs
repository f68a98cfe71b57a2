//! A field that isn't known, put into every message wherever one stands in another: refused with the
//! message's name where that is closed, skipped where it is open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;
use prost::encoding::{WireType, decode_key, decode_varint, encode_varint};

use super::{Comparable, arbitrary};

/// Field 15, a number.
const UNKNOWN: [u8; 2] = [0x78, 1];

/// Only what is said is open.
const OPEN: &[&str] = &[
    "AppendConflict",
    "AppendEntriesRequest",
    "AppendEntriesResponse",
    "AppendPartialSuccess",
    "AppendSuccess",
    "DelResponse",
    "FormatsRequest",
    "FormatsResponse",
    "FullSnapshotHeader",
    "FullSnapshotRequest",
    "FullSnapshotResponse",
    "FullSnapshotTrailer",
    "InstallSnapshotRequest",
    "InstallSnapshotResponse",
    "Leadership",
    "Response",
    "SetResponse",
    "SnapshotOffsetRequest",
    "SnapshotOffsetResponse",
    "StandingRequest",
    "StandingResponse",
    "VoteRequest",
    "VoteResponse",
];

/// Which messages the fields of each message hold, by their numbers.
static SCHEMA: LazyLock<BTreeMap<String, BTreeMap<u32, String>>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = std::fs::read_dir(root.join("seshat/v1")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let descriptors = protox::compile(files, [&root]).unwrap();
    let messages = descriptors.file.iter().flat_map(|file| &file.message_type);
    let fields = messages.map(|message| {
        let holds = message.field.iter().filter_map(|field| {
            let held = match (message.name(), field.name()) {
                ("Entry", "batch") => "Batch",
                _ => field.type_name().rsplit_once('.')?.1,
            };
            Some((field.number() as u32, held.to_owned()))
        });
        (message.name().to_owned(), holds.collect())
    });
    fields.collect()
});

fn len(len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(len as u64, &mut out);
    out
}

/// The message with the field in it, and in each that it holds, one at a time; with the name of the
/// one that has it.
fn with_unknown(name: &str, message: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![(name.to_owned(), [message, &UNKNOWN].concat())];
    let mut rest = message;
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest).unwrap();
        let skipped = match wire_type {
            WireType::Varint => {
                decode_varint(&mut rest).unwrap();
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let before = message.len() - rest.len();
                let inner = decode_varint(&mut rest).unwrap() as usize;
                if let Some(held) = SCHEMA[name].get(&number) {
                    let after = &rest[inner..];
                    all.extend(with_unknown(held, &rest[..inner]).into_iter().map(
                        |(held, new)| {
                            (held, [&message[..before], &len(new.len()), &new, after].concat())
                        },
                    ));
                }
                inner
            }
            other => panic!("{other:?}"),
        };
        rest = &rest[skipped..];
    }
    all
}

fn refused_or_skipped<M: Comparable>(value: &M) -> Result<(), TestCaseError> {
    for (name, bytes) in with_unknown(M::NAME, &value.encode()) {
        let read = M::decode(Bytes::from(bytes));
        if OPEN.contains(&name.as_str()) {
            prop_assert!(read.as_ref().is_ok_and(|it| it.same(value)), "in {}: {:?}", name, read);
            continue;
        }
        let expected = format!(
            "{name}.*: field 15 (wire type 0) is not known to this version: a node of a newer one \
             wrote it, so upgrade this node"
        );
        prop_assert_eq!(read.err().map(|error| error.to_string()), Some(expected));
    }
    Ok(())
}

macro_rules! tests {
    ($($name:ident: $type:ty,)*) => {
        $(proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]

            #[test]
            fn $name(value in arbitrary::$name()) {
                refused_or_skipped(&value)?;
            }
        })*
    };
}
every_message!(tests);
