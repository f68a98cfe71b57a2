//! Storage in directories.

use std::path::Path;
use std::time::Duration;

use seshat_core::disk::{DiskOptions, DiskStorage};

/// Opens a node's storage, or creates it, with a first segment as long as the others. The files that its log
/// keeps for segments to come are there then: they are written once in a log's life, which is no part of
/// what is measured.
pub(crate) fn open(dir: &Path, id: u64) -> DiskStorage {
    let mut options = DiskOptions::new("bench", id);
    options.wal.first_segment_bytes = options.wal.segment_bytes;
    let spares = options.wal.spares;
    let storage = DiskStorage::open(dir, options).unwrap();
    let is_spare = |name: &str| name.starts_with("spare-") && !name.ends_with(".tmp");
    loop {
        let files = std::fs::read_dir(dir.join("wal")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        if names.filter(|name| is_spare(name)).count() >= spares {
            return storage;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
