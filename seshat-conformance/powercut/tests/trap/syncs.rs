//! Which calls make what durable.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rstest::rstest;
use seshat_powercut::Model;
use seshat_powercut::model::BLOCK;

use crate::Bench;
use crate::raw::{self, Mapping, call, fd};

#[rstest]
#[case::fsync(libc::SYS_fsync, true)]
#[case::fdatasync(libc::SYS_fdatasync, true)]
#[case::syncfs(libc::SYS_syncfs, true)]
#[case::sync(libc::SYS_sync, true)]
// Waits for pages, not for the disk's cache: its manual says that it promises nothing.
#[case::sync_file_range(libc::SYS_sync_file_range, false)]
fn a_sync_keeps_what_it_promises(#[case] number: libc::c_long, #[case] durable: bool) {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"old");
    file.write_all_at(b"new data", 0).unwrap();
    assert_eq!(bench.left("f").unwrap(), b"old", "before any sync");
    let before = bench.history().events().len();
    call(number, [fd(&file), 0, 0, 7, 0, 0]).unwrap();
    assert!(bench.history().events().len() > before, "the call was not seen");
    let expected = if durable { &b"new data"[..] } else { b"old" };
    assert_eq!(bench.left("f").unwrap(), expected);
    bench.all_seen();
}

#[test]
fn an_image_before_a_sync_lacks_what_the_one_after_it_has() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"old");
    let from = bench.now();
    file.write_all_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    let history = bench.history();
    let images: Vec<_> = history.images().filter(|image| image.at > from).collect();
    let bytes = |picture: seshat_powercut::Picture| picture.file("f").unwrap().to_vec();
    let seen: Vec<_> = images
        .iter()
        .map(|image| {
            let least = bytes(image.cut(crate::strict(Model::Posix)));
            (image.to_string().contains("before"), least, bytes(image.killed()))
        })
        .collect();
    let [before, after] = &seen[..] else { panic!("{images:?}") };
    assert_eq!(*before, (true, b"old".to_vec(), b"new".to_vec()));
    assert_eq!(*after, (false, b"new".to_vec(), b"new".to_vec()));
}

#[rstest]
#[case::o_dsync(libc::O_DSYNC)]
#[case::o_sync(libc::O_SYNC)]
fn a_write_through_a_synchronous_descriptor_is_durable(#[case] flags: i32) {
    let Some(bench) = Bench::new() else { return };
    bench.durable("f", b"old old");
    let options = File::options().write(true).custom_flags(flags).clone();
    let synchronous = options.open(bench.path("f")).unwrap();
    let usual = File::options().write(true).open(bench.path("f")).unwrap();
    synchronous.write_all_at(b"new", 0).unwrap();
    assert_eq!(bench.left("f").unwrap(), b"new old");
    usual.write_all_at(b"mid", 0).unwrap();
    assert_eq!(bench.left("f").unwrap(), b"new old");
    bench.all_seen();
}

#[rstest]
#[case::rwf_dsync(libc::RWF_DSYNC)]
#[case::rwf_sync(libc::RWF_SYNC)]
fn a_write_can_be_synchronous_by_itself(#[case] flags: i32) {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"old");
    let pieces = raw::pieces(&[b"n", b"ew"]);
    let args = |flags| [fd(&file), raw::at(&pieces[..]), 2, 0, 0, flags];
    call(libc::SYS_pwritev2, args(flags as u64)).unwrap();
    assert_eq!(bench.left("f").unwrap(), b"new");
    bench.all_seen();
}

#[test]
fn msync_makes_durable_the_pages_it_is_told_and_no_others() {
    let Some(bench) = Bench::new() else { return };
    let page = BLOCK as usize;
    let file = bench.durable("f", &vec![1; 3 * page]);
    let mapping = Mapping::new(&file, 3 * page);
    for n in 0..3 {
        mapping.write(n * page, &[2; 100]);
    }
    let firsts = |bench: &Bench| [0, 1, 2].map(|n| bench.left("f").unwrap()[n * page]);
    assert_eq!(firsts(&bench), [1, 1, 1], "a mapping is not durable by itself");
    mapping.sync(0, 3 * page, libc::MS_ASYNC).unwrap();
    assert_eq!(firsts(&bench), [1, 1, 1], "MS_ASYNC promises nothing");
    mapping.sync(page, page, libc::MS_SYNC).unwrap();
    assert_eq!(firsts(&bench), [1, 2, 1]);
    mapping.write(page, &[3; 100]);
    file.sync_data().unwrap();
    assert_eq!(firsts(&bench), [2, 3, 2], "fsync takes mapped pages along");
    bench.all_seen();
}

#[test]
fn a_sync_of_a_file_takes_its_name_along_on_ext4_alone() {
    let Some(bench) = Bench::new() else { return };
    bench.create("f").sync_all().unwrap();
    assert_eq!(bench.least(Model::Posix).file("f"), None);
    assert!(bench.least(Model::Ext4).file("f").is_some());
    bench.sync_dir("");
    assert!(bench.least(Model::Posix).file("f").is_some());
    bench.all_seen();
}

#[test]
fn syncs_of_what_is_elsewhere_are_none_of_ours() {
    let Some(bench) = Bench::new() else { return };
    let outside = File::create(bench.outside("f")).unwrap();
    outside.sync_all().unwrap();
    assert!(call(libc::SYS_fsync, [u64::MAX; 6]).is_err(), "no descriptor, no sync");
    let path = File::options().read(true).custom_flags(libc::O_PATH).open(bench.path("")).unwrap();
    assert!(path.sync_all().is_err(), "a path can't be synced");
    assert_eq!(bench.history().events().len(), 0);
    bench.all_seen();
}
