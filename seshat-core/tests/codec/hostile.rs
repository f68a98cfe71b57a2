//! No input panics a decoder, and no length that it claims is trusted.
//!
//! Thousands of cases for each test; a million with `SESHAT_LONG` set (see `main.rs`).

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::TestRunner;
use prost::encoding::{WireType, encode_key, encode_varint};
use seshat_core::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotPart, Message, SnapshotOffsetRequest,
    SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::snapshot::Header;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};

use super::{Comparable, arbitrary};

fn cases() -> u32 {
    if std::env::var_os("SESHAT_LONG").is_some() { 1_000_000 } else { 4_000 }
}

/// Decodes. What is accepted must be as good as what we write ourselves; what is refused must
/// say where.
fn probe<M: Comparable>(bytes: &Bytes) -> bool {
    match M::decode(bytes.clone()) {
        Ok(value) => {
            let again = M::decode(value.encode()).expect("what was accepted can be sent on");
            assert!(again.same(&value), "{value:?} was sent on as {again:?}");
            true
        }
        Err(error) => {
            assert!(!error.message.is_empty() && !error.field.is_empty(), "{error} says nothing");
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Name, probe, and a strategy for valid bytes, of each message.
type Subject = (&'static str, fn(&Bytes) -> bool, BoxedStrategy<Bytes>);

macro_rules! subjects {
    ($($name:ident: $type:ty,)*) => {
        fn subjects() -> Vec<Subject> {
            vec![$((
                <$type>::NAME,
                probe::<$type>,
                arbitrary::$name().prop_map(|value| value.encode()).boxed(),
            ),)*]
        }

        /// All decoders on the same bytes.
        fn probe_all(bytes: &Bytes) {
            $(probe::<$type>(bytes);)*
        }
    };
}
every_message!(subjects);

/// Any valid message, with the probe for its kind.
fn valid() -> impl Strategy<Value = (fn(&Bytes) -> bool, Bytes)> {
    let subjects = subjects().into_iter();
    Union::new(
        subjects.map(|(_, probe, valid)| valid.prop_map(move |bytes| (probe, bytes)).boxed()),
    )
}

/// Fields of any kind with small numbers, within each other: what decoders look into.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let leaf = vec(any::<u8>(), 0..8);
    leaf.prop_recursive(4, 32, 4, |inner| {
        let number = prop_oneof![0..4_u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()];
        let value = prop_oneof![
            2 => number.prop_map(|number| {
                let mut out = vec![];
                encode_varint(number, &mut out);
                (WireType::Varint, out)
            }),
            1 => any::<[u8; 8]>().prop_map(|fixed| (WireType::SixtyFourBit, fixed.to_vec())),
            1 => any::<[u8; 4]>().prop_map(|fixed| (WireType::ThirtyTwoBit, fixed.to_vec())),
            6 => (inner, prop_oneof![15 => Just(0), 1 => any::<u64>()]).prop_map(|(data, lie)| {
                let mut out = vec![];
                encode_varint((data.len() as u64).wrapping_add(lie), &mut out);
                out.extend(data);
                (WireType::LengthDelimited, out)
            }),
        ];
        vec((prop_oneof![9 => 1..=5_u32, 1 => 6..20_u32], value), 0..5).prop_map(|fields| {
            let mut out = vec![];
            for (tag, (wire_type, value)) in fields {
                encode_key(tag, wire_type, &mut out);
                out.extend(value);
            }
            out
        })
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Truncate(Index),
    Remove(Index),
    Insert(Index, Vec<u8>),
    /// Part of this message goes into that one.
    Splice(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => at().prop_map(Mutation::Truncate),
        2 => at().prop_map(Mutation::Remove),
        2 => (at(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        2 => (at(), at(), at()).prop_map(|(at, from, to)| Mutation::Splice(at, from, to)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation, other: &[u8]) {
    let place = |at: &Index, len: usize| at.index(len + 1);
    match mutation {
        Mutation::Flip(at, bit) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Mutation::Remove(at) if !bytes.is_empty() => {
            bytes.remove(at.index(bytes.len()));
        }
        Mutation::Flip(..) | Mutation::Remove(_) => {}
        Mutation::Truncate(at) => bytes.truncate(place(at, bytes.len())),
        Mutation::Insert(at, new) => {
            let at = place(at, bytes.len());
            bytes.splice(at..at, new.iter().copied());
        }
        Mutation::Splice(at, from, to) => {
            let (a, b) = (place(from, other.len()), place(to, other.len()));
            let at = place(at, bytes.len());
            bytes.splice(at..at, other[a.min(b)..a.max(b)].iter().copied());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn arbitrary_bytes_panic_no_decoder(bytes in vec(any::<u8>(), 0..64)) {
        probe_all(&bytes.into());
    }

    #[test]
    fn arbitrary_fields_panic_no_decoder(bytes in fields()) {
        probe_all(&bytes.into());
    }

    #[test]
    fn bytes_of_another_message_panic_no_decoder((_, bytes) in valid()) {
        probe_all(&bytes);
    }

    #[test]
    fn mutated_bytes_panic_no_decoder(
        (probe, bytes) in valid(),
        (_, other) in valid(),
        mutations in vec(mutation(), 1..4),
    ) {
        let mut bytes = Vec::from(bytes);
        for mutation in &mutations {
            mutate(&mut bytes, mutation, &other);
        }
        probe(&bytes.into());
    }
}

/// The fuzzing above is only as good as what gets past the first check.
#[test]
fn mutated_bytes_are_often_accepted() {
    let mut runner = TestRunner::deterministic();
    let strategy = (valid(), mutation());
    let accepted = std::iter::repeat_with(|| strategy.new_tree(&mut runner).unwrap().current())
        .take(1_000)
        .filter(|((probe, bytes), mutation)| {
            let mut bytes = bytes.to_vec();
            mutate(&mut bytes, mutation, &[]);
            probe(&bytes.into())
        })
        .count();
    assert!((100..900).contains(&accepted), "{accepted} of 1000 mutated messages were accepted");
}

/// The field, and the length it claims; nothing else.
fn claim(tag: u32, len: u64) -> Vec<u8> {
    let mut out = vec![];
    encode_key(tag, WireType::LengthDelimited, &mut out);
    encode_varint(len, &mut out);
    out
}

fn field(tag: u32, data: &[u8]) -> Vec<u8> {
    [claim(tag, data.len() as u64), data.to_vec()].concat()
}

/// The most address space that this process ever had. `None` where the system doesn't say.
fn peak_address_space() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kb| kb * 1024)
}

#[test]
fn a_claimed_length_fails_before_memory_is_reserved() {
    /// Small enough that many systems would grant it.
    const LEAST: u64 = 1 << 34;
    let before = peak_address_space();
    for len in [LEAST, 1 << 40, 1 << 62, u64::MAX >> 1, u64::MAX] {
        for tag in 1..=16 {
            for (name, probe, _) in subjects() {
                assert!(!probe(&claim(tag, len).into()), "{name}: field {tag} of {len} bytes");
            }
        }
        // Where the outer lengths are right and the innermost one isn't.
        let operation = field(1, &claim(1, len));
        let batch = field(1, &operation);
        let entry = [vec![0x08, 1], field(2, &[]), field(4, &batch)].concat();
        let append = [field(1, &[]), field(3, &entry)].concat();
        assert!(!probe::<Operation>(&operation.into()));
        assert!(!probe::<Batch>(&batch.into()));
        assert!(!probe::<Entry>(&entry.into()));
        assert!(!probe::<AppendEntriesRequest>(&append.into()));
    }
    if let (Some(before), Some(after)) = (before, peak_address_space()) {
        // Other tests run beside this one, but all of them don't need as much.
        assert!(after - before < LEAST / 2, "{} bytes were reserved", after - before);
    }
}

/// Nesting deeper than any schema must not use up the stack.
#[test]
fn deep_nesting_is_refused_or_skipped() {
    let nested = |mut bytes: Vec<u8>, levels: usize, wrap: fn(Vec<u8>) -> Vec<u8>| {
        for _ in 0..levels {
            bytes = wrap(bytes);
        }
        Bytes::from(bytes)
    };
    for tag in 1..=5 {
        let groups = [
            vec![(tag << 3) | WireType::StartGroup as u8; 100_000],
            vec![(tag << 3) | WireType::EndGroup as u8; 100_000],
        ];
        probe_all(&groups.concat().into());
    }
    probe_all(&nested(vec![], 5_000, |inner| field(1, &inner)));
    probe_all(&nested(vec![], 5_000, |inner| field(2, &inner)));
}
