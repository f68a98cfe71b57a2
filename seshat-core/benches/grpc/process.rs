//! Processes of this same program, each with a role, told what to do line by line.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::load::Outcome;
use super::{bare, remote, served};

/// In place of a node's directory.
pub(crate) const MEMORY: &str = "memory";

/// What a process does until its standard input ends.
pub(crate) enum Role {
    /// One node of a cluster at these addresses, with one more for its clients. Kept in memory, or in a
    /// directory.
    Node { id: u64, clients: String, kept: Option<PathBuf>, addresses: Vec<String> },
    /// A bare server at that address.
    Bare { address: String },
}

impl Role {
    pub(crate) fn from_arguments() -> Option<Self> {
        let mut args = std::env::args().skip_while(|arg| arg != "--role").skip(1);
        match args.next()?.as_str() {
            "node" => {
                let id = args.next().unwrap().parse().unwrap();
                let clients = args.next().unwrap();
                let kept = args.next().filter(|kept| kept != MEMORY).map(PathBuf::from);
                Some(Self::Node { id, clients, kept, addresses: args.collect() })
            }
            "bare" => Some(Self::Bare { address: args.next().unwrap() }),
            role => panic!("no such role: {role}"),
        }
    }

    pub(crate) fn run(self) {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap().block_on(async {
            let end = lines_of_stdin();
            match self {
                Self::Node { id, clients, kept, addresses } => {
                    served::node(id, &clients, kept.as_deref(), &addresses, end).await;
                }
                Self::Bare { address } => bare::serve(&address, end).await,
            }
        });
    }
}

fn lines_of_stdin() -> Lines<BufReader<tokio::io::Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

/// A process, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Returns when it says that it is ready.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--role")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, stdout }
    }

    pub(crate) async fn tell(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(120), self.stdout.next_line()).await;
        line.expect("an answer in time").unwrap().expect("a line")
    }

    /// User and system time, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = format!("/proc/{}/stat", self.child.id().unwrap());
        let stat = std::fs::read_to_string(stat).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        [11, 12].iter().map(|i| fields[*i].parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }
}

/// Addresses that were free a moment ago.
pub(crate) async fn addresses(count: usize) -> Vec<String> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

/// A cluster, a process each; the leader is known.
pub(crate) struct Processes {
    all: tokio::sync::Mutex<Vec<Process>>,
    /// Where each serves clients.
    clients: Vec<String>,
    leader: usize,
}

impl Processes {
    /// Each keeps what it must not forget in memory, or in a directory of its own in `kept`.
    pub(crate) async fn cluster(kept: Option<&Path>) -> Self {
        let mut addresses = addresses(6).await;
        let clients = addresses.split_off(3);
        let mut all = Vec::new();
        for (id, clients) in ["1", "2", "3"].into_iter().zip(&clients) {
            let kept = kept.map(|kept| kept.join(id).to_string_lossy().into_owned());
            let args = ["node", id, clients, kept.as_deref().unwrap_or(MEMORY)].into_iter();
            let args = args.chain(addresses.iter().map(String::as_str));
            all.push(Process::start(&args.collect::<Vec<_>>()).await);
        }
        let mut leader = 0;
        for process in &mut all {
            // The leader's id, once it is known there.
            leader = process.hear().await.parse().unwrap();
        }
        Self { all: tokio::sync::Mutex::new(all), clients, leader: leader - 1 }
    }

    /// Nothing of them runs any more.
    pub(crate) async fn end(self) {
        for process in &mut *self.all.lock().await {
            process.child.kill().await.unwrap();
        }
    }

    /// Clients in this process, whose time counts as well.
    pub(crate) async fn remote_load(
        &self,
        way: remote::Way,
        clients: usize,
        seconds: f64,
    ) -> Outcome {
        let all = self.all.lock().await;
        let cpu = || all.iter().map(Process::cpu).sum::<f64>() + super::load::cpu_seconds();
        let before = cpu();
        let mut outcome = remote::load(&self.clients[self.leader], way, clients, seconds).await;
        outcome.cpu_us = (cpu() - before) * 1e6 / (outcome.per_second * seconds * 1.1);
        outcome
    }

    pub(crate) async fn load(&self, clients: usize, value_len: usize, seconds: f64) -> Outcome {
        let mut all = self.all.lock().await;
        let before: f64 = all.iter().map(Process::cpu).sum();
        all[self.leader].tell(&format!("{clients} {value_len} {seconds}")).await;
        let mut outcome = Outcome::from_line(&all[self.leader].hear().await);
        let cpu = all.iter().map(Process::cpu).sum::<f64>() - before;
        // A tenth of the time went before the count began.
        outcome.cpu_us = cpu * 1e6 / (outcome.per_second * seconds * 1.1);
        outcome
    }
}
