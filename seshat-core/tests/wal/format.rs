//! The bytes of logs, as they were when each was new: `fixtures/wal/v1`, a directory of one, with the
//! zeros at the ends of its files left out, and `v1-probation`, of one with the kind of record that came later.
//!
//! Never edited and never recorded again: what is new has a folder of its own, and these are read for
//! ever. To record one, `SESHAT_RECORD_WAL=1` with an empty folder.

use std::path::PathBuf;

use rstest::rstest;
use seshat_core::wal::Wal;

use crate::history::{Op, Run, observe, options};
use crate::sim::{Sim, World};

const FILES: [&str; 3] = ["IDENTITY", "wal/000000000001.seg", "wal/000000000002.seg"];

/// Every kind of frame that there was at first, in two segments.
const FIRST: &[Op] = &[
    Op::Append(0, 2, 30),
    Op::Vote(0),
    Op::Queue(1, 1, 30),
    Op::Truncate(0, 1),
    Op::Snapshot(0),
    Op::Committed(0),
    Op::Append(0, 3, 30),
    Op::Purge(0, 2),
    Op::Settle,
    Op::Append(1, 1, 7700),
    Op::Vote(1),
];

/// A probation, and a segment that begins with it.
const PROBATION: &[Op] =
    &[Op::Probation(0), Op::Vote(0), Op::Append(0, 2, 30), Op::Append(0, 1, 7700), Op::Vote(0)];

fn history(ops: &[Op]) -> Run {
    let mut run = Run::fresh(Sim::new(512)).unwrap();
    run.run(ops).unwrap();
    run.wal().close().unwrap();
    run.wal = None;
    run
}

fn file(folder: &str, name: &str) -> PathBuf {
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wal"));
    fixtures.join(folder).join(name.replace('/', "-"))
}

fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(len);
    bytes
}

const ADVICE: &str = "logs on disk look like this: restore the fixture (git checkout seshat-core/fixtures/wal) \
    and mend the code; a format that must differ needs a number and a folder of its own";

#[rstest]
#[case::first("v1", FIRST)]
#[case::probation("v1-probation", PROBATION)]
fn a_log_is_written_as_it_was_recorded(#[case] folder: &str, #[case] ops: &[Op]) {
    let files = history(ops).sim.world().files();
    for name in FILES {
        let written = trimmed(files[name].clone());
        let file = file(folder, name);
        let record = std::env::var_os("SESHAT_RECORD_WAL").is_some();
        if record && !file.exists() {
            std::fs::write(&file, &written).unwrap();
        }
        let recorded = std::fs::read(&file).unwrap();
        let first = recorded.iter().zip(&written).position(|(a, b)| a != b);
        assert!(recorded == written, "{name} differs at {first:?}: {ADVICE}");
    }
}

#[rstest]
#[case::first("v1", FIRST)]
#[case::probation("v1-probation", PROBATION)]
fn a_recorded_log_reads_as_what_was_in_it(#[case] folder: &str, #[case] ops: &[Op]) {
    let mut world = World::of_sectors(512);
    for name in FILES {
        let mut bytes = std::fs::read(file(folder, name)).unwrap();
        if name != "IDENTITY" {
            bytes.resize(12288, 0);
        }
        world.put(name, bytes);
    }
    let (wal, recovered) = Wal::open(Sim::on(world), options()).unwrap();
    assert!(recovered.closed && recovered.torn.is_none(), "{recovered:?}");
    assert_eq!(observe(&wal), *history(ops).state(), "{ADVICE}");
}
