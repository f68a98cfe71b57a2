//! Files that are replaced whole, and bytes that tell whether they are damaged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The bytes with their checksum before them.
pub fn seal(bytes: &[u8]) -> Vec<u8> {
    [crc32fast::hash(bytes).to_le_bytes().as_slice(), bytes].concat()
}

/// What was sealed.
pub fn unseal(sealed: &[u8]) -> io::Result<&[u8]> {
    match sealed.split_first_chunk::<4>() {
        Some((crc, bytes)) if crc32fast::hash(bytes) == u32::from_le_bytes(*crc) => Ok(bytes),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "wrong checksum")),
    }
}

/// Replaces a file: after a power cut it has the old contents or the new ones.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// The contents of a file, if there is one, made durable before anybody sees them: a process that was
/// killed may have left them in the page cache alone. They are written over themselves, since after a
/// sync that failed another one writes nothing.
pub fn settle(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    sync_parent(path)?;
    Ok(Some(bytes))
}

/// A name is on disk once its directory is.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The contents of a file, if there is one.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
