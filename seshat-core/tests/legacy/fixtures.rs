//! What is in the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seshat_core::legacy::Export;

pub(crate) const CODECS: [&str; 2] = ["prost", "protobuf"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/legacy")
}

/// One message as it was recorded: of a kind, in bytes, and as the library that wrote them says
/// what they are.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: String,
    pub(crate) what: String,
    pub(crate) bytes: Bytes,
    pub(crate) value: String,
}

/// The records of a file: each has a head, `# Kind: what of it`; bytes in hexadecimal, with
/// comments from `#` on; and a last line that begins with `=`.
pub(crate) fn records(file: &str) -> Vec<Record> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let blocks = text.split("\n\n").filter(|block| block.starts_with("# "));
    blocks.map(|block| record(block).unwrap_or_else(|| panic!("{file}: {block}"))).collect()
}

fn record(block: &str) -> Option<Record> {
    let (head, rest) = block.split_once('\n')?;
    let (kind, what) = head.strip_prefix("# ")?.split_once(": ")?;
    let (hex, value) = rest.rsplit_once("= ").filter(|(hex, _)| !hex.contains('='))?;
    let hex = hex.lines().filter_map(|line| line.split('#').next());
    let bytes = hex.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16));
    Some(Record {
        kind: kind.to_owned(),
        what: what.to_owned(),
        bytes: bytes.collect::<Result<_, _>>().ok()?,
        value: value.trim_end().to_owned(),
    })
}

pub(crate) fn stream(codec: &str) -> Bytes {
    fs::read(root().join(codec).join("node.stream")).unwrap().into()
}

/// What the node whose image it is had applied.
pub(crate) fn applied(codec: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let text = fs::read_to_string(root().join(codec).join("node.txt")).unwrap();
    let (_, pairs) = text.split_once("## what the node had applied\n\n").unwrap();
    let pairs = pairs.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(key, value)| (from_hex(key), from_hex(value))).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The image of a node, whose members are at `node-` and their id.
pub(crate) fn image(codec: &str) -> Export {
    Export::read(&root().join(codec).join("node")).unwrap()
}

pub(crate) fn address(node: u64) -> Option<String> {
    Some(format!("node-{node}"))
}
