//! Three nodes on real directories in this process, under load for an hour or for as long as you like, while
//! they are stopped without ceremony and started again; then what they have is compared with what they said.
//!
//! ```text
//! cargo run --release -p seshat-core --example soak -- --minutes 5
//! ```
//!
//! A line every ten seconds says how it goes: what was acknowledged, how often nodes were stopped, what memory
//! the process has and what the largest directory takes. Both are bounded, whatever the time: where one is
//! beyond its bound, where a read contradicts an acknowledged write, or where nothing is acknowledged for a
//! minute, it ends at once and with exit code 1.

#![allow(missing_docs, reason = "a program, not a library")]

mod load;
mod nodes;
mod usage;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;

use self::load::{Clients, Load};
use self::nodes::{IDS, Nodes, Trouble};
use self::usage::Usage;

/// Time between two lines.
const LINE: Duration = Duration::from_secs(10);

/// For how long nothing may be acknowledged, restarts included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes and reads on three nodes on disk, which are stopped and started all the time.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// Hours that it takes.
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
    /// Minutes that it takes, instead.
    #[arg(long, conflicts_with = "hours")]
    minutes: Option<f64>,
    /// Seconds between two restarts.
    #[arg(long, default_value_t = 15.0)]
    restart_every: f64,
    /// Clients, each of which waits for its answers.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Keys in all.
    #[arg(long, default_value_t = 4096)]
    keys: usize,
    /// The longest value, in bytes.
    #[arg(long, default_value_t = 4096)]
    value_bytes: usize,
    /// Where the directories are to be; they stay. A temporary one otherwise, which goes.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Options {
    fn time(&self) -> Option<Duration> {
        let seconds = self.minutes.map_or(self.hours * 3600.0, |minutes| minutes * 60.0);
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn pause(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.restart_every).ok()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    }
    let options = Options::parse();
    match soak(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            // Where nobody reads it, the exit code says it.
            let _ = writeln!(io::stderr(), "soak: {}", chain(&trouble));
            ExitCode::FAILURE
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

fn say(line: &str) {
    let mut out = io::stdout();
    // Nobody may be reading.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn soak(options: &Options) -> Result<(), Trouble> {
    let (Some(time), Some(pause)) = (options.time(), options.pause()) else {
        return Err(Trouble::Time);
    };
    let temporary = tempfile::tempdir().map_err(Trouble::Directory)?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let load = Load::new(options.clients, options.keys, options.value_bytes);
    let usage = Usage::new(&dir, load.state_bytes());
    say(&format!("for {time:?} in {}, {usage}", dir.display()));

    let mut nodes = Nodes::start(&dir).await?;
    let clients = Clients::start(&load, nodes.running());
    let (started, mut restarts) = (Instant::now(), 0_u32);
    let (mut next_line, mut next_restart) = (started + LINE, started + pause);
    let (mut before, mut quiet, mut looked) = (0, Duration::ZERO, started);
    while started.elapsed() < time && !clients.ended() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if Instant::now() >= next_restart {
            restart(&mut nodes, restarts).await?;
            restarts += 1;
            next_restart = Instant::now() + pause;
        }
        let (acknowledged, now) = (clients.acknowledged(), Instant::now());
        // Where this process stood still, nobody was to be heard.
        let passed = (now - looked).min(Duration::from_secs(1));
        quiet = if acknowledged > before { Duration::ZERO } else { quiet + passed };
        (before, looked) = (acknowledged, now);
        if quiet > PATIENCE {
            return Err(Trouble::Stuck { waited: PATIENCE });
        }
        if now >= next_line {
            let seconds = started.elapsed().as_secs();
            let used = usage.look()?;
            say(&format!("{seconds:>6} s  {acknowledged} writes  {restarts} restarts  {used}"));
            next_line = now + LINE;
        }
    }
    let expected = Arc::new(clients.stop().await?);
    nodes.verify(&expected).await?;
    // And once more, of what is on the disks.
    for id in IDS {
        nodes.stop(id).await;
    }
    for id in IDS {
        nodes.up(id).await?;
    }
    nodes.verify(&expected).await?;
    let used = usage.look()?;
    say(&format!("all is there: {} keys, {restarts} restarts, {used}", expected.len()));
    nodes.end().await;
    Ok(())
}

/// The leader, then a follower, then all of them at once, and so on.
async fn restart(nodes: &mut Nodes, number: u32) -> Result<(), Trouble> {
    let leader = nodes.leader().await?.id();
    let follower = IDS.into_iter().find(|id| *id != leader).unwrap_or(leader);
    let which = match number % 3 {
        0 => vec![leader],
        1 => vec![follower],
        _ => IDS.to_vec(),
    };
    for id in &which {
        nodes.stop(*id).await;
    }
    if which.len() == 1 {
        // The others go on without it for a while.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for id in which {
        nodes.up(id).await?;
    }
    Ok(())
}
