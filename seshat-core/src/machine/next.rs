//! What no version does, for tests of upgrades: feature `next`.

use super::KeySpace;
use crate::operation::{How, Set};

/// Nodes that went on without it would differ from those that know it.
pub(super) fn run(keys: &mut KeySpace, set: &Set) {
    let before = keys.get(set.key());
    match (set.how(), before) {
        (How::Prepend, Some(before)) => {
            let value = [set.value(), before].concat();
            keys.set(set.key(), &value);
        }
        (How::Append, Some(before)) => {
            let value = [before, set.value()].concat();
            keys.set(set.key(), &value);
        }
        _ => keys.set(set.key(), set.value()),
    }
}
