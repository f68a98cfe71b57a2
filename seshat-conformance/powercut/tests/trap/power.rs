//! The power goes off, under a store and after it was killed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use seshat_powercut::{Cut, Disk, Model, Picture, Survives, WatchError};

use crate::{Bench, strict};

#[test]
fn open_handles_lead_to_what_is_gone() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"synced");
    file.write_all_at(b"lost..", 0).unwrap();
    bench.create("unsynced");
    bench.power_off().unwrap();
    assert!(!bench.dir().exists());
    file.write_all_at(b"late..", 0).unwrap();
    file.sync_all().unwrap();
    // A store that writes when it is dropped.
    fs::create_dir_all(bench.dir()).unwrap();
    fs::write(bench.path("late"), b"1").unwrap();
    drop(file);
    bench.power_on(strict(Model::Posix)).unwrap();
    let left = Picture::read(bench.dir()).unwrap();
    assert_eq!(left.items().map(|(path, _)| path).collect::<Vec<_>>(), ["f"].map(Path::new));
    assert_eq!(left.file("f").unwrap().to_vec(), b"synced");
    // And on from there.
    let file = File::options().write(true).open(bench.path("f")).unwrap();
    file.write_all_at(b"second", 0).unwrap();
    bench.cut_power(Cut { model: Model::Posix, survives: Survives::Everything }).unwrap();
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"second");
    let around = fs::read_dir(bench.outside("")).unwrap();
    assert_eq!(around.count(), 1, "nothing is left behind");
    bench.all_seen();
}

#[test]
fn a_process_that_is_killed_leaves_what_a_later_power_cut_takes() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("log", b"1");
    file.write_all_at(b"12", 0).unwrap();
    fs::rename(bench.path("log"), bench.path("renamed")).unwrap();
    let image = bench.image();
    // Killed here. The next process finds both.
    let next = Disk::revive(&bench.history(), &image, bench.outside("next")).unwrap();
    assert_eq!(next.now(), image.at, "the history goes on");
    assert_eq!(fs::read(next.dir().join("renamed")).unwrap(), b"12");
    let left = |disk: &Disk| {
        let picture = disk.image().cut(strict(Model::Ext4));
        let files = picture.items().map(|(path, _)| path.display().to_string());
        files.map(|path| (path.clone(), picture.file(path).unwrap().to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(left(&next), [("log".to_owned(), b"1".to_vec())]);
    // It syncs what it found before it tells anyone.
    File::open(next.dir().join("renamed")).unwrap().sync_all().unwrap();
    File::open(next.dir()).unwrap().sync_all().unwrap();
    assert_eq!(left(&next), [("renamed".to_owned(), b"12".to_vec())]);
    assert!(next.unseen().unwrap().is_empty());
    // The first one is as it was.
    assert_eq!(left(&bench), [("log".to_owned(), b"1".to_vec())]);
}

#[test]
fn the_power_can_fail_again_during_the_recovery() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("log", b"12");
    file.write_all_at(b"3", 2).unwrap();
    let picture = bench.image().cut(Cut { model: Model::Ext4, survives: Survives::Everything });
    let again = Disk::restore(&picture, bench.outside("again")).unwrap();
    // The recovery cuts off what it doesn't trust, and forgets to sync that.
    let log = File::options().write(true).open(again.dir().join("log")).unwrap();
    log.set_len(2).unwrap();
    let left = again.image().cut(strict(Model::Ext4));
    assert_eq!(left.file("log").unwrap().to_vec(), b"123");
    log.sync_all().unwrap();
    let left = again.image().cut(strict(Model::Ext4));
    assert_eq!(left.file("log").unwrap().to_vec(), b"12");
    assert!(again.unseen().unwrap().is_empty());
    assert!(
        matches!(Disk::restore(&picture, again.dir()), Err(WatchError::Io { .. })),
        "not empty"
    );
}

#[test]
fn a_directory_that_is_left_in_two_places_is_two() {
    let Some(bench) = Bench::new() else { return };
    fs::create_dir_all(bench.path("a/moved")).unwrap();
    fs::create_dir(bench.path("b")).unwrap();
    fs::write(bench.path("a/moved/f"), b"1").unwrap();
    ["", "a", "a/moved"].iter().for_each(|dir| bench.sync_dir(dir));
    fs::rename(bench.path("a/moved"), bench.path("b/moved")).unwrap();
    bench.sync_dir("b");
    let left = bench.image().cut(strict(Model::Posix));
    let twins = Disk::restore(&left, bench.outside("twins")).unwrap();
    fs::write(twins.dir().join("a/moved/g"), b"2").unwrap();
    assert!(!twins.dir().join("b/moved/g").exists());
    assert!(twins.unseen().unwrap().is_empty());
    bench.all_seen();
}

#[test]
fn what_a_record_is_can_be_flipped() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("log", b"first.");
    let from = bench.now();
    file.write_all_at(b"second", 6).unwrap();
    let to = bench.now();
    file.write_all_at(b"third", 12).unwrap();
    let history = bench.history();
    let record = history.record(from..to, history.now());
    assert_eq!(record.len(), 6);
    let copy = bench.outside("copy");
    history.image(history.now()).killed().write_to(&copy).unwrap();
    let whole = fs::read(copy.join("log")).unwrap();
    for flip in record.flips(6) {
        flip.apply(&copy).unwrap();
        let damaged = fs::read(copy.join("log")).unwrap();
        let differ: Vec<_> = (0..whole.len()).filter(|at| whole[*at] != damaged[*at]).collect();
        assert_eq!(differ, [flip.offset as usize]);
        assert!((6..12).contains(&differ[0]), "{flip}");
        flip.apply(&copy).unwrap();
    }
    assert_eq!(fs::read(copy.join("log")).unwrap(), whole);
}
