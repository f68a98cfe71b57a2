//! What decoding takes, in proportion to what arrives: little for what is invalid, however much of it
//! there is, and what the codec says (`DECODED_PER_BYTE`) for what is valid.
//!
//! Each shape is measured in a process of its own, by what the system says that the process held at
//! most: memory that one shape has left behind would hide what the next one takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test"
)]

use std::process::Command;

use bytes::Bytes;
use prost::encoding::encode_varint;
use seshat_core::codec::{
    DECODED_BESIDE, DECODED_PER_BYTE, MAX_CONFIGS, MAX_MEMBERS, MAX_MEMBERSHIPS, Message,
};
use seshat_core::operation::{Batch, Operation};
use seshat_core::types::{AppendEntriesRequest, Membership};

const MIB: usize = 1 << 20;
/// How long each message is.
const LEN: usize = 2 * MIB;
/// What a process takes for a moment without anybody's asking.
const NOISE: usize = MIB;
/// Tells a process which shape to measure.
const SHAPE: &str = "SESHAT_MEASURED_SHAPE";

fn field(number: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    encode_varint(data.len() as u64, &mut out);
    [out, data.to_vec()].concat()
}

/// So many of it that it gets as long as a message.
fn many(part: &[u8]) -> Vec<u8> {
    part.repeat(LEN / part.len())
}

/// A request with a vote and what follows.
fn request(rest: &[u8]) -> Vec<u8> {
    [&field(1, &[]), rest].concat()
}

/// The smallest entry there is with that payload.
fn entry(number: u8, payload: &[u8]) -> Vec<u8> {
    field(3, &[&[0x08, 2, 0x12, 0], &field(number, payload)[..]].concat())
}

/// A batch of `SET "" ""`. Nothing valid gets shorter.
const SETS: &[u8] = &[0x0a, 2, 0x0a, 0];

/// Of that many members without an address, who are voters of that many sets.
fn membership(members: u64, configs: usize) -> Vec<u8> {
    let mut ids = Vec::new();
    (0..members).for_each(|id| encode_varint(id, &mut ids));
    let mut out = field(1, &field(1, &ids)).repeat(configs);
    for id in 0..members {
        let mut member = vec![0x08];
        encode_varint(id, &mut member);
        member.extend([0x12, 0]);
        out.extend(field(2, &member));
    }
    out
}

/// Makes a message, decodes it, and says what became of it.
type Shape = (&'static str, fn() -> Vec<u8>, fn(Bytes) -> Result<(), String>, Option<&'static str>);

fn decode<M: Message>(bytes: Bytes) -> Result<(), String> {
    let len = bytes.len();
    let before = held();
    let decoded = M::decode(bytes);
    let took = held().saturating_sub(before);
    let allowed = match &decoded {
        Ok(_) => DECODED_PER_BYTE * len + DECODED_BESIDE,
        Err(_) => 0,
    };
    let said = format!("{took} bytes were taken for {len}, {allowed} are allowed");
    println!("{said}");
    assert!(took <= allowed + NOISE, "{said}");
    decoded.map(drop).map_err(|error| error.to_string())
}

/// Name, message, how it is decoded, and how the refusal begins if it is refused.
const SHAPES: &[Shape] = &[
    ("no entry", || request(&many(&[0x1a, 0])), decode::<AppendEntriesRequest>, {
        Some("Entry.format_version: ")
    }),
    ("no operation", || many(&[0x0a, 0]), decode::<Batch>, Some("Operation.kind: missing")),
    ("no key", || many(&[0x0a, 2, 0x12, 0]), decode::<Batch>, Some("DelOperation.keys: empty")),
    ("no voter", || many(&[0x0a, 0]), decode::<Membership>, Some("Membership.configs: 5 is out")),
    ("no member", || many(&[0x12, 0]), decode::<Membership>, Some("Membership.members: 1025 is")),
    ("voters", || field(1, &field(1, &many(&[1]))), decode::<Membership>, {
        Some("VoterSet.node_ids: 209715 is out of range")
    }),
    ("unknown fields", || many(&[0x0a, 3, 0x0a, 1, 0x18]), decode::<Batch>, {
        Some("SetOperation.*: not a protobuf message")
    }),
    (
        "memberships",
        || request(&many(&entry(5, &membership(1, 1)))),
        decode::<AppendEntriesRequest>,
        { Some("AppendEntriesRequest.entries: 1025 is out of range: at most 1024") },
    ),
    ("what a newer node says", || request(&many(&[0x7a, 0])), decode::<AppendEntriesRequest>, None),
    ("keys of a DEL", || field(2, &many(&[0x0a, 0])), decode::<Operation>, None),
    ("SETs in a batch", || many(SETS), decode::<Batch>, None),
    ("blank entries", || request(&many(&entry(3, &[]))), decode::<AppendEntriesRequest>, None),
    ("empty entries", || request(&many(&entry(4, &[]))), decode::<AppendEntriesRequest>, None),
    ("entries of a SET", || request(&many(&entry(4, SETS))), decode::<AppendEntriesRequest>, None),
    (
        "entries of two",
        || request(&many(&entry(4, &SETS.repeat(2)))),
        { decode::<AppendEntriesRequest> },
        None,
    ),
    (
        "few memberships",
        || request(&entry(5, &membership(1, MAX_CONFIGS)).repeat(MAX_MEMBERSHIPS)),
        { decode::<AppendEntriesRequest> },
        None,
    ),
    (
        "a large membership",
        || membership(MAX_MEMBERS as u64, MAX_CONFIGS),
        { decode::<Membership> },
        None,
    ),
    (
        "large memberships",
        || request(&entry(5, &membership(MAX_MEMBERS as u64, 4)).repeat(50)),
        { decode::<AppendEntriesRequest> },
        None,
    ),
];

/// The most that this process held so far, since that was last asked.
fn held() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kib = most.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    kib << 10
}

#[test]
fn decoding_takes_memory_in_proportion_to_what_arrives() {
    if let Ok(name) = std::env::var(SHAPE) {
        let (_, make, decode, refused) = SHAPES.iter().find(|it| it.0 == name).unwrap();
        match (decode(make().into()), refused) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) if error.starts_with(text) => {}
            (end, expected) => panic!("{end:?}, expected {expected:?}"),
        }
        return;
    }
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        eprintln!("this system doesn't say what a process holds");
        return;
    }
    let wrong: Vec<String> = SHAPES.iter().filter_map(|(name, ..)| measured(name)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with a shape, as the process says that measured it.
fn measured(name: &str) -> Option<String> {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["decoding_takes", "--nocapture", "--test-threads=1"]).env(SHAPE, name);
    let end = process.output().unwrap();
    let said = [end.stdout, end.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{name}: {}", said.lines().find(|line| line.contains("allowed")).unwrap_or_default());
    (!end.status.success()).then(|| format!("{name}: {said}"))
}
