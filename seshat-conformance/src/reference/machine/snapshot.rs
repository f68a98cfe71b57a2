//! The bytes of a reference snapshot: numbers of eight bytes, little end first. A hash of the
//! metadata, then the history, then a hash of all before.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use openraft::{Node, NodeId, SnapshotMeta};

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("not whole: {0} bytes")]
    Length(usize),
    #[error("damaged: wrong checksum")]
    Checksum,
    #[error("of other metadata")]
    Meta,
}

/// The same for equal values in one process.
pub(super) fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn seal<N: NodeId, D: Node>(meta: &SnapshotMeta<N, D>) -> u64 {
    // Neither ids nor memberships need be hashable.
    hash(&format!("{:?} {:?}", meta.last_log_id, meta.last_membership))
}

pub(super) fn write<N: NodeId, D: Node>(meta: &SnapshotMeta<N, D>, history: &[u64]) -> Vec<u8> {
    let mut words = vec![seal(meta)];
    words.extend(history);
    words.push(hash(&words));
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

pub(super) fn read<N: NodeId, D: Node>(
    meta: &SnapshotMeta<N, D>,
    bytes: &[u8],
) -> Result<Vec<u64>, Refused> {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let [before @ .., checksum] = words.as_slice() else {
        return Err(Refused::Length(bytes.len()));
    };
    let [sealed, history @ ..] = before else { return Err(Refused::Length(bytes.len())) };
    if !rest.is_empty() {
        return Err(Refused::Length(bytes.len()));
    }
    if *checksum != hash(before) {
        return Err(Refused::Checksum);
    }
    if *sealed != seal(meta) {
        return Err(Refused::Meta);
    }
    Ok(history.to_vec())
}
