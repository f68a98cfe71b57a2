//! How far the work is: for one line of a terminal, and for who interrupts it.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(250);

/// Fits a terminal of 80 columns without a wrap.
const WIDTH: usize = 78;

#[derive(Debug)]
pub(crate) struct Progress {
    phase: Mutex<&'static str>,
    /// 0 until the commands are read.
    total: AtomicUsize,
    acknowledged: AtomicUsize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            phase: Mutex::new("reading"),
            total: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
        }
    }

    /// What happens from now on.
    pub(crate) fn phase(&self, phase: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(crate) fn replicating(&self, total: usize) {
        self.total.store(total, Ordering::Relaxed);
        self.phase("replicating");
    }

    pub(crate) fn acknowledged(&self, commands: usize) {
        self.acknowledged.store(commands, Ordering::Relaxed);
    }

    /// For an end before the end; `None` if no command can have been proposed.
    pub(crate) fn so_far(&self) -> Option<String> {
        let total = self.total.load(Ordering::Relaxed);
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        match total {
            0 => None,
            _ if acknowledged == total => Some(format!("all {total} commands were acknowledged")),
            _ => Some(format!(
                "{acknowledged} of {total} commands were acknowledged; \
                 of those after them some may have been applied"
            )),
        }
    }

    /// Rewrites a line of standard error, which is a terminal, again and again.
    pub(crate) async fn show(&self) -> Infallible {
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before = (Instant::now(), 0);
        loop {
            ticks.tick().await;
            let now = (Instant::now(), self.acknowledged.load(Ordering::Relaxed));
            let seconds = (now.0 - before.0).as_secs_f64();
            let rate = if seconds > 0.0 { (now.1 - before.1) as f64 / seconds } else { 0.0 };
            before = now;
            rewrite(&self.line(now.1, rate), coloured);
        }
    }

    fn line(&self, done: usize, rate: f64) -> String {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        match self.total.load(Ordering::Relaxed) {
            total if done < total => {
                let percent = done.saturating_mul(100) / total;
                format!("{percent:>3}%  {done} of {total} commands  {rate:.0}/s  {phase}")
            }
            _ => phase.to_owned(),
        }
    }
}

fn rewrite(line: &str, coloured: bool) {
    const CYAN: &str = "\x1b[36m";
    const RESET: &str = "\x1b[0m";
    let (on, off) = if coloured { (CYAN, RESET) } else { ("", "") };
    let mut err = io::stderr().lock();
    // A terminal that is gone needs no progress.
    let _ = write!(err, "\r{on}{line:<WIDTH$.WIDTH$}{off}").and_then(|()| err.flush());
}

/// Leaves an empty line for what comes next.
pub(crate) fn clear() {
    let mut err = io::stderr().lock();
    let _ = write!(err, "\r{:WIDTH$}\r", "").and_then(|()| err.flush());
}
