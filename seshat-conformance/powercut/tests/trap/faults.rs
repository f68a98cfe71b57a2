//! Disks that fail, and heal.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;

use rstest::rstest;
use seshat_powercut::{Cut, Fault, Harm, Model, Survives, Unseen};

use crate::Bench;
use crate::raw::{Mapping, at, call, fd, path};

fn code(error: io::Result<impl Sized>) -> Option<i32> {
    error.err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_full_disk_refuses_writes_and_new_names_and_keeps_the_rest() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"old");
    bench.fail(Fault::new(Harm::Full));
    assert_eq!(code(file.write_all_at(b"new", 0)), Some(libc::ENOSPC));
    assert_eq!(code(File::create(bench.path("g"))), Some(libc::ENOSPC));
    assert_eq!(code(fs::create_dir(bench.path("d"))), Some(libc::ENOSPC));
    let reserved = call(libc::SYS_fallocate, [fd(&file), 0, 0, 1 << 20, 0, 0]);
    assert_eq!(code(reserved), Some(libc::ENOSPC));
    assert_eq!(bench.refused(), 4);
    file.sync_all().unwrap();
    fs::rename(bench.path("f"), bench.path("h")).unwrap();
    fs::write(bench.outside("elsewhere"), b"room").unwrap();
    bench.heal();
    file.write_all_at(b"new", 0).unwrap();
    assert_eq!(fs::read(bench.path("h")).unwrap(), b"new");
    bench.all_seen();
}

#[test]
fn a_disk_can_be_full_in_the_middle_of_a_record() {
    let Some(bench) = Bench::new() else { return };
    let mut file = bench.durable("f", b"");
    bench.fail(Fault { from: 2, ..Fault::new(Harm::Short) });
    file.write_all(b"whole ").unwrap();
    // `write_all` goes on with the other half.
    assert_eq!(code(file.write_all(b"half of it")), Some(libc::ENOSPC));
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"whole half ");
    let pieces = crate::raw::pieces(&[b"", b"abc", b"def"]);
    bench.fail(Fault::new(Harm::Short));
    let written = call(libc::SYS_pwritev, [fd(&file), at(&pieces[..]), 3, 11, 0, 0]);
    assert_eq!(written.unwrap(), 3);
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"whole half abc");
    // In place no page is taken in part.
    bench.fail(Fault::new(Harm::Short));
    assert_eq!(code(file.write_all_at(b"WHOLE", 0)), Some(libc::ENOSPC));
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"whole half abc");
    bench.all_seen();
}

#[test]
fn a_broken_disk_refuses_everything() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"old");
    bench.fail(Fault::new(Harm::Broken));
    let name = path(&bench.path("f"));
    let refused = [
        code(file.write_all_at(b"new", 0)),
        code(file.set_len(1)),
        code(call(libc::SYS_truncate, [at(name.as_bytes_with_nul()), 1, 0, 0, 0, 0])),
        code(fs::rename(bench.path("f"), bench.path("g"))),
        code(fs::remove_file(bench.path("f"))),
        code(fs::hard_link(bench.path("f"), bench.path("g"))),
        code(file.sync_all()),
        code(File::open(bench.path("")).unwrap().sync_all()),
    ];
    assert_eq!(refused, [Some(libc::EIO); 8]);
    bench.heal();
    assert_eq!(bench.left("f").unwrap(), b"old");
    bench.all_seen();
    let history = bench.history();
    let trace = history.trace(history.now(), Model::Posix).to_string();
    assert!(trace.contains("f 0..3: refused, Input/output error"), "{trace}");
}

#[test]
fn a_sync_that_failed_is_not_made_good_by_another() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", b"old");
    bench.fail(Fault { times: 1, ..Fault::new(Harm::LostSync) });
    file.write_all_at(b"new", 0).unwrap();
    assert_eq!(code(file.sync_data()), Some(libc::EIO));
    file.sync_data().expect("the pages count as clean");
    let read = fs::read(bench.path("f")).unwrap();
    assert_eq!(read, b"new", "readers go on seeing it");
    for survives in [Survives::Nothing, Survives::Everything, Survives::Some(3)] {
        let left = bench.image().cut(Cut { model: Model::Ext4, survives });
        assert_eq!(left.file("f").unwrap().to_vec(), b"old", "{survives:?}");
    }
    let missing = bench.image().unsynced(Model::Posix);
    assert!(missing[0].to_string().contains("have to be written again"), "{missing:?}");
    // Written again, the page is dirty again.
    file.write_all_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(bench.left("f").unwrap(), b"new");
    bench.all_seen();
}

#[test]
fn msync_fails_as_well() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.durable("f", &[1; 4096]);
    let mapping = Mapping::new(&file, 4096);
    mapping.write(0, b"new");
    bench.fail(Fault { times: 1, ..Fault::new(Harm::LostSync) });
    assert_eq!(code(mapping.sync(0, 4096, libc::MS_SYNC)), Some(libc::EIO));
    mapping.sync(0, 4096, libc::MS_SYNC).unwrap();
    assert_eq!(bench.left("f").unwrap(), [1; 4096]);
    bench.all_seen();
    bench.fail(Fault::new(Harm::Full));
    bench.seen_but(&[Unseen::Mapped("f".into())]);
}

#[rstest]
fn a_sweep_meets_every_call_once(#[values(Harm::Full, Harm::Broken, Harm::LostSync)] harm: Harm) {
    let Some(bench) = Bench::new() else { return };
    let store = |name: &str| -> io::Result<()> {
        let mut file = File::create_new(bench.path(name))?;
        file.write_all(b"1")?;
        file.sync_all()?;
        file.write_all(b"2")?;
        file.sync_all()
    };
    let mut failed = 0;
    for from in 1.. {
        bench.fail(Fault { harm, from, times: 1 });
        let ended = store(&format!("f{from}"));
        assert_eq!(ended.is_err(), bench.refused() == 1, "call {from}");
        if bench.refused() == 0 {
            assert_eq!(bench.met(), failed, "those that could have");
            break;
        }
        failed += 1;
    }
    let expected = match harm {
        Harm::Full => 3,
        Harm::LostSync => 2,
        _ => 5,
    };
    assert_eq!(failed, expected);
    bench.all_seen();
}

#[test]
fn an_error_of_the_file_system_itself_is_passed_on() {
    let Some(bench) = Bench::new() else { return };
    bench.durable("f", b"1");
    let reader = File::open(bench.path("f")).unwrap();
    assert_eq!(code((&reader).write_all(b"2")), Some(libc::EBADF));
    assert_eq!(fs::create_dir(bench.path("f")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::remove_file(bench.path("none")).unwrap_err().kind(), ErrorKind::NotFound);
    bench.all_seen();
}
