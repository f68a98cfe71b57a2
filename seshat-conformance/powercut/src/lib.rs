//! Cuts the power of anything that keeps its state in files.

mod costs;
mod disk;
mod error;
mod fault;
pub mod model;
mod unseen;

#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "trap_elsewhere.rs"
)]
mod trap;

pub use self::costs::Costs;
pub use self::disk::Disk;
pub use self::error::{Unsupported, WatchError};
pub use self::fault::{Fault, Harm};
pub use self::model::{Cut, History, Image, Model, Moment, Picture, Survives};
pub use self::unseen::Unseen;
