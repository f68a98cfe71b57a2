//! Each way to change what a file holds.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rstest::rstest;
use seshat_powercut::Unseen;
use seshat_powercut::model::BLOCK;

use crate::Bench;
use crate::raw::{self, at, call, fd};

/// Where a write through each call and descriptor goes is checked against the file itself.
#[rstest]
fn each_write_lands_where_the_kernel_put_it(
    #[values("write", "pwrite64", "writev", "pwritev", "pwritev2", "pwritev2 here")] which: &str,
    #[values(0, libc::O_APPEND)] flags: i32,
) {
    let Some(bench) = Bench::with(|dir| fs::write(dir.join("f"), b"0123456789").unwrap()) else {
        return;
    };
    let mut options = File::options();
    let mut file =
        options.read(true).write(true).custom_flags(flags).open(bench.path("f")).unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    let (one, pieces) = (b"abc", raw::pieces(&[b"ab", b"", b"c"]));
    let (fd, one, many) = (fd(&file), at(&one[..]), at(&pieces[..]));
    let written = match which {
        "write" => call(libc::SYS_write, [fd, one, 3, 0, 0, 0]),
        "pwrite64" => call(libc::SYS_pwrite64, [fd, one, 3, 5, 0, 0]),
        "writev" => call(libc::SYS_writev, [fd, many, 3, 0, 0, 0]),
        "pwritev" => call(libc::SYS_pwritev, [fd, many, 3, 5, 0, 0]),
        "pwritev2" => call(libc::SYS_pwritev2, [fd, many, 3, 5, 0, 0]),
        _ => call(libc::SYS_pwritev2, [fd, many, 3, u64::MAX, u64::MAX, 0]),
    };
    assert_eq!(written.unwrap(), 3);
    assert_eq!(bench.left("f").unwrap(), b"0123456789");
    assert_eq!(bench.costs().captured, 3);
    bench.all_seen();
}

#[test]
fn sizes_change_by_each_call_that_sets_them() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", &[5; 9000]);
    file.set_len(100).unwrap();
    bench.all_seen();
    let name = raw::path(&bench.path("f"));
    call(libc::SYS_truncate, [at(name.as_bytes_with_nul()), 8192, 0, 0, 0, 0]).unwrap();
    bench.all_seen();
    fs::write(bench.path("f"), b"emptied by opening").unwrap();
    bench.all_seen();
    assert_eq!(bench.left("f").unwrap(), [5; 9000]);
    file.sync_all().unwrap();
    assert_eq!(bench.left("f").unwrap(), b"emptied by opening");
}

#[rstest]
#[case::reserve(0, 0, 20_000)]
#[case::reserve_beyond(libc::FALLOC_FL_KEEP_SIZE, 0, 20_000)]
#[case::punch(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, 100, 6000)]
#[case::zero(libc::FALLOC_FL_ZERO_RANGE, 100, 20_000)]
#[case::collapse(libc::FALLOC_FL_COLLAPSE_RANGE, BLOCK, BLOCK)]
#[case::insert(libc::FALLOC_FL_INSERT_RANGE, BLOCK, BLOCK)]
fn fallocate_does_what_its_mode_says(#[case] mode: i32, #[case] start: u64, #[case] len: u64) {
    let Some(bench) = Bench::new() else { return };
    let bytes: Vec<u8> = (0..4 * BLOCK).map(|n| (n / 97) as u8 | 1).collect();
    let file = bench.durable("f", &bytes);
    match call(libc::SYS_fallocate, [fd(&file), mode as u64, start, len, 0, 0]) {
        // Not every file system can do all of them.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
        done => drop(done.unwrap()),
    }
    bench.all_seen();
    assert_eq!(bench.left("f").unwrap(), bytes, "nothing is durable without a sync");
    file.sync_all().unwrap();
    let live = fs::read(bench.path("f")).unwrap();
    assert_eq!(bench.left("f").unwrap(), live);
}

#[rstest]
fn what_is_copied_over_is_found(
    #[values("copy_file_range", "sendfile", "fs::copy", "clone")] how: &str,
) {
    let Some(bench) = Bench::new() else { return };
    let bytes: Vec<u8> = (0..3 * BLOCK + 77).map(|n| (n / 31) as u8).collect();
    fs::write(bench.outside("source"), &bytes).unwrap();
    let source = File::open(bench.outside("source")).unwrap();
    let target = bench.durable("f", b"head");
    (&target).seek(SeekFrom::End(0)).unwrap();
    let (from, to, len) = (fd(&source), fd(&target), bytes.len() as u64);
    let mut expected = [b"head", &bytes[..]].concat();
    match how {
        "copy_file_range" => {
            let place = 2_u64;
            expected = [b"he", &bytes[..]].concat();
            call(libc::SYS_copy_file_range, [from, 0, to, at(&place), len, 0]).map(drop).unwrap();
        }
        "sendfile" => drop(call(libc::SYS_sendfile, [to, from, 0, len, 0, 0]).unwrap()),
        "fs::copy" => {
            expected.clone_from(&bytes);
            assert_eq!(fs::copy(bench.outside("source"), bench.path("f")).unwrap(), len);
        }
        _ => {
            let cloned = call(libc::SYS_ioctl, [to, libc::FICLONE, from, 0, 0, 0]);
            expected = if cloned.is_ok() { bytes } else { b"head".to_vec() };
        }
    }
    bench.all_seen();
    target.sync_all().unwrap();
    assert_eq!(bench.left("f").unwrap(), expected);
}

#[test]
fn what_is_spliced_in_is_found_and_said() {
    let Some(bench) = Bench::new() else { return };
    let target = bench.durable("f", b"");
    let (mut reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"through a pipe").unwrap();
    drop(writer);
    let from = reader.as_raw_fd() as u64;
    call(libc::SYS_splice, [from, 0, fd(&target), 0, 100, 0]).unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    target.sync_all().unwrap();
    assert_eq!(bench.left("f").unwrap(), b"through a pipe");
    bench.seen_but(&[Unseen::Spliced("f".into())]);
}

#[test]
fn a_page_of_zeros_costs_nothing_and_is_there() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"x");
    file.write_all_at(&vec![0; 1 << 20], 1 << 20).unwrap();
    file.sync_all().unwrap();
    assert_eq!(bench.left("f").unwrap().len(), 2 << 20);
    assert_eq!(bench.costs().captured, 1);
    bench.all_seen();
}

#[test]
fn direct_io_is_seen_like_any_other() {
    let Some(bench) = Bench::new() else { return };
    bench.durable("f", &[1; BLOCK as usize]);
    let mut options = File::options();
    let Ok(file) = options.write(true).custom_flags(libc::O_DIRECT).open(bench.path("f")) else {
        return;
    };
    #[repr(align(4096))]
    struct Page([u8; BLOCK as usize]);
    let page = Page([2; BLOCK as usize]);
    file.write_all_at(&page.0, 0).unwrap();
    // Past the page cache, but not past the disk's own.
    assert_eq!(bench.left("f").unwrap(), [1; BLOCK as usize]);
    file.sync_data().unwrap();
    assert_eq!(bench.left("f").unwrap(), [2; BLOCK as usize]);
    bench.all_seen();
}

#[test]
fn rings_are_refused_and_said() {
    let Some(bench) = Bench::new() else { return };
    let params = [0_u8; 256];
    let ring = call(libc::SYS_io_uring_setup, [8, at(&params), 0, 0, 0, 0]);
    assert_eq!(ring.unwrap_err().raw_os_error(), Some(libc::ENOSYS));
    bench.seen_but(&[Unseen::Ring("io_uring_setup")]);
}
