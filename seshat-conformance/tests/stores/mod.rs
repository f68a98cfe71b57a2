//! The stores that the kit is tested with: one correct store on a disk in memory, some three
//! hundred ways to break it ([`Fault`]), and ways to be right but unusual ([`Quirk`]).
//!
//! Guarantees: a [`Store`] without a fault keeps the whole contract; with a fault it differs from
//! that in the one place which names the fault. One back end type for all of them: the checks are
//! generic, and each further type costs a minute of compiling.

pub mod append;
pub mod backend;
pub mod batch;
pub mod disk;
pub mod fault;
pub mod handle;
pub mod log;
pub mod machine;
pub mod open;
pub mod plain;
pub mod quirk;
pub mod read;
pub mod remove;
pub mod snapshot;
pub mod types;
pub mod vote;
pub mod wire;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seshat_conformance::backend::Keeps;
use tokio::sync::OwnedMutexGuard;

pub use self::backend::Store;
pub use self::fault::{FAULTS, Fault};
pub use self::quirk::{QUIRKS, Quirk};

use self::disk::{Image, Mount};
use self::handle::Handle;
use self::types::{LogId, Stored, Vote};

/// What is odd about a store.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    pub fault: Option<Fault>,
    pub quirk: Option<Quirk>,
    pub keeps: Keeps,
}

impl Ways {
    pub fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub fn quirky(&self, quirk: Quirk) -> bool {
        self.quirk == Some(quirk)
    }
}

/// What the halves of an open store have in common.
#[derive(Debug, Clone)]
pub struct Env {
    pub ways: Ways,
    pub mount: Mount,
    /// Held through every call by a store with one lock for everything.
    gate: Option<Arc<tokio::sync::Mutex<()>>>,
    /// What the state machine has applied: for logs that listen where they shouldn't.
    pub applied: Arc<Mutex<Option<LogId>>>,
    /// What the log has: for state machines that look there where they shouldn't.
    pub logged: Arc<Mutex<Logged>>,
    /// A vote that stores share which should have one each.
    pub common_vote: Arc<Mutex<Option<Vote>>>,
    /// Files that stores share which should have one each.
    pub common: Arc<Mutex<Image>>,
    /// What a directory keeps besides its disk.
    pub kept: Arc<Kept>,
    /// Keeps the directory from being opened again, in a store that wants this.
    pub opened: Option<Arc<backend::Opened>>,
}

/// The last of what was appended, truncated since or not.
#[derive(Debug, Default)]
pub struct Logged {
    pub last: Option<LogId>,
    pub membership: Option<Stored>,
}

/// What faulty stores keep in a directory over restarts.
#[derive(Debug, Default)]
pub struct Kept {
    pub built: AtomicU64,
    pub receiving: Handle,
}

impl Env {
    pub fn is(&self, fault: Fault) -> bool {
        self.ways.is(fault)
    }

    pub fn quirky(&self, quirk: Quirk) -> bool {
        self.ways.quirky(quirk)
    }

    pub async fn enter(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.gate {
            Some(gate) => Some(gate.clone().lock_owned().await),
            None => None,
        }
    }
}

/// Puts the directories of this process's checks in memory, where the system has a place for that: a [`Store`]
/// knows its disk by the path and has nothing in it, and to make and remove thousands of them is a third of
/// what some tests take on a file system. Only under nextest, where a process is one test: others may need what
/// files are on.
pub fn make_directories_in_memory() {
    let memory = Path::new("/dev/shm");
    let is_alone = std::env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|it| it == "process-per-test");
    let is_chosen = std::env::var_os("TMPDIR").is_some();
    if is_alone && !is_chosen && tempfile::tempdir_in(memory).is_ok() {
        // An error says that it was done before.
        let _ = tempfile::env::override_temp_dir(memory);
    }
}

/// A mutex whose holder never panics half-way.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets others run, as a write to a real disk does.
pub async fn pause(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
