//! Walks a message's bytes by the schema: each field with its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

/// What the bytes of a fixture are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// A message of that name.
    Message(&'static str),
    /// Header, records and trailer, each after its length.
    Snapshot,
    /// Hard state and entries, each after its length.
    Segment,
}

/// A field, or its key and length if it is a message, whose fields follow.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) message: &'a str,
    pub(crate) name: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) depth: usize,
}

/// A field's name, and the message that it holds if it holds one.
type Field = (String, Option<String>);

/// The fields of every message by their numbers.
#[derive(Debug)]
pub(crate) struct Schema(BTreeMap<String, BTreeMap<u32, Field>>);

impl Schema {
    pub(crate) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let files = std::fs::read_dir(root.join("seshat/v1")).expect("the schema is there");
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        let descriptors = protox::compile(files, [&root]).expect("the schema compiles");

        let messages = descriptors.file.iter().flat_map(|file| &file.message_type);
        let fields = messages.map(|message| {
            let fields = message.field.iter().map(|field| {
                // Declared as bytes, so that it passes through untouched.
                let holds = match (message.name(), field.name()) {
                    ("Entry", "batch") => Some("Batch".to_owned()),
                    _ => field.type_name().rsplit_once('.').map(|(_, name)| name.to_owned()),
                };
                (field.number() as u32, (field.name().to_owned(), holds))
            });
            (message.name().to_owned(), fields.collect())
        });
        Self(fields.collect())
    }

    /// `Message` and `Message.field`, all of them.
    pub(crate) fn everything(&self) -> BTreeSet<String> {
        let fields = self.0.iter().flat_map(|(message, fields)| {
            fields.values().map(move |(name, _)| format!("{message}.{name}"))
        });
        self.0.keys().cloned().chain(fields).collect()
    }

    pub(crate) fn walk(&self, layout: Layout, bytes: &[u8], visit: &mut impl FnMut(&Part)) {
        match layout {
            Layout::Message(message) => self.walk_message(message, bytes, 0, visit),
            Layout::Snapshot => self.walk_parts(
                // The trailer is the last one, and always as long as this.
                ["SnapshotHeader", "SnapshotRecord"],
                |left| (left == 10).then_some("SnapshotTrailer"),
                bytes,
                visit,
            ),
            Layout::Segment => self.walk_parts(["HardState", "Entry"], |_| None, bytes, visit),
        }
    }

    /// Messages that each follow their length: one of the first kind, then of the other, except
    /// where `odd` says otherwise by how many bytes are left.
    fn walk_parts(
        &self,
        [first, others]: [&'static str; 2],
        odd: impl Fn(usize) -> Option<&'static str>,
        mut bytes: &[u8],
        visit: &mut impl FnMut(&Part),
    ) {
        let mut message = first;
        while bytes.has_remaining() {
            let mut rest = bytes;
            let len = decode_varint(&mut rest).expect("a length") as usize;
            let head = &bytes[..bytes.len() - rest.len()];
            visit(&Part { message: "", name: message, bytes: head, depth: 0 });
            self.walk_message(message, &rest[..len], 1, visit);
            bytes = &rest[len..];
            message = odd(bytes.len()).unwrap_or(others);
        }
    }

    fn walk_message(
        &self,
        message: &str,
        mut bytes: &[u8],
        depth: usize,
        visit: &mut impl FnMut(&Part),
    ) {
        while bytes.has_remaining() {
            let mut rest = bytes;
            let (tag, wire_type) = decode_key(&mut rest).expect("a key");
            let len = match wire_type {
                WireType::Varint => {
                    decode_varint(&mut rest).expect("a number");
                    0
                }
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                WireType::LengthDelimited => decode_varint(&mut rest).expect("a length") as usize,
                WireType::StartGroup | WireType::EndGroup => panic!("proto3 has no groups"),
            };
            let head = bytes.len() - rest.len();
            let (name, holds) = self.0[message].get(&tag).expect("a field of the schema");
            let shown = if holds.is_some() { head } else { head + len };
            visit(&Part { message, name, bytes: &bytes[..shown], depth });
            if let Some(inner) = holds {
                self.walk_message(inner, &rest[..len], depth + 1, visit);
            }
            bytes = &rest[len..];
        }
    }
}
