//! [`Picture`]: the contents of a directory, as data. Written, it is the directory that a store
//! finds after a power cut; files are sparse where the blocks are.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::blocks::{BLOCK, Blocks};
use super::event::NodeId;

/// The contents of a directory.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    items: BTreeMap<PathBuf, Item>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which node. Two paths of one node are hard links.
    pub node: NodeId,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// A kind of item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file with these bytes.
    File(Blocks),
    /// A directory.
    Dir,
    /// A symbolic link to this path.
    Link(PathBuf),
}

impl FromIterator<(PathBuf, Item)> for Picture {
    fn from_iter<T: IntoIterator<Item = (PathBuf, Item)>>(items: T) -> Self {
        Self { items: items.into_iter().collect() }
    }
}

/// The same paths with the same contents. Node numbers and permissions are not looked at.
impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        let of = |picture: &Self| picture.items.len();
        of(self) == of(other)
            && self
                .items
                .iter()
                .zip(&other.items)
                .all(|((a, x), (b, y))| a == b && x.kind == y.kind)
    }
}

impl Picture {
    /// Paths, relative to the directory, and what is there; parents first.
    pub fn items(&self) -> impl Iterator<Item = (&Path, &Item)> {
        self.items.iter().map(|(path, item)| (path.as_path(), item))
    }

    /// What is at a path.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Kind> {
        self.items.get(path.as_ref()).map(|item| &item.kind)
    }

    /// The bytes of the file at a path.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<&Blocks> {
        match self.get(path) {
            Some(Kind::File(blocks)) => Some(blocks),
            _ => None,
        }
    }

    /// Changes the file at a path, under all its names. False if there is none.
    pub fn change(&mut self, path: impl AsRef<Path>, change: impl Fn(&mut Blocks)) -> bool {
        let found = self.items.get(path.as_ref()).filter(|item| matches!(item.kind, Kind::File(_)));
        let Some(node) = found.map(|item| item.node) else { return false };
        for item in self.items.values_mut().filter(|item| item.node == node) {
            if let Kind::File(blocks) = &mut item.kind {
                change(blocks);
            }
        }
        true
    }

    /// Reads a directory. Sockets, pipes and devices are left out; holes are not read.
    ///
    /// Closing a file drops every `fcntl` lock that the process has on it, so a directory in which
    /// a store of this process holds such locks should be read after the store was closed.
    ///
    /// # Errors
    /// Whatever the file system says; a file that vanishes meanwhile is not an error.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let mut reader = Reader { items: BTreeMap::new(), known: HashMap::new(), next: 1 };
        reader.dir(dir, Path::new(""))?;
        Ok(Self { items: reader.items })
    }

    /// Writes everything below `dir`, which is made if it isn't there and should be empty.
    ///
    /// # Errors
    /// Whatever the file system says; a file that is there already is one. What was written by
    /// then stays.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut written: HashMap<NodeId, PathBuf> = HashMap::new();
        for (path, item) in self.items() {
            let path = dir.join(path);
            match &item.kind {
                Kind::Dir => fs::create_dir(&path)?,
                Kind::Link(target) => link(target, &path)?,
                Kind::File(blocks) => match written.get(&item.node) {
                    Some(first) => fs::hard_link(first, &path)?,
                    None => {
                        write(blocks, &path)?;
                        set_mode(&path, item.mode)?;
                        written.insert(item.node, path);
                    }
                },
            }
        }
        // Last, for one that can't be written to could not be filled.
        for (path, item) in self.items().filter(|(_, item)| item.kind == Kind::Dir) {
            set_mode(&dir.join(path), item.mode)?;
        }
        Ok(())
    }
}

struct Reader {
    items: BTreeMap<PathBuf, Item>,
    known: HashMap<(u64, u64), NodeId>,
    next: u64,
}

impl Reader {
    fn dir(&mut self, dir: &Path, below: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (path, name) = (entry.path(), below.join(entry.file_name()));
            match self.item(&path, &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                read => read?,
            }
        }
        Ok(())
    }

    fn item(&mut self, path: &Path, name: &Path) -> io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        let node = self.number(&meta);
        let kind = if meta.is_dir() {
            self.dir(path, name)?;
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Link(fs::read_link(path)?)
        } else if meta.is_file() {
            Kind::File(Blocks::read_file(&File::open(path)?)?)
        } else {
            return Ok(());
        };
        self.items.insert(name.to_owned(), Item { node, mode: mode(&meta), kind });
        Ok(())
    }

    fn number(&mut self, meta: &Metadata) -> NodeId {
        let new = NodeId(self.next);
        let node = key(meta).map_or(new, |key| *self.known.entry(key).or_insert(new));
        self.next += u64::from(node == new);
        node
    }
}

impl Blocks {
    /// Reads a file, from its beginning; its holes are not read.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn read_file(file: &File) -> io::Result<Self> {
        let mut blocks = Self::default();
        let size = file.metadata()?.len();
        blocks.resize(size);
        let mut buffer = vec![0; 64 << 10];
        let mut source = file;
        for mut data in crate::trap::data(file, 0..size) {
            source.seek(SeekFrom::Start(data.start))?;
            while data.start < data.end {
                let len = buffer.len().min((data.end - data.start) as usize);
                let count = source.read(buffer.get_mut(..len).unwrap_or_default())?;
                if count == 0 {
                    break;
                }
                blocks.write(data.start, buffer.get(..count).unwrap_or_default());
                data.start += count as u64;
            }
        }
        // One that is being written to may have grown meanwhile.
        blocks.resize(size);
        Ok(blocks)
    }
}

fn write(blocks: &Blocks, path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.set_len(blocks.size())?;
    // Blocks side by side in one call.
    let mut run: (u64, Vec<u8>) = (0, Vec::new());
    for (offset, bytes) in blocks.extents() {
        if run.0 + run.1.len() as u64 != offset || run.1.len() as u64 >= 256 * BLOCK {
            put(&mut file, &run)?;
            run = (offset, Vec::new());
        }
        run.1.extend_from_slice(bytes);
    }
    put(&mut file, &run)
}

fn put(file: &mut File, (offset, bytes): &(u64, Vec<u8>)) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    file.seek(SeekFrom::Start(*offset))?;
    file.write_all(bytes)
}

#[cfg(unix)]
mod os {
    use std::fs::{self, Metadata, Permissions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;

    pub(super) fn key(meta: &Metadata) -> Option<(u64, u64)> {
        Some((meta.dev(), meta.ino()))
    }

    pub(super) fn mode(meta: &Metadata) -> u32 {
        meta.mode() & 0o7777
    }

    pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    pub(super) fn link(target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }
}

#[cfg(not(unix))]
mod os {
    use std::fs::Metadata;
    use std::io;
    use std::path::Path;

    pub(super) fn key(_: &Metadata) -> Option<(u64, u64)> {
        None
    }

    pub(super) fn mode(_: &Metadata) -> u32 {
        0
    }

    pub(super) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn link(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

use self::os::{key, link, mode, set_mode};
