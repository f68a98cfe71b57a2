//! What is put on a cluster, and what came of it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::common::measure::Scale;

/// One measurement, taken in a process of its own.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) kind: String,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) keys: u64,
    pub(crate) seconds: f64,
    /// If not 0, the load ends after so many operations rather than after a time.
    pub(crate) operations: u64,
    /// Operations before the clock starts: one key after the other, over and over.
    pub(crate) prefill: u64,
}

impl Load {
    pub(crate) fn new(kind: &str, nodes: usize, clients: usize) -> Self {
        let kind = kind.to_owned();
        Self { kind, nodes, clients, keys: 100_000, seconds: 2.0, operations: 0, prefill: 0 }
    }

    /// `--load kind nodes clients keys seconds operations prefill`
    pub(crate) fn from_arguments() -> Option<Self> {
        let mut args = std::env::args().skip_while(|arg| arg != "--load").skip(1);
        let kind = args.next()?;
        let mut next = || args.next().unwrap();
        Some(Self {
            kind,
            nodes: next().parse().unwrap(),
            clients: next().parse().unwrap(),
            keys: next().parse().unwrap(),
            seconds: next().parse().unwrap(),
            operations: next().parse().unwrap(),
            prefill: next().parse().unwrap(),
        })
    }

    pub(crate) fn in_child(&self, scale: Scale) -> Outcome {
        self.in_program(&std::env::current_exe().unwrap(), scale)
    }

    /// Taken by that program, which is this one or another build of it.
    pub(crate) fn in_program(&self, program: &Path, scale: Scale) -> Outcome {
        let seconds = if scale.rounds == 1 { self.seconds / 4.0 } else { self.seconds };
        let output = Command::new(program)
            .args(["--load", &self.kind])
            .args([self.nodes, self.clients].map(|n| n.to_string()))
            .args([self.keys.to_string(), seconds.to_string()])
            .args([self.operations, self.prefill].map(|n| n.to_string()))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{self:?} failed");
        Outcome::from_line(&String::from_utf8(output.stdout).unwrap())
    }
}

/// What a cluster did under a [`Load`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) cpu_us: f64,
    pub(crate) snapshots: u64,
}

impl Outcome {
    pub(crate) fn to_line(&self) -> String {
        let Self { per_second, p50_us, p99_us, cpu_us, snapshots } = self;
        format!("{per_second} {p50_us} {p99_us} {cpu_us} {snapshots}")
    }

    pub(crate) fn from_line(line: &str) -> Self {
        let numbers: Vec<f64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let [per_second, p50_us, p99_us, cpu_us, snapshots] = numbers[..] else {
            panic!("not an outcome: {line:?}")
        };
        Self { per_second, p50_us, p99_us, cpu_us, snapshots: snapshots as u64 }
    }

    pub(crate) fn describe(&self) -> String {
        let Self { per_second, p50_us, p99_us, cpu_us, .. } = self;
        format!("{:.0} k, {p50_us:.1}/{p99_us:.1}, {cpu_us:.2}", per_second / 1e3)
    }
}

/// Runs closed loops of clients for a while.
pub(crate) async fn drive<T, F>(load: &Load, write: T) -> Outcome
where
    T: Fn(u64, u64) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let (warm, seconds, each) = match load.operations {
        0 => (load.seconds / 10.0, load.seconds, usize::MAX),
        operations => (0.0, 3600.0, operations as usize / load.clients),
    };
    let from = Instant::now() + Duration::from_secs_f64(warm);
    let until = from + Duration::from_secs_f64(seconds);
    let mut clients = Vec::new();
    for client in 0..load.clients as u64 {
        let (write, keys) = (write.clone(), load.keys);
        clients.push(tokio::spawn(async move {
            let mut rng = super::common::data::Rng::new(client);
            let mut latencies = Vec::new();
            let mut started = Instant::now();
            while started < until && latencies.len() < each {
                let random = rng.next();
                write(random % keys, random).await;
                let ended = Instant::now();
                if started >= from {
                    latencies.push((ended - started).as_nanos() as u32);
                }
                started = ended;
            }
            latencies
        }));
    }
    tokio::time::sleep_until(from.into()).await;
    let cpu_before = cpu_seconds();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.append(&mut client.await.unwrap());
    }
    let cpu = cpu_seconds() - cpu_before;
    let elapsed = from.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let count = latencies.len().max(1);
    let at = |share: f64| latencies[((count as f64 * share) as usize).min(count - 1)];
    Outcome {
        per_second: count as f64 / elapsed.min(seconds),
        p50_us: f64::from(at(0.5)) / 1e3,
        p99_us: f64::from(at(0.99)) / 1e3,
        cpu_us: cpu * 1e6 / count as f64,
        snapshots: 0,
    }
}

/// User and system time of this process.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field, the command, may hold spaces; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|i| fields[*i].parse::<f64>().unwrap()).sum();
    // Linux counts in hundredths of a second for every program, whatever its kernel was built for.
    ticks / 100.0
}
