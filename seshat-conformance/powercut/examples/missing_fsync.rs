//! Finds a missing fsync: a log that acknowledges what no disk has.
//!
//! `cargo run -p seshat-powercut --example missing_fsync`

#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::Write;

use seshat_powercut::{Cut, Disk, Model, Survives, WatchError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let disk = match Disk::watch(dir.path()) {
        Err(WatchError::Unsupported(why)) => {
            println!("inconclusive: {why}");
            return Ok(());
        }
        disk => disk?,
    };
    // The store: it forgets to sync its third entry.
    let mut log = File::create(dir.path().join("log"))?;
    let mut acknowledged = Vec::new();
    for entry in 1..=5 {
        log.write_all(&[entry])?;
        if entry != 3 {
            log.sync_data()?;
        }
        acknowledged.push((disk.now(), entry));
    }
    // The check: the power fails right after each acknowledgement.
    for (at, entry) in acknowledged {
        let image = disk.history().image(at);
        let left = image.cut(Cut { model: Model::Ext4, survives: Survives::Nothing });
        if left.file("log").is_none_or(|log| log.size() < u64::from(entry)) {
            println!("Entry {entry} was acknowledged, and a power cut {at} takes it:");
            image.unsynced(Model::Ext4).iter().for_each(|missing| println!("  {missing}"));
        }
    }
    Ok(())
}
