//! Other threads, other processes, and what can't be seen.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use seshat_powercut::{Disk, Model, Unseen, Unsupported, WatchError};

use crate::Bench;
use crate::raw;

#[test]
fn threads_that_it_starts_are_watched() {
    let Some(bench) = Bench::new() else { return };
    thread::scope(|scope| {
        for n in 0..4_u8 {
            let bench = &bench;
            scope.spawn(move || {
                // One more generation, and every signal blocked: a trap by signal would kill it.
                let inner = scope.spawn(move || {
                    raw::block_signals();
                    let file = bench.create(&format!("f{n}"));
                    for round in 0..50 {
                        file.write_all_at(&[n; 100], round * 100).unwrap();
                        file.sync_data().unwrap();
                    }
                });
                inner.join().unwrap();
            });
        }
    });
    bench.sync_dir("");
    for n in 0..4 {
        assert_eq!(bench.left(&format!("f{n}")).unwrap(), [n; 5000]);
    }
    bench.all_seen();
}

#[test]
fn a_call_that_waits_holds_up_nobody_and_nothing_deadlocks() {
    let Some(bench) = Bench::new() else { return };
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    thread::scope(|scope| {
        // Sleeps in a write until the pipe is read, which is not before the rest is done.
        let stuck = scope.spawn(move || writer.write_all(&vec![7; 1 << 20]).unwrap());
        let store = |n: u8| {
            let bench = &bench;
            move || {
                for round in 0..100 {
                    let file = bench.create(&format!("{n}-{round}"));
                    file.write_all_at(&[n; 1000], 0).unwrap();
                    file.sync_all().unwrap();
                    fs::rename(bench.path(&format!("{n}-{round}")), bench.path(&n.to_string()))
                        .unwrap();
                    // Standard output's lock is held while its write stops.
                    println!("{n} {round}");
                }
            }
        };
        let look = || {
            let moments: Vec<_> = (0..100).map(|_| (bench.now(), bench.image().at)).collect();
            assert!(moments.is_sorted() && moments.iter().all(|(now, at)| now <= at));
        };
        let busy = [scope.spawn(store(1)), scope.spawn(store(2)), scope.spawn(look)];
        busy.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!stuck.is_finished());
        let mut bytes = vec![0; 1 << 20];
        std::io::Read::read_exact(&mut reader, &mut bytes).unwrap();
    });
    assert_eq!(bench.image().killed().items().count(), 2);
    bench.all_seen();
}

#[test]
fn a_directory_can_be_watched_by_a_thread_that_came_later() {
    if let Err(why) = seshat_powercut::watch_thread() {
        eprintln!("inconclusive: {why}");
        return;
    }
    seshat_powercut::watch_thread().expect("twice is once");
    let (tell, told) = mpsc::channel::<std::path::PathBuf>();
    let worker = thread::spawn(move || told.iter().for_each(|path| fs::write(path, b"1").unwrap()));
    // Only now does anyone know which directory it is.
    let bench = thread::spawn(Bench::new).join().unwrap().unwrap();
    tell.send(bench.path("f")).unwrap();
    drop(tell);
    worker.join().unwrap();
    assert_eq!(bench.image().killed().file("f").unwrap().to_vec(), b"1");
    bench.all_seen();
}

#[test]
fn what_an_older_thread_writes_is_found_in_the_end() {
    let (tell, told) = mpsc::channel::<std::path::PathBuf>();
    let (done, wait) = mpsc::channel();
    let old = thread::Builder::new().name("older".to_owned());
    let old = old.spawn(move || {
        // It has its name by now.
        done.send(()).unwrap();
        for path in told {
            File::options().write(true).open(path).unwrap().write_all(b"unseen").unwrap();
            done.send(()).unwrap();
        }
    });
    wait.recv().unwrap();
    let Some(bench) = Bench::new() else { return };
    bench.durable("f", b"watched");
    bench.all_seen();
    assert!(bench.bystanders().contains(&"older".to_owned()), "{:?}", bench.bystanders());
    let own = thread::current().name().map(str::to_owned);
    assert!(!bench.bystanders().iter().any(|name| Some(name) == own.as_ref()));
    tell.send(bench.path("f")).unwrap();
    wait.recv().unwrap();
    bench.seen_but(&[Unseen::Changed("f".into())]);
    drop(tell);
    old.unwrap().join().unwrap();
}

#[test]
fn a_child_process_works_and_is_said() {
    let Some(bench) = Bench::new() else { return };
    bench.durable("f", b"parent");
    let script = "printf child > \"$0\"/g && sync \"$0\"/g && cat \"$0\"/g";
    let child = Command::new("sh").arg("-c").arg(script).arg(bench.dir()).output().unwrap();
    assert!(child.status.success(), "{child:?}");
    assert_eq!(child.stdout, b"child");
    let unseen = bench.unseen().unwrap();
    assert!(unseen.iter().any(|unseen| matches!(unseen, Unseen::Process(_))), "{unseen:?}");
    assert!(unseen.contains(&Unseen::Changed("g".into())), "{unseen:?}");
}

#[test]
fn a_child_process_that_stays_away_is_not_said() {
    let Some(bench) = Bench::new() else { return };
    let script = "printf x > \"$0\" && mv \"$0\" \"$0\".moved";
    let target = bench.outside("f");
    assert!(Command::new("sh").arg("-c").arg(script).arg(target).status().unwrap().success());
    bench.all_seen();
}

/// Set where [`a_child_cannot_be_watched_under_its_parent`] runs itself.
const CHILD: &str = "SESHAT_POWERCUT_CHILD_OF_TEST";

#[test]
fn where_nothing_can_be_watched_that_is_an_answer() {
    let name = "others::where_nothing_can_be_watched_that_is_an_answer";
    if let Ok(dir) = std::env::var(CHILD) {
        // Its parent's filter is on it, and there can be one.
        let refused = Disk::watch(dir).expect_err("watched in spite of a filter that is there");
        assert!(matches!(refused, WatchError::Unsupported(Unsupported::Taken)), "{refused}");
        return;
    }
    let Some(bench) = Bench::new() else { return };
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env(CHILD, bench.outside(""));
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_directory_is_watched_once() {
    let Some(bench) = Bench::new() else { return };
    fs::create_dir(bench.path("d")).unwrap();
    for dir in [bench.path(""), bench.path("d"), bench.outside("")] {
        let refused = Disk::watch(&dir);
        assert!(matches!(refused, Err(WatchError::Nested { .. })), "{}", dir.display());
    }
    let (dir, other) = (bench.path("").to_owned(), bench.outside("other"));
    fs::create_dir(&other).unwrap();
    let side_by_side = Disk::watch(&other).unwrap();
    fs::write(other.join("f"), b"1").unwrap();
    assert_eq!(bench.history().events().len(), 1);
    assert_eq!(side_by_side.history().events().len(), 2);
    assert!(fs::exists(dir).unwrap());
    assert!(matches!(Disk::watch(bench.outside("none")), Err(WatchError::Io { .. })));
}

#[test]
fn a_thread_outlives_its_disk() {
    let Some(bench) = Bench::new() else { return };
    let path = bench.outside("store");
    let Bench { disk, around } = bench;
    drop(disk);
    // The filter stays, and lets everything go.
    fs::write(path.join("f"), b"1").unwrap();
    let again = Disk::watch(&path).unwrap();
    assert!(again.image().cut(crate::strict(Model::Posix)).file("f").is_some());
    drop(around);
}
