//! Bytes that nobody wrote: whatever a directory holds, it is told, and nothing panics.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use seshat_core::disk::inspect::{Inspected, Item, Verdict};
use seshat_core::disk::salvage::{Heir, salvage};
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::wal::{self, ReadOnly};
use tempfile::TempDir;

use crate::directory::{made, options};

/// A change to one of the files.
#[derive(Debug, Clone)]
enum Harm {
    Flip { file: usize, at: usize, mask: u8 },
    Fill { file: usize, at: usize, len: usize, with: u8 },
    Cut { file: usize, len: usize },
    Remove { file: usize },
    Replace { file: usize, bytes: Vec<u8> },
    Swap { file: usize, with: usize },
}

fn harm() -> impl Strategy<Value = Harm> {
    let (file, at) = (any::<usize>(), any::<usize>());
    prop_oneof![
        4 => (file, at, 1..=255_u8).prop_map(|(file, at, mask)| Harm::Flip { file, at, mask }),
        2 => (file, at, 1..5000_usize, any::<u8>())
            .prop_map(|(file, at, len, with)| Harm::Fill { file, at, len, with }),
        1 => (file, at).prop_map(|(file, len)| Harm::Cut { file, len }),
        1 => file.prop_map(|file| Harm::Remove { file }),
        1 => (file, proptest::collection::vec(any::<u8>(), 0..9000))
            .prop_map(|(file, bytes)| Harm::Replace { file, bytes }),
        1 => (file, file).prop_map(|(file, with)| Harm::Swap { file, with }),
    ]
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = vec![dir.join("IDENTITY")];
    for folder in ["wal", "snap"] {
        files.extend(fs::read_dir(dir.join(folder)).unwrap().map(|it| it.unwrap().path()));
    }
    files.retain(|file| file.is_file());
    files.sort();
    files
}

fn apply(dir: &Path, harm: &Harm) {
    let files = files(dir);
    let Some(count) = Some(files.len()).filter(|count| *count > 0) else { return };
    match harm {
        Harm::Flip { file, at, mask } => {
            let mut bytes = fs::read(&files[file % count]).unwrap();
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] ^= mask;
            }
            fs::write(&files[file % count], bytes).unwrap();
        }
        Harm::Fill { file, at, len, with } => {
            let mut bytes = fs::read(&files[file % count]).unwrap();
            let at = at % (bytes.len() + 1);
            let end = (at + len).min(bytes.len());
            bytes[at..end].fill(*with);
            fs::write(&files[file % count], bytes).unwrap();
        }
        Harm::Cut { file, len } => {
            let mut bytes = fs::read(&files[file % count]).unwrap();
            bytes.truncate(len % (bytes.len() + 1));
            fs::write(&files[file % count], bytes).unwrap();
        }
        Harm::Remove { file } => fs::remove_file(&files[file % count]).unwrap(),
        Harm::Replace { file, bytes } => fs::write(&files[file % count], bytes).unwrap(),
        Harm::Swap { file, with } => {
            let bytes = fs::read(&files[with % count]).unwrap();
            fs::write(&files[file % count], bytes).unwrap();
        }
    }
}

/// The one that all cases begin with.
fn whole() -> TempDir {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(made())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// It agrees with what a node says, entries that are called certain are those that were written, and what
    /// is salvaged opens.
    #[test]
    fn whatever_is_done_to_a_directory(harms in proptest::collection::vec(harm(), 1..4)) {
        let dir = whole();
        harms.iter().for_each(|harm| apply(dir.path(), harm));
        let fs = ReadOnly::at(dir.path()).unwrap();
        let Ok(inspected) = Inspected::read(fs, &mut |_| {}) else { return Ok(()) };
        let findings = inspected.findings();
        for item in inspected.entries(0, 0..u64::MAX) {
            if let Item::Entry(entry, true) = item {
                prop_assert_eq!(&entry, &crate::directory::entry(entry.log_id.index));
            }
        }
        let out = tempfile::tempdir().unwrap();
        let heir = Heir { cluster: "other".into(), node_id: 1, address: Some("here".into()) };
        if salvage(&inspected, out.path(), &heir).is_ok() {
            let wal = wal::Options { cluster: "other".into(), ..options().wal };
            let opened = DiskStorage::open(out.path(), DiskOptions { wal, ..options() });
            prop_assert!(opened.is_ok(), "what was salvaged doesn't open: {:?}", opened.err());
        }
        let (verdict, first) = (findings.verdict(), findings.faults.first().map(ToString::to_string));
        match DiskStorage::open(dir.path(), options()) {
            Ok(_) => {
                let all_spare = findings.faults.iter().all(|fault| {
                    fault.advice() == seshat_core::disk::inspect::Advice::GoOn
                });
                prop_assert!(all_spare, "it opens, in spite of {first:?}");
            }
            Err(error) => prop_assert_eq!(verdict, Verdict::Damaged, "it doesn't open: {}", error),
        }
    }
}
