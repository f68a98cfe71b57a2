//! Names: made, moved and removed, and when that is on the disk.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::PathBuf;

use rstest::rstest;
use seshat_powercut::{Fault, Harm, Model, Picture, Unseen};

use crate::raw::{self, at, call, fd};
use crate::{Bench, strict};

fn paths(picture: &Picture) -> Vec<String> {
    picture.items().map(|(path, _)| path.display().to_string()).collect()
}

const BOTH: [Model; 2] = [Model::Posix, Model::Ext4];

#[test]
fn a_rename_needs_a_sync_of_its_directory_in_both_models() {
    let Some(bench) = Bench::new() else { return };
    bench.durable("a", b"1");
    fs::rename(bench.path("a"), bench.path("b")).unwrap();
    for model in BOTH {
        assert_eq!(paths(&bench.least(model)), ["a"], "{model}");
    }
    bench.sync_dir("");
    for model in BOTH {
        assert_eq!(paths(&bench.least(model)), ["b"], "{model}");
    }
    bench.all_seen();
}

#[test]
fn a_file_renamed_before_its_sync_is_there_and_empty() {
    let Some(bench) = Bench::new() else { return };
    bench.durable("current", b"old");
    bench.create("new").write_all(b"new").unwrap();
    fs::rename(bench.path("new"), bench.path("current")).unwrap();
    bench.sync_dir("");
    for model in BOTH {
        assert_eq!(bench.least(model).file("current").unwrap().to_vec(), b"", "{model}");
    }
    bench.all_seen();
}

#[test]
fn a_rename_between_directories_can_be_lost_in_the_middle_without_a_journal() {
    let Some(bench) = Bench::new() else { return };
    fs::create_dir(bench.path("d")).unwrap();
    bench.sync_dir("");
    bench.durable("a", b"1");
    fs::rename(bench.path("a"), bench.path("d/a")).unwrap();
    bench.sync_dir("");
    assert_eq!(paths(&bench.least(Model::Posix)), ["d"], "gone there, not yet here");
    assert_eq!(paths(&bench.least(Model::Ext4)), ["d", "d/a"]);
    bench.all_seen();
}

#[test]
fn a_hard_link_is_a_second_name_of_the_same_bytes() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("a", b"1");
    fs::hard_link(bench.path("a"), bench.path("b")).unwrap();
    fs::remove_file(bench.path("a")).unwrap();
    file.write_all_at(b"2", 0).unwrap();
    assert_eq!(paths(&bench.least(Model::Posix)), ["a"]);
    file.sync_all().unwrap();
    bench.sync_dir("");
    assert_eq!(bench.left("b").unwrap(), b"2");
    assert_eq!(bench.left("a"), None);
    bench.all_seen();
}

#[test]
fn what_is_unlinked_while_it_is_open_is_gone_and_its_number_is_not_mistaken() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("a", b"1");
    fs::remove_file(bench.path("a")).unwrap();
    file.write_all_at(b"2", 0).unwrap();
    drop(file);
    // On many file systems the next file gets the number of the last one that went.
    let calls = bench.history().events().len();
    for name in ["x", "y", "z"] {
        File::create(bench.outside(name)).unwrap().write_all(b"outside").unwrap();
    }
    assert_eq!(bench.history().events().len(), calls, "a file outside was taken for ours");
    bench.create("b").write_all(b"3").unwrap();
    bench.all_seen();
}

#[rstest]
fn each_call_on_names_is_seen(
    #[values(
        "mkdir",
        "rmdir",
        "symlink",
        "create_new",
        "tmpfile",
        "exchange",
        "onto",
        "same",
        "openat2",
        "at"
    )]
    what: &str,
) {
    let Some(bench) = Bench::new() else { return };
    let (a, b) = (bench.path("a"), bench.path("b"));
    fs::create_dir(bench.path("d")).unwrap();
    fs::write(&a, b"a").unwrap();
    match what {
        "mkdir" => fs::create_dir_all(bench.path("d/e/f")).unwrap(),
        "rmdir" => fs::remove_dir_all(bench.path("d")).unwrap(),
        "symlink" => {
            symlink("a", &b).unwrap();
            fs::write(&b, b"through a link").unwrap();
        }
        "create_new" => assert!(File::create_new(&a).is_err()),
        "tmpfile" => {
            let mut options = File::options();
            let file =
                options.write(true).custom_flags(libc::O_TMPFILE).open(bench.path("d")).unwrap();
            file.write_all_at(b"named late", 0).unwrap();
            let magic = raw::path(&PathBuf::from(format!("/proc/self/fd/{}", fd(&file))));
            let (cwd, name) = (libc::AT_FDCWD as u64, raw::path(&b));
            let (from, to) = (at(magic.as_bytes_with_nul()), at(name.as_bytes_with_nul()));
            let follow = libc::AT_SYMLINK_FOLLOW as u64;
            call(libc::SYS_linkat, [cwd, from, cwd, to, follow, 0]).unwrap();
            assert_eq!(fs::read(&b).unwrap(), b"named late");
        }
        "exchange" => {
            fs::write(bench.path("d/x"), b"x").unwrap();
            let (cwd, from, to) =
                (libc::AT_FDCWD as u64, raw::path(&a), raw::path(&bench.path("d")));
            let (from, to) = (at(from.as_bytes_with_nul()), at(to.as_bytes_with_nul()));
            let exchange = u64::from(libc::RENAME_EXCHANGE);
            call(libc::SYS_renameat2, [cwd, from, cwd, to, exchange, 0]).unwrap();
            assert_eq!(fs::read(bench.path("a/x")).unwrap(), b"x");
        }
        "onto" => {
            fs::write(&b, b"b").unwrap();
            fs::rename(&a, &b).unwrap();
        }
        "same" => {
            fs::hard_link(&a, &b).unwrap();
            fs::rename(&a, &b).unwrap();
            assert!(a.exists(), "two names of one file: both stay");
        }
        "openat2" => {
            let how = [(libc::O_CREAT | libc::O_RDWR) as u64, 0o644, 0];
            let (cwd, name) = (libc::AT_FDCWD as u64, raw::path(&b));
            let (name, how) = (at(name.as_bytes_with_nul()), at(&how));
            call(libc::SYS_openat2, [cwd, name, how, 24, 0, 0]).unwrap();
        }
        _ => {
            // Relative to a descriptor.
            let dir = File::open(bench.path("d")).unwrap();
            let name = raw::path(&PathBuf::from("made"));
            call(libc::SYS_mkdirat, [fd(&dir), at(name.as_bytes_with_nul()), 0o755, 0, 0, 0])
                .unwrap();
            assert!(bench.path("d/made").is_dir());
        }
    }
    bench.all_seen();
    bench.sync_dir("");
    let events = bench.history().events().len();
    assert!(events > 3, "only {events} calls were seen");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_old_are_seen_too() {
    let Some(bench) = Bench::new() else { return };
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| raw::path(&bench.path(name)));
    let [a, b, c, d, e] = [&a, &b, &c, &d, &e].map(|name| at(name.as_bytes_with_nul()));
    let old = |number, one, two, three| call(number, [one, two, three, 0, 0, 0]).unwrap();
    old(libc::SYS_creat, a, 0o644, 0);
    let fd = old(libc::SYS_open, b, (libc::O_CREAT | libc::O_WRONLY) as u64, 0o644);
    old(libc::SYS_write, fd as u64, at("old"), 3);
    old(libc::SYS_link, b, c, 0);
    old(libc::SYS_mkdir, d, 0o755, 0);
    old(libc::SYS_symlink, a, e, 0);
    bench.all_seen();
    old(libc::SYS_rename, a, b, 0);
    old(libc::SYS_rmdir, d, 0, 0);
    old(libc::SYS_unlink, e, 0, 0);
    old(libc::SYS_mknod, d, u64::from(libc::S_IFREG | 0o644), 0);
    bench.all_seen();
}

#[test]
fn files_from_outside_come_in_and_are_said() {
    let Some(bench) = Bench::new() else { return };
    fs::create_dir(bench.outside("tree")).unwrap();
    fs::write(bench.outside("tree/f"), b"1").unwrap();
    fs::rename(bench.outside("tree"), bench.path("tree")).unwrap();
    fs::write(bench.path("tree/g"), b"2").unwrap();
    let unseen = ["tree", "tree/f"].map(|path| Unseen::FromOutside(path.into()));
    bench.seen_but(&unseen);
    fs::rename(bench.path("tree"), bench.outside("tree")).unwrap();
    bench.seen_but(&unseen);
    assert_eq!(fs::read(bench.outside("tree/g")).unwrap(), b"2");
}

#[test]
fn a_relative_path_starts_where_the_process_is() {
    // The only test that changes it; every other one names its files from the root.
    let Some(bench) = Bench::new() else { return };
    std::env::set_current_dir(bench.dir()).unwrap();
    fs::write("here", b"1").unwrap();
    fs::rename("here", "there").unwrap();
    assert_eq!(paths(&bench.image().killed()), ["there"]);
    bench.all_seen();
    std::env::set_current_dir("/").unwrap();
}

#[test]
fn a_name_that_is_spared_is_on_the_disk_at_once_and_takes_no_other_along() {
    let Some(bench) = Bench::new() else { return };
    bench.spare("kit-");
    bench.create("own");
    bench.create("kit-1");
    fs::rename(bench.path("kit-1"), bench.path("kit-2")).unwrap();
    for model in BOTH {
        assert_eq!(paths(&bench.least(model)), ["kit-2"], "{model}");
    }
    bench.fail(Fault::new(Harm::Broken));
    fs::rename(bench.path("kit-2"), bench.path("kit-3")).unwrap();
    assert_eq!(bench.refused(), 0);
    fs::rename(bench.path("own"), bench.path("other")).unwrap_err();
    bench.heal();
    // On the next disk as well.
    bench.cut_power(strict(Model::Posix)).unwrap();
    fs::rename(bench.path("kit-3"), bench.path("kit-4")).unwrap();
    assert_eq!(paths(&bench.least(Model::Posix)), ["kit-4"]);
    let trace = bench.history().trace(bench.now(), Model::Posix).to_string();
    assert!(!trace.contains("kit-"), "{trace}");
    bench.all_seen();
}
