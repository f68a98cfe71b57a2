//! Measuring: each measurement in a fresh process, variants in turn, medians of several rounds.
//!
//! A process of its own keeps one measurement's heap from deciding where the next one's memory
//! comes from. Time that the thread waited for a core is subtracted, so that other work on the
//! machine disturbs less.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) keys: u64,
    pub(crate) rounds: usize,
}

impl Scale {
    /// From `SESHAT_BENCH_QUICK` or `--quick`.
    pub(crate) fn from_environment() -> Self {
        let quick = std::env::var_os("SESHAT_BENCH_QUICK").is_some_and(|value| value != "0")
            || std::env::args().any(|arg| arg == "--quick");
        if quick { Self { keys: 50_000, rounds: 1 } } else { Self { keys: 1_000_000, rounds: 3 } }
    }
}

/// One measurement, run in a process of its own.
pub(crate) type Measure = fn(Scale) -> Vec<f64>;

/// If this process was started to take one measurement: takes it, prints it, and says so.
pub(crate) fn is_child(scale: Scale, measures: &[(&str, Measure)]) -> bool {
    let mut args = std::env::args().skip_while(|arg| arg != "--measure").skip(1);
    let Some(name) = args.next() else { return false };
    let (_, measure) = measures.iter().find(|(known, _)| *known == name).expect("a known name");
    let numbers: Vec<String> = measure(scale).iter().map(f64::to_string).collect();
    println!("{}", numbers.join(" "));
    true
}

/// Takes each measurement `rounds` times, in turn, and returns the medians of its numbers.
pub(crate) fn medians<const N: usize>(scale: Scale, names: [&str; N]) -> [Vec<f64>; N] {
    let mut taken: [Vec<Vec<f64>>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..scale.rounds {
        for (name, taken) in names.iter().zip(&mut taken) {
            taken.push(in_child(name));
        }
    }
    taken.map(|rounds| {
        let columns = 0..rounds.first().map_or(0, Vec::len);
        columns.map(|column| median(rounds.iter().map(|round| round[column]).collect())).collect()
    })
}

fn in_child(name: &str) -> Vec<f64> {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(std::env::args().skip(1))
        .args(["--measure", name])
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{name} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Adds up the time of what it is given to run, and keeps the longest.
pub(crate) struct Stopwatch {
    schedstat: Option<File>,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        Self { schedstat, total: Duration::ZERO, longest: Duration::ZERO }
    }

    /// Runs `work` and counts the time it took.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let waited = self.waited();
        let started = Instant::now();
        let done = std::hint::black_box(work());
        let elapsed = started.elapsed();
        let elapsed = elapsed.saturating_sub(self.waited().saturating_sub(waited));
        self.total += elapsed;
        self.longest = self.longest.max(elapsed);
        done
    }

    /// How long this thread has waited for a core so far.
    fn waited(&self) -> Duration {
        let mut buf = [0; 64];
        let read = self.schedstat.as_ref().and_then(|file| file.read_at(&mut buf, 0).ok());
        let text = std::str::from_utf8(&buf[..read.unwrap_or(0)]).unwrap_or_default();
        let waited = text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(waited.unwrap_or(0))
    }

    pub(crate) fn ns_per(&self, operations: u64) -> f64 {
        self.total.as_nanos() as f64 / operations as f64
    }

    pub(crate) fn total_ms(&self) -> f64 {
        self.total.as_secs_f64() * 1e3
    }

    pub(crate) fn longest_ms(&self) -> f64 {
        self.longest.as_secs_f64() * 1e3
    }
}

/// MiB that `work` needed at its highest, beyond what the process held before.
pub(crate) fn peak_mib<T>(work: impl FnOnce() -> T) -> f64 {
    // Sets the high-water mark to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = high_water_kib();
    let done = std::hint::black_box(work());
    let after = high_water_kib();
    drop(done);
    (after - before) / 1024.0
}

/// The most that was resident so far.
pub(crate) fn high_water_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The result of a future that never has to wait: where no lock is contended. Outside of tokio's
/// runtime, which would make it wait every now and then.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) else {
        unreachable!("nobody else holds a lock")
    };
    done
}
