//! What the codec costs on replication's bulk, requests of 300 operations, beside copying the
//! same bytes; and how often a payload is copied on its way from a proposal to a follower's log,
//! found out by comparing addresses.
//!
//! `cargo bench -p seshat-core --bench codec`; `-- --quick` or `SESHAT_BENCH_QUICK=1` for a glance.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

use std::hint::black_box;

use bytes::Bytes;
use openraft::storage::RaftLogStorageExt;
use openraft::{EntryPayload, RaftLogReader};
use seshat_core::codec::Message;
use seshat_core::log::LogStore;
use seshat_core::operation::{Batch, Operation};
use seshat_core::types::{AppendEntriesRequest, Entry, Vote};

use common::data::{Make, log_id, operation, packed};
use common::measure::{Scale, Stopwatch, median, now};
use common::table;

/// Operations in a request: openraft's default for the entries in one.
const OPERATIONS: u64 = 300;

fn main() {
    let scale = Scale::from_environment();
    table::print_machine(&scale);
    let requests = (scale.keys / OPERATIONS / 4).max(1);
    let one_each = (0..OPERATIONS).map(|i| Entry::make(i, i)).collect();
    let one_entry = vec![packed(0, &(0..OPERATIONS).collect::<Vec<_>>())];

    println!("\nAppendEntriesRequest of {OPERATIONS} operations, ns an operation\n");
    println!(
        "| what | ours | memcpy | alloc + copy | ours / memcpy | ours / alloc + copy | bytes |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (what, entries) in
        [("300 entries of one", one_each), ("one entry of 300 (as the node packs)", one_entry)]
    {
        let request = request(entries);
        let encoded = request.encode();
        let received = AppendEntriesRequest::decode(encoded.clone()).unwrap();
        assert_eq!(received.entries, request.entries);
        let copies = copies(encoded.len() / OPERATIONS as usize, requests, scale);
        let line = |verb: &str, ours: f64| print_line(verb, what, ours, copies, encoded.len());
        line("encode", nanos(requests, scale, || request.encode()));
        line("encode as it was received", nanos(requests, scale, || received.encode()));
        let decode = || AppendEntriesRequest::decode(encoded.clone()).unwrap();
        line("decode", nanos(requests, scale, decode));
        let decode_and_free = || drop(AppendEntriesRequest::decode(encoded.clone()).unwrap());
        line("decode and free", nanos(requests, scale, decode_and_free));
    }
    print_copies();
}

fn request(entries: Vec<Entry>) -> AppendEntriesRequest {
    AppendEntriesRequest {
        vote: Vote::new_committed(1, 1),
        prev_log_id: None,
        entries,
        leader_commit: Some(log_id(0)),
    }
}

fn print_line(verb: &str, what: &str, ours: f64, [copy, alloc]: [f64; 2], len: usize) {
    println!(
        "| {verb}, {what} | {ours:.1} | {copy:.1} | {alloc:.1} | {:.2}x | {:.2}x | {:.1} |",
        ours / copy,
        ours / alloc,
        len as f64 / OPERATIONS as f64,
    );
}

/// ns an operation: the median of several rounds of so many requests. What `work` returns is
/// freed outside the measured time.
fn nanos<T>(requests: u64, scale: Scale, mut work: impl FnMut() -> T) -> f64 {
    let rounds = std::iter::repeat_with(|| {
        let mut watch = Stopwatch::new();
        for _ in 0..requests {
            watch.time(&mut work);
        }
        watch.ns_per(requests * OPERATIONS)
    });
    median(rounds.take(2 * scale.rounds + 1).collect())
}

/// ns to copy `len` bytes into memory that is there, and into a vector of their own, for as many
/// operations as a request has.
fn copies(len: usize, requests: u64, scale: Scale) -> [f64; 2] {
    let source = vec![7_u8; len * OPERATIONS as usize];
    let mut target = source.clone();
    let copy = nanos(requests, scale, || {
        for (from, to) in source.chunks_exact(len).zip(target.chunks_exact_mut(len)) {
            black_box(to).copy_from_slice(black_box(from));
        }
    });
    let alloc = nanos(requests, scale, || {
        source.chunks_exact(len).map(|from| black_box(from).to_vec()).collect::<Vec<_>>()
    });
    [copy, alloc]
}

/// Where key and value of an operation lie.
type Place = [*const u8; 2];

fn place(operation: &Operation) -> Place {
    let Operation::Set(set) = operation else { unreachable!("all are SETs") };
    [set.key().as_ptr(), set.value().as_ptr()]
}

/// Where those of an entry's only operation lie.
fn place_of(entries: &[Entry]) -> Place {
    let [Entry { payload: EntryPayload::Normal(batch), .. }] = entries else {
        unreachable!("one batch")
    };
    place(&batch.operations()[0])
}

/// Follows one payload, and says how often it came to lie somewhere else.
struct Walk {
    place: Place,
    copies: usize,
}

impl Walk {
    fn to(&mut self, stage: &str, place: Place) {
        let moved = self.place != place;
        println!("| {stage} | {} |", if moved { "copied" } else { "same memory" });
        self.copies += usize::from(moved);
        self.place = place;
    }
}

fn print_copies() {
    println!("\nWhere key and value of one SET lie\n\n| stage | |\n|---|---|");
    let (mut leader, mut follower, mut remote) =
        (LogStore::default(), LogStore::default(), LogStore::default());

    let proposed = proposed();
    let mut walk = Walk { place: place(&proposed), copies: 0 };
    let batch = Batch::from(proposed);
    walk.to("batch", place(&batch.operations()[0]));
    let entries = vec![Entry { log_id: log_id(0), payload: EntryPayload::Normal(batch) }];
    walk.to("entry", place_of(&entries));
    now(leader.blocking_append(entries)).unwrap();
    walk.to("leader's log, read for replication", place_of(&read(&mut leader)));
    let sent = request(read(&mut leader));

    // In process the request itself is handed over.
    now(follower.blocking_append(sent.entries.clone())).unwrap();
    walk.to("in process: follower's log, read for apply", place_of(&read(&mut follower)));
    assert_eq!(walk.copies, 0);

    // Over a wire.
    let mut walk = Walk { place: place_of(&sent.entries), copies: 0 };
    let frame = sent.encode();
    walk.to("encoded: frame", inside(&frame));
    let into_the_frame = walk.copies;
    let received = AppendEntriesRequest::decode(frame).unwrap().entries;
    walk.to("encoded: request received", place_of(&received));
    now(remote.blocking_append(received)).unwrap();
    walk.to("encoded: follower's log, read for apply", place_of(&read(&mut remote)));
    assert_eq!((into_the_frame, walk.copies), (1, 1));
    println!(
        "\ncopies of the payload from proposal to follower's log: 0 (in process), 1 + 0 (encoded: \
         one into the frame, none out of it)"
    );
}

fn proposed() -> Operation {
    operation(1, 1)
}

fn read(log: &mut LogStore) -> Vec<Entry> {
    now(log.limited_get_log_entries(0, 1)).unwrap()
}

/// Where a frame holds the key and the value of [`proposed`]: found by their bytes, which
/// occur once.
fn inside(frame: &Bytes) -> Place {
    let Operation::Set(set) = proposed() else { unreachable!("a SET") };
    [set.key(), set.value()].map(|part| {
        let mut found = frame.windows(part.len()).filter(|window| window == part);
        let place = found.next().expect("the frame holds it").as_ptr();
        assert!(found.next().is_none(), "once");
        place
    })
}
