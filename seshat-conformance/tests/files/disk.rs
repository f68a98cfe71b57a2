//! [`Disk`]: all that the stores do to their directory, and where most faults are turned on.
//!
//! Guarantees of the right one: what a call that changes names has done is on the disk when it
//! returns; what was written is once [`File::sync`] has returned; [`Disk::replace`] leaves the old
//! contents or the new ones.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;

use mmap_io::{MemoryMappedFile, MmapMode};

use super::faults::{Fault, Form, Ways};

/// `O_DSYNC`, of Linux on x86_64 and aarch64 alike.
const O_DSYNC: i32 = 0o10000;

type Write = (fs::File, Vec<u8>, u64, Sender<io::Result<()>>);

/// Writes on a thread that is there from the first call on: nobody watches it who begins later.
pub fn old_thread() -> impl Fn(&fs::File, &[u8], u64) -> io::Result<()> {
    static THREAD: OnceLock<Sender<Write>> = OnceLock::new();
    let thread = THREAD.get_or_init(|| {
        let (give, take) = mpsc::channel::<Write>();
        thread::spawn(move || {
            for (file, bytes, offset, done) in take {
                drop(done.send(file.write_all_at(&bytes, offset)));
            }
        });
        give
    });
    |file, bytes, offset| {
        let (done, written) = mpsc::channel();
        thread.send((file.try_clone()?, bytes.to_vec(), offset, done)).map_err(io::Error::other)?;
        written.recv().map_err(io::Error::other)?
    }
}

/// A directory.
#[derive(Debug, Clone)]
pub struct Disk {
    dir: PathBuf,
    pub ways: Ways,
    syncs: Arc<AtomicU64>,
}

impl Disk {
    pub fn new(dir: PathBuf, ways: Ways) -> Self {
        Self { dir, ways, syncs: Arc::default() }
    }

    /// Every name, in order.
    pub fn names(&self) -> io::Result<BTreeSet<String>> {
        let name = |entry: io::Result<fs::DirEntry>| entry?.file_name().into_string().map_err(bad);
        fs::read_dir(&self.dir)?.map(name).collect()
    }

    /// The contents of a file, if there is one; where room is made beforehand, without what was
    /// never used.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut file = match fs::File::open(self.dir.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let (mut bytes, mut used) = (Vec::new(), 0);
        if !matches!(self.ways.form, Form::Preallocated | Form::Mapped) {
            file.read_to_end(&mut bytes)?;
            return Ok(Some(bytes));
        }
        while file.by_ref().take(64 << 10).read_to_end(&mut bytes)? > 0 {
            if bytes[used..] == [0; 64 << 10] {
                bytes.truncate(used);
                break;
            }
            used = bytes.len();
        }
        Ok(Some(bytes))
    }

    /// An empty file with so much room; its name is not on the disk yet.
    pub fn make(&self, name: &str, room: u64) -> io::Result<File> {
        let mut options = self.options();
        match self.ways.is(Fault::StaleTemporary) {
            true => options.create_new(true),
            false => options.create(true).truncate(true),
        };
        let file = options.open(self.dir.join(name))?;
        if room > 0 {
            file.set_len(room)?;
        }
        self.file(file)
    }

    /// An empty file with a name.
    pub fn create(&self, name: &str, room: u64) -> io::Result<File> {
        let file = self.make(name, room)?;
        if !self.ways.is(Fault::CreateNoDirSync) {
            self.sync()?;
        }
        Ok(file)
    }

    /// A file that is there.
    pub fn open(&self, name: &str) -> io::Result<File> {
        self.file(self.options().open(self.dir.join(name))?)
    }

    /// Makes a file what it is said to be: the old contents are there until the new ones are.
    pub fn replace(&self, name: &str, bytes: &[u8], room: u64) -> io::Result<File> {
        let new = format!("{name}.new");
        let mut file = self.make(&new, room)?;
        file.write(0, bytes)?;
        if self.ways.is(Fault::RenameBeforeSync) {
            self.rename(&new, name)?;
            file.sync()?;
        } else {
            file.sync()?;
            self.rename(&new, name)?;
        }
        Ok(file)
    }

    /// Likewise, as far as a running system can tell.
    pub fn replace_unsynced(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        self.make(&new, 0)?.write(0, bytes)?;
        fs::rename(self.dir.join(new), self.dir.join(name))
    }

    /// Makes a file that must not be there.
    pub fn lock(&self) -> io::Result<()> {
        fs::File::create_new(self.dir.join("lock")).map(drop)
    }

    /// Makes a directory, if there is none.
    pub fn make_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir_all(self.dir.join(name))?;
        self.sync()
    }

    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))?;
        if self.ways.is(Fault::RenameNoDirSync) { Ok(()) } else { self.sync() }
    }

    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))?;
        if self.ways.is(Fault::UnlinkNoDirSync) { Ok(()) } else { self.sync() }
    }

    /// Names are on the disk once their directory is.
    pub fn sync(&self) -> io::Result<()> {
        if self.ways.is(Fault::NoSync) { Ok(()) } else { fs::File::open(&self.dir)?.sync_all() }
    }

    fn options(&self) -> fs::OpenOptions {
        let mut options = fs::File::options();
        options.read(true).write(true);
        if self.ways.form == Form::Dsync {
            options.custom_flags(O_DSYNC);
        }
        options
    }

    fn file(&self, file: fs::File) -> io::Result<File> {
        let mapped = self.ways.form == Form::Mapped && file.metadata()?.len() > 0;
        let map = match mapped {
            true => Some(map(&file)?),
            false => None,
        };
        Ok(File { file, map, disk: self.clone() })
    }
}

fn map(file: &fs::File) -> io::Result<MemoryMappedFile> {
    let map = MemoryMappedFile::from_file(file.try_clone()?, MmapMode::ReadWrite, "");
    map.map_err(io::Error::other)
}

fn bad(name: std::ffi::OsString) -> io::Error {
    io::Error::other(format!("{name:?} is no name of ours"))
}

/// A file that is open for writing; through a mapping if it had room and the store is one of such.
#[derive(Debug)]
pub struct File {
    file: fs::File,
    map: Option<MemoryMappedFile>,
    disk: Disk,
}

impl File {
    /// Writes at a place. Beyond its end the file grows.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.disk.ways.is(Fault::SyncBeforeWrite) {
            self.file.sync_all()?;
        }
        let end = offset + bytes.len() as u64;
        if self.map.as_ref().is_some_and(|map| map.len() < end) {
            self.file.set_len(end)?;
            self.map = Some(map(&self.file)?);
        }
        match &self.map {
            Some(map) => map.update_region(offset, bytes).map_err(io::Error::other),
            None if self.disk.ways.form == Form::OldThread => {
                old_thread()(&self.file, bytes, offset)
            }
            None if self.disk.ways.is(Fault::WriteErrorIgnored) => {
                self.file.write_all_at(bytes, offset).or(Ok(()))
            }
            None => self.file.write_all_at(bytes, offset),
        }
    }

    /// Cuts the file off, which is not on the disk before [`Self::sync`].
    pub fn cut(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What was written is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        let count = self.disk.syncs.fetch_add(1, Ordering::Relaxed);
        match self.disk.ways.fault {
            Some(Fault::NoSync | Fault::SyncBeforeWrite) => Ok(()),
            Some(Fault::EveryThirdSync) if !count.is_multiple_of(3) => Ok(()),
            Some(Fault::SyncErrorIgnored) => self.make_durable().or(Ok(())),
            Some(Fault::SyncErrorLogged) => {
                let error = self.make_durable().err();
                error.iter().for_each(|error| tracing::warn!(%error, "can't sync"));
                Ok(())
            }
            Some(Fault::SyncErrorRetried) => (0..3)
                .map(|_| self.make_durable())
                .find(Result::is_ok)
                .unwrap_or_else(|| Err(io::Error::other("three syncs in a row have failed"))),
            _ => self.make_durable(),
        }
    }

    fn make_durable(&self) -> io::Result<()> {
        match &self.map {
            _ if self.disk.ways.form == Form::Dsync => Ok(()),
            Some(_) if self.disk.ways.is(Fault::MappedNoMsync) => Ok(()),
            Some(map) => map.flush().map_err(io::Error::other),
            None => self.file.sync_all(),
        }
    }
}
