//! What a snapshot takes in memory beside the state, however large it is: little, on a node that keeps it in
//! files.
//!
//! Each step is measured in a process of its own, by what the system says that the process held at most:
//! memory that one step has left behind would hide what the next one takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test"
)]

#[path = "common/entries.rs"]
mod entries;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use entries::{id, membership, normal, set, voters};
use openraft::RaftSnapshotBuilder;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::storage::RaftStateMachine;
use seshat_core::config::NodeConfig;
use seshat_core::disk::{DiskLog, DiskOptions, DiskStorage};
use seshat_core::machine::MachineStore;
use seshat_core::network::StubNetwork;
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::types::{Entry, Node, Snapshot, Vote};
use tokio::net::TcpListener;

const MIB: usize = 1 << 20;
/// What a process takes for a moment without anybody's asking.
const NOISE: usize = MIB;
/// Tells a process what to measure, and where.
const STEP: &str = "SESHAT_MEASURED_STEP";
const DIR: &str = "SESHAT_MEASURED_DIR";
/// Longer than anything takes that goes well.
const DEADLINE: Duration = Duration::from_secs(60);

/// A state of so many keys, with values of that many bytes.
#[derive(Clone, Copy)]
struct State(u64, usize);

/// 128 MiB: more than may be taken beside it.
const LARGE: State = State(32 << 10, 4 << 10);
/// So many that to sort them at once would take more than may be.
const MANY: State = State(700_000, 1);

impl State {
    fn entries(self) -> impl Iterator<Item = Entry> {
        const AT_ONCE: u64 = 1 << 10;
        let entry = move |first: u64| {
            let keys = first..(first + AT_ONCE).min(self.0);
            let sets = keys.map(|n| set(format!("key-{n}"), vec![n as u8; self.1]));
            normal(id(1, 1 + first), sets.collect::<Vec<_>>())
        };
        let members = membership(id(1, 0), voters([9]));
        std::iter::once(members).chain((0..self.0).step_by(AT_ONCE as usize).map(entry))
    }
}

/// The directory of node `id`.
fn open(dir: &Path, id: u64) -> (DiskLog, MachineStore) {
    let DiskStorage { log, machine } =
        DiskStorage::open(dir.join(id.to_string()), DiskOptions::new("seshat", id)).unwrap();
    (log, machine)
}

async fn fill(machine: &mut MachineStore, state: State) {
    for entry in state.entries() {
        machine.apply([entry]).await.unwrap();
    }
}

async fn build(machine: &mut MachineStore) -> Snapshot {
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap()
}

/// Bytes that the process holds, now and at most since that was last asked.
struct Held {
    now: usize,
    most: usize,
}

fn held() -> Held {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |of: &str| {
        let line = status.lines().find(|line| line.starts_with(of)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let held = Held { now: kib("VmRSS") << 10, most: kib("VmHWM") << 10 };
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    held
}

fn assert_took(took: usize, allowed: usize, what: impl fmt::Display) {
    let said = format!("{what}: {took} bytes were taken beside the state, {allowed} are allowed");
    println!("{said}");
    assert!(took <= allowed + NOISE, "{said}");
}

/// Builds the snapshot of a state that is there already.
async fn builds(dir: &Path, state: State) {
    let (_log, mut machine) = open(dir, 9);
    fill(&mut machine, state).await;
    let before = held().now;
    let built = build(&mut machine).await;
    assert_took(held().most - before, 16 * MIB, "built");
    assert!(built.snapshot.len() > 8 * state.0 as usize);
}

/// Opens a directory with a snapshot.
async fn opens(dir: &Path) {
    held();
    let (_log, machine) = open(dir, 9);
    let held = held();
    assert_eq!(machine.reader().size().keys, LARGE.0);
    assert_took(held.most - held.now, 8 * MIB, "opened");
}

/// Sends a snapshot over gRPC, and has it installed: both sides are this process.
async fn sends(dir: &Path) {
    let config =
        |id: u64| NodeConfig::builder(id).member(id, format!("127.0.0.1:{id}")).single_node();
    let config = |id| config(id).build().unwrap();
    let (_log, mut sender) = open(dir, 9);
    let (log, machine) = open(dir, 1);
    let (reader, transport) = (machine.reader(), GrpcTransport::new(&config(1)).unwrap());
    let node = RaftNode::start(config(1), (log, machine, reader.clone()), StubNetwork);
    let node = node.await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = GrpcServer::start(&node, &transport, listener, None).await.unwrap();
    server.admit().await.unwrap();
    node.wait_for_leader(DEADLINE).await.unwrap();
    // A voter alone campaigns as soon as it hears of another leader.
    node.raft().runtime_config().elect(false);

    let snapshot = sender.get_current_snapshot().await.unwrap().unwrap();
    let mut transport = GrpcTransport::new(&config(9)).unwrap();
    let mut connection = transport.new_client(1, &Node::new(address)).await;
    held();
    let (vote, option) = (Vote::new_committed(99, 9), RPCOption::new(DEADLINE));
    let sent = connection.full_snapshot(vote, snapshot, std::future::pending(), option);
    let answer = tokio::time::timeout(DEADLINE, sent).await.expect("it ends").unwrap();
    let held = held();
    assert_eq!(answer.vote, vote, "nobody else leads");
    assert_eq!(reader.digest(), sender.reader().digest());
    assert_took(held.most - held.now, 64 * MIB, "sent and installed");
    node.shutdown().await;
    server.shutdown().await;
}

/// The steps, each after the one before, in one directory or in its own.
const STEPS: [(&str, bool); 4] =
    [("builds", true), ("opens", true), ("sends", true), ("builds many", false)];

async fn step(name: &str, dir: &Path) {
    match name {
        "builds" => builds(dir, LARGE).await,
        "opens" => opens(dir).await,
        "sends" => sends(dir).await,
        _ => builds(dir, MANY).await,
    }
}

#[test]
fn a_snapshot_in_files_takes_little_beside_the_state() {
    if let (Ok(name), Some(dir)) = (std::env::var(STEP), std::env::var_os(DIR)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(step(&name, &PathBuf::from(dir)));
        return;
    }
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        eprintln!("this system doesn't say what a process holds");
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut wrong = Vec::new();
    for (name, together) in STEPS {
        let dir = &dirs[usize::from(!together)];
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["a_snapshot_in_files", "--nocapture", "--test-threads=1"]);
        let end = process.env(STEP, name).env(DIR, dir.path()).output().unwrap();
        let said = [end.stdout, end.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        println!("{name}: {}", said.lines().find(|it| it.contains("allowed")).unwrap_or_default());
        if !end.status.success() {
            wrong.push(format!("{name}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
