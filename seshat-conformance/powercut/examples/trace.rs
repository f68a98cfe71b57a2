//! What was synced and what was not, call by call, of a file that is replaced by renaming.
//!
//! `cargo run -p seshat-powercut --example trace`

#![allow(clippy::print_stdout)]

use std::fs::{self, File};
use std::io::Write;

use seshat_powercut::{Cut, Disk, Fault, Harm, Model, Survives, WatchError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let disk = match Disk::watch(dir.path()) {
        Err(WatchError::Unsupported(why)) => {
            println!("inconclusive: {why}");
            return Ok(());
        }
        disk => disk?,
    };
    let (current, new) = (dir.path().join("current"), dir.path().join("new"));
    for (version, careful) in [("one", true), ("two", false)] {
        let mut file = File::create(&new)?;
        file.write_all(version.as_bytes())?;
        if careful {
            file.sync_all()?;
        }
        fs::rename(&new, &current)?;
        if careful {
            File::open(dir.path())?.sync_all()?;
        }
    }
    disk.fail(Fault::new(Harm::Full));
    let full = fs::write(&new, "three");
    disk.heal();

    println!("The calls (the last one failed: {full:?}):");
    let history = disk.history();
    print!("{}", history.trace(history.now(), Model::Posix));
    for model in [Model::Posix, Model::Ext4] {
        println!("\nNot on the disk, by {model}:");
        disk.image().unsynced(model).iter().for_each(|missing| println!("  {missing}"));
    }
    println!("\nWhat `current` may hold after a power cut now:");
    let cuts = (0..64).map(|seed| Cut { model: Model::Ext4, survives: Survives::Some(seed) });
    let mut outcomes: Vec<_> = cuts
        .map(|cut| disk.image().cut(cut))
        .map(|left| left.file("current").map(|file| file.to_vec()))
        .map(|bytes| format!("{:?}", bytes.as_deref().map(String::from_utf8_lossy)))
        .collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes.iter().for_each(|outcome| println!("  {outcome}"));
    Ok(())
}
