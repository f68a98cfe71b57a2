//! What is said of a store before it is asked: commands, capabilities, hooks.
//!
//! Plain data, of which everything else speaks. Authors find it in [`backend`](crate::backend).

mod capabilities;
mod command;
mod hooks;

use std::error::Error;

pub use self::capabilities::{Capabilities, Halves, Keeps};
pub use self::command::{Command, Shape};
pub use self::hooks::{Hook, Hooks, Marker};

/// Whatever a back end's own code fails with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A chunk of a snapshot, and where it begins.
pub type Piece<'a> = (u64, &'a [u8]);

/// `bytes` in order, in pieces of `size` bytes at most. No bytes are one piece, as openraft sends
/// them.
pub(crate) fn pieces(bytes: &[u8], size: usize) -> Vec<Piece<'_>> {
    if bytes.is_empty() {
        return vec![(0, bytes)];
    }
    let size = size.max(1);
    let begin = (0_u64..).step_by(size);
    begin.zip(bytes.chunks(size)).collect()
}
