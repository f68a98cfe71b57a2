//! [`Fixture`]: a value, its bytes, and how to read it from bytes again.

use std::fmt::Debug;

use bytes::{BufMut, Bytes};
use prost::encoding::encode_varint;
use seshat_core::codec::Message;
use seshat_core::log::HardState;
use seshat_core::machine::Machine;
use seshat_core::snapshot;
use seshat_core::types::{AppendEntriesRequest, Entry};

use super::read::{SEGMENT, SNAPSHOT, read, segment_of, snapshot_of};
use super::recorded::to_hex;
use super::schema::{Layout, Schema};
use super::show::Show;

/// The folder of what is written today.
pub(crate) const VERSION: &str = "v1";

pub(crate) struct Fixture {
    /// Version, folder and file, without the ending. Named as the schema's file and the message.
    pub(crate) name: String,
    /// What kind of message.
    schema: &'static str,
    what: &'static str,
    pub(crate) layout: Layout,
    pub(crate) encoded: Bytes,
    /// Whether bytes decode to the value.
    pub(crate) check: Box<dyn Fn(Bytes) -> Result<(), String>>,
}

impl Fixture {
    /// A line for each field, its bytes and its name; then the value.
    pub(crate) fn text(&self, schema: &Schema) -> String {
        let mut lines = vec![format!("# {}: {}", self.schema, self.what)];
        schema.walk(self.layout, &self.encoded, &mut |part| {
            let label = format!("# {}{}", "  ".repeat(part.depth), part.name);
            let mut chunks = part.bytes.chunks(16).map(to_hex);
            lines.push(format!("{:<48}{label}", chunks.next().unwrap_or_default()));
            lines.extend(chunks);
        });
        let value = read(self.schema, self.encoded.clone());
        let value = value.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        lines.extend(value.lines().map(|line| format!("= {line}")));
        lines.join("\n")
    }
}

pub(crate) fn fixture<M: Message + PartialEq + Debug + Show + 'static>(
    name: &str,
    what: &'static str,
    value: M,
) -> Fixture {
    fixture_by(name, what, value, M::eq)
}

pub(crate) fn append(name: &str, what: &'static str, value: AppendEntriesRequest) -> Fixture {
    fixture_by(name, what, value, |a, b| {
        (a.vote, a.prev_log_id, a.leader_commit) == (b.vote, b.prev_log_id, b.leader_commit)
            && a.entries == b.entries
    })
}

fn fixture_by<M: Message + Debug + Show + 'static>(
    name: &str,
    what: &'static str,
    value: M,
    same: fn(&M, &M) -> bool,
) -> Fixture {
    let encoded = value.encode();
    let check = move |bytes| match M::decode(bytes) {
        Ok(got) if same(&got, &value) => Ok(()),
        Ok(got) => Err(format!("reads as {} rather than {}", got.show(), value.show())),
        Err(error) => Err(format!("can't be read: {error}")),
    };
    let (name, layout) = (format!("{VERSION}/{name}"), Layout::Message(M::NAME));
    Fixture { name, schema: M::NAME, what, layout, encoded, check: Box::new(check) }
}

/// A whole snapshot of the state after `entries`.
pub(crate) fn whole(name: &str, what: &'static str, entries: Vec<Entry>) -> Fixture {
    let mut machine = Machine::default();
    machine.apply(entries).expect("the entries ascend");
    let frozen = machine.freeze();
    let check = move |bytes: Bytes| {
        let same = snapshot::digest(&snapshot_of(bytes)?.freeze()) == snapshot::digest(&frozen);
        if same { Ok(()) } else { Err("reads as other keys and values".to_owned()) }
    };
    let encoded = snapshot::write(&machine.freeze());
    let (name, layout) = (format!("{VERSION}/{name}"), Layout::Snapshot);
    Fixture { name, schema: SNAPSHOT, what, layout, encoded, check: Box::new(check) }
}

/// A log as a node keeps it: its hard state and its entries, each after its length.
pub(crate) fn segment(
    name: &str,
    what: &'static str,
    state: HardState,
    entries: Vec<Entry>,
) -> Fixture {
    let parts = std::iter::once(state.encode()).chain(entries.iter().map(Message::encode));
    let mut encoded = Vec::new();
    for part in parts {
        encode_varint(part.len() as u64, &mut encoded);
        encoded.put_slice(&part);
    }
    let check = move |bytes| {
        let (read_state, read) = segment_of(bytes)?;
        let same = read_state == state && read == entries;
        if same { Ok(()) } else { Err("reads as another hard state or other entries".to_owned()) }
    };
    let (name, layout) = (format!("{VERSION}/{name}"), Layout::Segment);
    Fixture { name, schema: SEGMENT, what, layout, encoded: encoded.into(), check: Box::new(check) }
}
