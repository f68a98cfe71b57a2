//! What a watched call costs, against the same call unwatched.
//!
//! `cargo run --release -p seshat-powercut --example cost`

#![allow(clippy::print_stdout)]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use seshat_powercut::{Cut, Disk, Model, Survives, WatchError};

const ROUNDS: u64 = 2_000;

type Call = fn(&File, &Path, u64) -> io::Result<()>;

const CALLS: [(&str, Call); 5] = [
    ("read, which is never stopped", |file, _, _| file.read_at(&mut [0; 100], 0).map(drop)),
    ("open of a file to read it", |_, dir, _| File::open(dir.join("file")).map(drop)),
    ("write of 100 bytes", |file, _, n| file.write_all_at(&[n as u8; 100], n * 100)),
    ("write of 100 bytes, and fsync", |file, _, n| {
        file.write_all_at(&[n as u8; 100], n * 100)?;
        file.sync_all()
    }),
    ("create and remove of a file", |_, dir, n| {
        let path = dir.join(n.to_string());
        File::create(&path)?;
        fs::remove_file(path)
    }),
];

/// Microseconds for each call.
fn measure(dir: &Path) -> io::Result<Vec<f64>> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(dir.join("file"))?;
    let mut costs = Vec::new();
    for (_, call) in CALLS {
        let start = Instant::now();
        for n in 0..ROUNDS {
            call(&file, dir, n)?;
        }
        costs.push(start.elapsed().as_secs_f64() * 1e6 / ROUNDS as f64);
    }
    Ok(costs)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let around = tempfile::tempdir()?;
    let dir = around.path().join("dir");
    fs::create_dir(&dir)?;
    let bare = measure(&dir)?;
    let disk = match Disk::watch(&dir) {
        Err(WatchError::Unsupported(why)) => {
            println!("inconclusive: {why}");
            return Ok(());
        }
        disk => disk?,
    };
    let watched = measure(&dir)?;
    println!("{:32} {:>10} {:>10}", "microseconds for each", "bare", "watched");
    for (((name, _), bare), watched) in CALLS.iter().zip(bare).zip(watched) {
        println!("{name:32} {bare:>10.1} {watched:>10.1}");
    }
    let start = Instant::now();
    let history = disk.history();
    let images = history.images().count();
    println!("{images} images of {} calls: {:.1?}", history.events().len(), start.elapsed());
    let start = Instant::now();
    let image = disk.image();
    let pick = |seed| image.cut(Cut { model: Model::Posix, survives: Survives::Some(seed) });
    let sizes: usize = (0..100).map(|seed| pick(seed).items().count()).sum();
    println!("100 cuts of one of them: {:.1?} ({sizes} items)", start.elapsed());
    println!("{:?}", disk.costs());
    Ok(())
}
