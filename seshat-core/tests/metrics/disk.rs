//! A disk with whatever is to be wrong with it.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::wal::fs::{File, FileSystem, LockError};
use seshat_core::wal::{Disk, Options};

/// What is wrong. Nothing, to begin with; nor does a sync take any time then, as no power is cut here.
#[derive(Debug, Default, Clone)]
pub(crate) struct Wrong(Arc<State>);

#[derive(Debug, Default)]
struct State {
    slow_ms: AtomicU64,
    fails: AtomicBool,
    full: AtomicBool,
    low: AtomicBool,
    garbles: AtomicBool,
}

impl Wrong {
    /// Syncs take that long.
    pub(crate) fn slow(&self, sync: Duration) {
        self.0.slow_ms.store(sync.as_millis() as u64, Ordering::SeqCst);
    }

    /// Syncs fail.
    pub(crate) fn fails(&self) {
        self.0.fails.store(true, Ordering::SeqCst);
    }

    /// Files don't grow.
    pub(crate) fn full(&self) {
        self.0.full.store(true, Ordering::SeqCst);
    }

    /// Little is free.
    pub(crate) fn low(&self) {
        self.0.low.store(true, Ordering::SeqCst);
    }

    /// What is read isn't what was written.
    pub(crate) fn garbles(&self) {
        self.0.garbles.store(true, Ordering::SeqCst);
    }
}

/// The storage of a node on such a disk, with at most so many bytes of its entries in memory.
pub(crate) fn open(
    dir: &Path,
    node_id: u64,
    hot_bytes: usize,
    wrong: &Wrong,
) -> DiskStorage<WrongDisk> {
    let small = 256 << 10;
    let wal = Options {
        first_segment_bytes: small,
        segment_bytes: small,
        spares: 1,
        ..Options::new("seshat", node_id)
    };
    let disk = WrongDisk { inner: Disk::at(dir).unwrap(), wrong: wrong.clone() };
    DiskStorage::open_on(disk, DiskOptions { wal, hot_bytes }).unwrap()
}

pub(crate) struct WrongDisk {
    inner: Disk,
    wrong: Wrong,
}

pub(crate) struct WrongFile {
    inner: std::fs::File,
    wrong: Wrong,
}

impl WrongDisk {
    fn file(&self, inner: Result<std::fs::File>) -> Result<WrongFile> {
        Ok(WrongFile { inner: inner?, wrong: self.wrong.clone() })
    }
}

impl FileSystem for WrongDisk {
    type File = WrongFile;
    type Lock = std::fs::File;

    fn lock(&self, path: &str) -> std::result::Result<std::fs::File, LockError> {
        self.inner.lock(path)
    }

    fn create_folder(&self, path: &str) -> Result<()> {
        self.inner.create_folder(path)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn open(&self, path: &str) -> Result<WrongFile> {
        self.file(self.inner.open(path))
    }

    fn create(&self, path: &str) -> Result<WrongFile> {
        self.file(self.inner.create(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.inner.remove(path)
    }

    fn sync_folder(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn free(&self) -> Result<Option<u64>> {
        let low = self.wrong.0.low.load(Ordering::SeqCst);
        // As much as any test's machine may have, or not.
        Ok(Some(if low { 1 << 20 } else { 1 << 40 }))
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}

impl File for WrongFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.inner.read_at(buf, offset)?;
        if self.wrong.0.garbles.load(Ordering::SeqCst)
            && let Some(last) = buf.last_mut()
        {
            *last ^= 1;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let grows = offset + bytes.len() as u64 > self.inner.len()?;
        if grows && self.wrong.0.full.load(Ordering::SeqCst) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> Result<()> {
        if self.wrong.0.fails.load(Ordering::SeqCst) {
            return Err(Error::other("injected"));
        }
        let slow = self.wrong.0.slow_ms.load(Ordering::SeqCst);
        if slow > 0 {
            std::thread::sleep(Duration::from_millis(slow));
        }
        Ok(())
    }

    fn drop_cache(&self) -> Result<()> {
        self.inner.drop_cache()
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }
}
