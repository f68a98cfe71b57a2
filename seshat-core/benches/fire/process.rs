//! Processes of this same program, each with a role, which end with their standard input.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use super::attack::{ATTACKS, Target};
use super::{NODES, PATIENCE, certificates, node};

/// The node that is of an older version than the others.
const OLD: &str = "3";

/// If this process has a role: plays it to its end, and says so.
pub(crate) async fn played() -> bool {
    let mut args = std::env::args().skip_while(|arg| arg != "--role").skip(1);
    let (Some(role), Some(what)) = (args.next(), args.next()) else { return false };
    let certificates = PathBuf::from(args.next().unwrap());
    let addresses: Vec<String> = args.collect();
    let (peers, clients) = addresses.split_at(NODES);
    let target = Target { peers: peers.to_vec(), clients: clients.to_vec(), certificates };
    let end = async {
        let _ = tokio::io::stdin().read(&mut [0]).await;
    };
    match role.as_str() {
        "node" => node::run(what.parse().unwrap(), &target, end).await,
        "attack" => {
            let (_, attack) = ATTACKS.iter().find(|(name, _)| *name == what).unwrap();
            tokio::select! {
                () = attack.run(&target) => {}
                () = end => {}
            }
        }
        role => panic!("no such role: {role}"),
    }
    true
}

/// A process, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(role: &str, what: &str, target: &Target) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        if what != OLD {
            program.env("SESHAT_NEXT", "1");
        }
        let mut child = program
            .args(["--role", role, what])
            .arg(&target.certificates)
            .args(target.peers.iter().chain(&target.clients))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    async fn hear(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.said.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    }

    fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// User and system time, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        [11, 12].iter().map(|i| fields[*i].parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }

    /// The most that was resident since the last [`forget`](Self::forget), in MiB.
    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    fn forget(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
    }
}

/// A cluster, a process each.
pub(crate) struct Cluster {
    nodes: Vec<Process>,
    pub(crate) target: Target,
    /// The place of the one that leads.
    pub(crate) leader: usize,
}

impl Cluster {
    pub(crate) async fn start(directory: &Path) -> Self {
        certificates::write(directory);
        let mut addresses = free(2 * NODES).await;
        let clients = addresses.split_off(NODES);
        let target = Target { peers: addresses, clients, certificates: directory.to_owned() };
        let ids = (1..=NODES).map(|id| id.to_string());
        let mut nodes: Vec<Process> = ids.map(|id| Process::start("node", &id, &target)).collect();
        let mut leader = 0;
        for node in &mut nodes {
            leader = node.hear().await.parse::<usize>().unwrap() - 1;
        }
        Self { nodes, target, leader }
    }

    /// What the largest node had at most since the last time that this was asked, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        let peak = self.nodes.iter().map(Process::peak_mib).fold(0.0, f64::max);
        self.nodes.iter().for_each(Process::forget);
        peak
    }

    /// User and system time of all nodes, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.nodes.iter().map(Process::cpu).sum()
    }

    /// Whether all nodes are there still.
    pub(crate) fn is_whole(&mut self) -> bool {
        self.nodes.iter_mut().all(|node| matches!(node.child.try_wait(), Ok(None)))
    }
}

/// Addresses that were free a moment ago.
async fn free(count: usize) -> Vec<String> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

/// Lets it take hold.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}
