//! `seshat client load`: mass insertion, of what a Redis server takes.
//!
//! Guarantees: commands that name the same key are applied in their order, also where some have to be sent
//! again; all others in any. Reading stops at the first fault of the input and at the first command that isn't
//! done; what was sent before it is waited for, and counted by what became of it. A command whose outcome
//! isn't known ends nothing, and is counted as such.

mod source;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use seshat_core::client::commands::{Command, Located, Place, ReadError};
use seshat_core::client::{Client, ClientError, SetOutcome};
use tokio::task::JoinSet;

use self::source::{Read, Source};
use crate::Failure;
use crate::codes::node::{FAILED, UNKNOWN, WRONG_USAGE};
use crate::running::say;

/// How often progress is shown.
const TICK: Duration = Duration::from_millis(250);

/// What came of the commands.
#[derive(Debug, Default)]
struct Loaded {
    /// That were sent.
    sent: u64,
    set: u64,
    /// Whose condition didn't hold.
    not_set: u64,
    /// Commands, and the keys that there were.
    del: (u64, u64),
    unknown: u64,
    /// The first of those.
    first_unknown: Option<(At, ClientError)>,
    /// The first that wasn't done.
    failed: Option<(At, ClientError)>,
}

/// Which command, counted from 1, and where it stands.
#[derive(Debug, Clone, Copy)]
struct At {
    number: u64,
    place: Place,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Line(_) => write!(f, "command {} ({})", self.number, self.place),
            // Which says the number too.
            Place::Command { .. } => write!(f, "{}", self.place),
        }
    }
}

/// What a command did.
enum Done {
    Set(SetOutcome),
    Del(u64),
}

/// Of what `path` names, at most `in_flight` commands at once.
pub(super) async fn run(
    client: &Client,
    path: &Path,
    in_flight: usize,
) -> Result<ExitCode, Failure> {
    let source = Source::open(path, in_flight)?;
    let name = source.name.clone();
    let started = Instant::now();
    let (loaded, fault) = load(client, source, in_flight, started).await;
    say(Summary { loaded: &loaded, took: started.elapsed() });
    // The first in the input is what to look at.
    if let Some((at, error)) = &loaded.failed {
        let words = format!("{name}: {at}: {error}; nothing behind it was read");
        return Err(Failure::new(FAILED, words));
    }
    if let Some(fault) = fault {
        let words = format!("{name}: {fault}; all commands before it were sent, none behind it");
        return Err(Failure::new(WRONG_USAGE, words));
    }
    if let Some((at, error)) = &loaded.first_unknown {
        let (count, what) = (loaded.unknown, "look before you repeat it");
        let words = format!("{name}: {count} of unknown outcome, first {at}: {error}: {what}");
        return Err(Failure::new(UNKNOWN, words));
    }
    Ok(ExitCode::SUCCESS)
}

async fn load(
    client: &Client,
    mut source: Source,
    in_flight: usize,
    started: Instant,
) -> (Loaded, Option<ReadError>) {
    let (mut loaded, mut fault) = (Loaded::default(), None);
    let (mut under_way, mut keys) = (JoinSet::new(), HashSet::new());
    let mut next: Option<Located<Command>> = None;
    // Bytes of the source up to what was read last.
    let (mut more, mut at_byte) = (true, 0);
    let mut ticks = tokio::time::interval(TICK);
    let shows = io::stderr().is_terminal();
    loop {
        more &= loaded.failed.is_none();
        if more
            && let Some(command) = next.take_if(|next| {
                under_way.len() < in_flight && !names(&next.value).any(|key| keys.contains(key))
            })
        {
            loaded.sent += 1;
            let at = At { number: loaded.sent, place: command.at };
            let named: Vec<Bytes> = names(&command.value).cloned().collect();
            keys.extend(named.iter().cloned());
            let client = client.clone();
            under_way.spawn(async move { (at, named, send(&client, command.value).await) });
        }
        let waits = next.is_some() && more;
        if !more && under_way.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                // None panics.
                let Ok((at, named, end)) = ended else { continue };
                named.iter().for_each(|key| {
                    keys.remove(key);
                });
                loaded.note(at, end);
            }
            read = source.commands.recv(), if more && !waits => match read {
                Some(Read { command: Ok(command), end }) => (next, at_byte) = (Some(command), end),
                Some(Read { command: Err(error), .. }) => (fault, more) = (Some(error), false),
                None => more = false,
            },
            _ = ticks.tick(), if shows => {
                let (done, took) = (loaded.done(), started.elapsed());
                Progress { done, took, part: source.part(at_byte) }.show();
            }
        }
    }
    if shows {
        // Nothing is left of that line.
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    (loaded, fault)
}

fn names(command: &Command) -> impl Iterator<Item = &Bytes> {
    let keys = match command {
        Command::Set { key, .. } => std::slice::from_ref(key),
        Command::Del { keys } => keys,
    };
    keys.iter()
}

async fn send(client: &Client, command: Command) -> Result<Done, ClientError> {
    match command {
        Command::Set { key, value, options } => {
            client.set_with(key, value, options).await.map(Done::Set)
        }
        Command::Del { keys } => client.del(keys).await.map(Done::Del),
    }
}

impl Loaded {
    fn note(&mut self, at: At, end: Result<Done, ClientError>) {
        let first = |before: &Option<(At, ClientError)>| {
            before.as_ref().is_none_or(|(before, _)| at.number < before.number)
        };
        match end {
            Ok(Done::Set(SetOutcome { set: true, .. })) => self.set += 1,
            Ok(Done::Set(SetOutcome { set: false, .. })) => self.not_set += 1,
            Ok(Done::Del(deleted)) => self.del = (self.del.0 + 1, self.del.1 + deleted),
            Err(error @ ClientError::Unknown { .. }) => {
                self.unknown += 1;
                if first(&self.first_unknown) {
                    self.first_unknown = Some((at, error));
                }
            }
            Err(error) if first(&self.failed) => self.failed = Some((at, error)),
            Err(_) => {}
        }
    }

    fn done(&self) -> u64 {
        self.set + self.not_set + self.del.0
    }
}

/// How far it has come, for whoever watches.
struct Progress {
    done: u64,
    took: Duration,
    /// Of all, from 0 to 1, where that is known.
    part: Option<f64>,
}

impl Progress {
    fn show(&self) {
        let mut error = io::stderr().lock();
        let _ = error.write_all(format!("\r\x1b[K{self}").as_bytes()).and_then(|()| error.flush());
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, took, part } = self;
        let took = took.as_secs_f64();
        if let Some(part) = part {
            write!(f, "{:.0} %, ", (part * 100.0).floor())?;
        }
        write!(f, "{done} commands done, {:.0} a second", *done as f64 / took.max(0.001))?;
        match part {
            // Sooner it is a guess.
            Some(part) if *part >= 0.01 => {
                write!(f, ", {:.0} s left", (took * (1.0 - part) / part).ceil())
            }
            _ => Ok(()),
        }
    }
}

struct Summary<'a> {
    loaded: &'a Loaded,
    took: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded { sent, set, not_set, del: (dels, deleted), unknown, .. } = self.loaded;
        let (done, took) = (self.loaded.done(), self.took.as_secs_f64());
        let rate = done as f64 / took.max(0.001);
        let not_done = sent - done - unknown;
        write!(
            f,
            "{sent} commands sent: {set} set, {not_set} not set, {dels} DEL of {deleted} keys, \
             {not_done} not done, {unknown} of unknown outcome; {took:.1} s, {rate:.0} a second"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_much_is_left_where_that_is_known() {
        let of = |part| Progress { done: 300, took: Duration::from_secs(3), part }.to_string();
        assert_eq!(of(None), "300 commands done, 100 a second");
        assert_eq!(of(Some(0.001)), "0 %, 300 commands done, 100 a second");
        assert_eq!(of(Some(0.3)), "30 %, 300 commands done, 100 a second, 7 s left");
        assert_eq!(of(Some(0.999)), "99 %, 300 commands done, 100 a second, 1 s left");
        assert_eq!(of(Some(1.0)), "100 %, 300 commands done, 100 a second, 0 s left");
    }
}
