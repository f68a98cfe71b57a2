//! Where there is no trap. Nothing here is ever reached but [`ensure`], which says so.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::costs::Costs;
use crate::error::Unsupported;
use crate::fault::Fault;
use crate::model::{History, Moment, Picture, State};
use crate::unseen::Unseen;

pub(crate) type Shared = Arc<Mutex<Watched>>;

/// There is none.
pub(crate) type Family = ();

pub(crate) fn ensure() -> Result<Family, Unsupported> {
    match cfg!(feature = "trap") {
        true => Err(Unsupported::Platform),
        false => Err(Unsupported::Feature),
    }
}

pub(crate) fn bystanders() -> Vec<String> {
    Vec::new()
}

/// Holes are read as well.
pub(crate) fn data(_: &File, range: Range<u64>) -> Vec<Range<u64>> {
    vec![range]
}

pub(crate) fn lock(disk: &Shared) -> MutexGuard<'_, Watched> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Registry;

impl Registry {
    pub(crate) fn lock() -> Self {
        Self
    }

    pub(crate) fn add(&mut self, _: &Shared) -> bool {
        false
    }

    pub(crate) fn remove(&mut self, _: &Shared) {}
}

/// There is none.
pub(crate) enum Watched {}

impl Watched {
    pub(crate) fn new(_: Family, _: &Path, _: &Picture, _: History, _: State) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn family(&self) -> Family {
        match *self {}
    }

    pub(crate) fn state(&self) -> &State {
        match *self {}
    }

    pub(crate) fn history(&self) -> &History {
        match *self {}
    }

    pub(crate) fn costs(&self) -> Costs {
        match *self {}
    }

    pub(crate) fn refused(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn met(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn switch_off(&mut self) {
        match *self {}
    }

    pub(crate) fn replace(&mut self, _: Self) {
        match *self {}
    }

    pub(crate) fn fail(&mut self, _: Option<Fault>) {
        match *self {}
    }

    pub(crate) fn unseen(&self) -> Vec<Unseen> {
        match *self {}
    }

    pub(crate) fn catch_up(&mut self) -> Moment {
        match *self {}
    }

    pub(crate) fn spare(&mut self, _: &str) {
        match *self {}
    }

    pub(crate) fn verify(&mut self) -> io::Result<()> {
        match *self {}
    }
}
