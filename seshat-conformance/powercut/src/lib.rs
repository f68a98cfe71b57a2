//! Cuts the power of anything that keeps its state in files: unchanged, unprivileged, in any
//! language that runs in this process.
//!
//! A process that is killed loses nothing that it has written: the kernel has it. So a test that
//! restarts a store can't tell one that calls `fsync` from one that doesn't. This crate knows what
//! would be on the disk at every moment, and makes the directories that a power cut could leave.
//!
//! ```
//! use std::fs::File;
//! use std::io::Write;
//! use seshat_powercut::{Cut, Disk, Model, Survives, WatchError};
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let disk = match Disk::watch(dir) {
//!     Ok(disk) => disk,
//!     Err(WatchError::Unsupported(why)) => return Ok(eprintln!("inconclusive: {why}")),
//!     Err(error) => return Err(error.into()),
//! };
//! let mut log = File::create(dir.join("log"))?;
//! log.write_all(b"synced ")?;
//! log.sync_all()?;
//! log.write_all(b"and not")?;
//!
//! let image = disk.image();
//! let least = image.cut(Cut { model: Model::Ext4, survives: Survives::Nothing });
//! assert_eq!(least.file("log").unwrap().to_vec(), b"synced ");
//! // Nobody synced the directory, and POSIX doesn't promise that the name is there.
//! let least = image.cut(Cut { model: Model::Posix, survives: Survives::Nothing });
//! assert!(least.file("log").is_none());
//! for missing in image.unsynced(Model::Posix) {
//!     eprintln!("{missing}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How to use it
//! 1. Give each test a thread of its own, [`Disk::watch`] an empty directory there, and start the
//!    store: what its threads do is seen, by whatever library or language they do it.
//! 2. Run the store. At each acknowledgement keep [`Disk::now`] beside what was acknowledged.
//! 3. Go through [`History::images`], the moments before and after each sync; for each a few
//!    [`Cut`]s, [`Disk::restore`] into an empty directory, and open the store there. It must have
//!    what was acknowledged up to [`Image::at`], may have what was asked for by then, and must not
//!    have anything else. What fails under [`Model::Ext4`] loses data on most machines; what fails
//!    under [`Model::Posix`] alone rests on a kindness of the file system.
//! 4. Ask [`Disk::unseen`]. If there is anything, the verdict is inconclusive.
//!
//! [`Disk::revive`] kills and cuts: what the next process merely *finds* in the page cache is not
//! on the disk. [`Disk::cut_power`] cuts under open handles. [`Disk::fail`] fills and breaks the
//! disk, and has it lose what a failed `fsync` was to write. [`History::record`] tells which bytes
//! an operation wrote, so that each of them can be flipped without knowing the format.
//!
//! # How it works
//! A seccomp filter stops the calls that write, sync and rename, and a thread of this crate makes
//! them in the caller's place. So it knows the order and the result of every one, and syncs need
//! not be made at all: what is durable is decided by a [`model`], which is pure and can be used
//! without the trap. Reads go at full speed. Linux 5.5 or later (5.19, if the process gets signals
//! while it writes) on x86_64 or aarch64; elsewhere [`Disk::watch`] says why not.
//!
//! # What it can't see
//! - Threads that were there before [`Disk::watch`], and other processes: said by [`Unseen`] and
//!   [`Disk::bystanders`]. Children are let through, and die of nothing.
//! - `io_uring` and Linux AIO: refused with `ENOSYS`, so that engines fall back; and said.
//! - When exactly a mapped file was written to: it is compared at each sync. With `msync` and
//!   `fsync` that is exact enough; but of what was not synced, the order is lost.
//! - Threads that unshare their descriptors or directory, and a `fork` that outlives this process
//!   without executing anything: not supported.
//! - Bugs of file systems, and disks that lie.

mod costs;
mod disk;
mod error;
mod fault;
pub mod model;
mod unseen;

#[cfg_attr(
    not(all(
        feature = "trap",
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    path = "trap_elsewhere.rs"
)]
mod trap;

pub use self::costs::Costs;
pub use self::disk::{Disk, supported, watch_thread};
pub use self::error::{Unsupported, WatchError};
pub use self::fault::{Fault, Harm};
pub use self::model::{Cut, History, Image, Model, Moment, Picture, Survives};
pub use self::unseen::Unseen;
