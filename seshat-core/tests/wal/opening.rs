//! Whose log it is, and what is found at its end.

use rstest::rstest;
use seshat_core::proto::v1;
use seshat_core::wal::{Disk, OpenError, Options, Record, Wal};

use crate::history::{Op, Run, observe, options};
use crate::sim::Sim;

fn small(node_id: u64) -> Options {
    Options { first_segment_bytes: 0, segment_bytes: 0, ..Options::new("cluster", node_id) }
}

fn vote(term: u64) -> Record {
    Record::Vote(v1::Vote { term, node_id: 1, committed: false })
}

#[test]
fn a_log_on_a_real_disk_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/and/deep");
    {
        let (wal, recovered) = Wal::open(Disk::at(&path).unwrap(), small(1)).unwrap();
        assert!(recovered.created);
        let lsn = wal.submit(7, vote(3)).unwrap();
        wal.wait(lsn).unwrap();
        wal.close().unwrap();
    }
    let (wal, recovered) = Wal::open(Disk::at(&path).unwrap(), small(1)).unwrap();
    assert!(!recovered.created && recovered.closed && recovered.torn.is_none(), "{recovered:?}");
    assert_eq!(wal.group(7).vote.unwrap().term, 3);
}

#[test]
fn a_second_opening_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(Disk::at(dir.path()).unwrap(), small(1)).unwrap();
    let error = Wal::open(Disk::at(dir.path()).unwrap(), small(1)).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(error, OpenError::Locked { holder: Some(holder), .. } if holder == pid));
    assert_eq!(error.to_string(), format!("LOCK is locked: process {pid} has the log open"));
    wal.wait(wal.submit(0, vote(1)).unwrap()).unwrap();
    drop(wal);
    Wal::open(Disk::at(dir.path()).unwrap(), small(1)).unwrap();
}

#[rstest]
#[case::node(Options::new("cluster", 2), "the directory belongs to node 1, this is node 2")]
#[case::cluster(
    Options::new("other", 1),
    "the directory belongs to cluster \"cluster\", this node is of \"other\""
)]
fn the_directory_of_another_is_refused(#[case] options: Options, #[case] words: &str) {
    let dir = tempfile::tempdir().unwrap();
    drop(Wal::open(Disk::at(dir.path()).unwrap(), small(1)).unwrap());
    let error = Wal::open(Disk::at(dir.path()).unwrap(), options).unwrap_err();
    assert_eq!(error.to_string(), words);
}

/// What a newer build wrote, to the last checksum.
#[test]
fn a_newer_format_is_refused() {
    use prost::Message;
    let sim = Sim::new(512);
    drop(Run::fresh(sim.clone()).unwrap());
    let mut world = sim.world().killed();
    let mut identity = v1::Identity::decode(&world.files()["IDENTITY"][24..]).unwrap();
    identity.format_version = 2;
    let body = identity.encode_to_vec();
    let mut bytes = b"SESHATID".to_vec();
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&twox_hash::XxHash3_64::oneshot(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    world.put("IDENTITY", bytes);
    let error = Wal::open(Sim::on(world.clone()), options()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { got: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("a newer one wrote it"), "{error}");
}

#[test]
fn a_newer_segment_is_refused() {
    let sim = Sim::new(512);
    drop(Run::fresh(sim.clone()).unwrap());
    let mut world = sim.world().killed();
    let name = "wal/000000000001.seg";
    let mut bytes = world.files()[name].clone();
    bytes[8] = 2;
    let checksum = twox_hash::XxHash3_64::oneshot(&bytes[..4088]);
    bytes[4088..4096].copy_from_slice(&checksum.to_le_bytes());
    world.put(name, bytes);
    let error = Wal::open(Sim::on(world), options()).unwrap_err();
    assert!(matches!(&error, OpenError::Newer { got: 2, file, .. } if file == name), "{error}");
}

/// What is torn is told, and stays where it is; the log goes on behind it.
#[test]
fn a_torn_end_is_told_and_left_as_it_is() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Append(0, 2, 40)]).unwrap();
    let before = run.state().clone();
    let end = {
        let (wal, segment) = (run.wal(), "wal/000000000001.seg");
        drop(wal.group(0));
        let bytes = sim.world().files()[segment].clone();
        bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 / 8 * 8 + 8
    };
    // The second sector of the next frame is written, the first is not.
    let calls = sim.world().calls;
    sim.world().faults.fail = Some(calls + 1);
    run.run(&[Op::Append(0, 1, 600)]).unwrap_err();
    run.wal = None;
    let mut world = sim.world().killed();
    let mut bytes = world.files()["wal/000000000001.seg"].clone();
    bytes[end as usize..4608].fill(0);
    world.put("wal/000000000001.seg", bytes.clone());

    let sim = Sim::on(world);
    let (wal, recovered) = Wal::open(sim.clone(), options()).unwrap();
    let torn = recovered.torn.unwrap();
    assert_eq!((torn.file.as_str(), torn.offset), ("wal/000000000001.seg", end));
    assert!((500..700).contains(&torn.bytes), "{torn:?}");
    assert_eq!(observe(&wal), before);
    let files = sim.world().files();
    assert_eq!(files["wal/000000000001.seg"], bytes, "left as it was");
    assert!(files.contains_key("wal/000000000002.seg"), "goes on elsewhere");

    drop(wal);
    let (wal, recovered) = Wal::open(sim, options()).unwrap();
    assert_eq!((observe(&wal), recovered.torn), (before, None), "told once");
}

/// Nothing but what was there is in the way of who looks for a log: no file is left behind by a crash.
#[test]
fn opening_removes_what_was_never_finished() {
    let sim = Sim::new(512);
    let mut run = Run::fresh(sim.clone()).unwrap();
    run.run(&[Op::Vote(0)]).unwrap();
    run.wal = None;
    let mut world = sim.world().killed();
    world.put("wal/spare-9.tmp", vec![0; 4096]);
    world.put("wal/spare-8", vec![0; 4096]);
    world.put("wal/notes.txt", vec![1]);
    let sim = Sim::on(world);
    drop(Wal::open(sim.clone(), options()).unwrap());
    let files = sim.world().files();
    let left: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(left, ["IDENTITY", "wal/000000000001.seg", "wal/notes.txt"]);
}
