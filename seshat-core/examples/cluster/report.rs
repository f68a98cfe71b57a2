//! What came of it: numbers, as text for people or as JSON for programs.

use std::fmt::Write;
use std::time::Duration;

/// Everything that is reported.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) commands: usize,
    /// Proposals in flight at most.
    pub(crate) window: usize,
    /// From the first proposal to the last acknowledgement.
    pub(crate) elapsed: Duration,
    /// From then until all nodes had applied everything.
    pub(crate) caught_up: Duration,
    /// `None` without commands.
    pub(crate) latency: Option<Latency>,
    pub(crate) leadership: Leadership,
    pub(crate) proposed_again: usize,
    pub(crate) nodes: Vec<NodeState>,
    /// The digest of a machine that applied the commands without a cluster.
    pub(crate) expected: u128,
}

#[derive(Debug)]
pub(crate) struct Leadership {
    /// Of the first command; or the one that was killed.
    pub(crate) before: u64,
    /// Of the last command.
    pub(crate) after: u64,
    pub(crate) kill: Option<Kill>,
}

/// The end of a leader.
#[derive(Debug)]
pub(crate) struct Kill {
    pub(crate) leader: u64,
    /// Commands acknowledged before.
    pub(crate) acknowledged: usize,
    /// From its last acknowledgement to the first one of its successor, if there was one.
    pub(crate) gap: Option<Duration>,
}

/// A node at the end.
#[derive(Debug)]
pub(crate) struct NodeState {
    pub(crate) id: u64,
    pub(crate) role: &'static str,
    pub(crate) last_applied: u64,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    pub(crate) digest: u128,
}

/// Percentiles, each a latency that occurred (nearest rank).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p90: Duration,
    pub(crate) p99: Duration,
    pub(crate) p99_9: Duration,
    pub(crate) max: Duration,
}

impl Latency {
    /// `None` if there are no `latencies`. Sorts them.
    pub(crate) fn of(latencies: &mut [Duration]) -> Option<Self> {
        latencies.sort_unstable();
        let at = |per_mille: usize| {
            let rank = latencies.len().saturating_mul(per_mille).div_ceil(1000);
            latencies.get(rank.checked_sub(1)?).copied()
        };
        let (p50, p90, p99) = (at(500)?, at(900)?, at(990)?);
        Some(Self { p50, p90, p99, p99_9: at(999)?, max: at(1000)? })
    }

    fn named(&self) -> [(&'static str, Duration); 5] {
        let Self { p50, p90, p99, p99_9, max } = *self;
        [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9), ("max", max)]
    }
}

impl Report {
    pub(crate) fn digests_agree(&self) -> bool {
        self.nodes.windows(2).all(|pair| match pair {
            [a, b] => a.digest == b.digest,
            _ => true,
        })
    }

    /// Whether every node holds what the commands give without a cluster.
    pub(crate) fn state_matches(&self) -> bool {
        self.nodes.iter().all(|node| node.digest == self.expected)
    }

    fn per_second(&self) -> f64 {
        match self.elapsed.as_secs_f64() {
            seconds if seconds > 0.0 => self.commands as f64 / seconds,
            _ => 0.0,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = self.write_text(&mut text);
        text
    }

    pub(crate) fn to_json(&self) -> String {
        let mut json = String::new();
        // Writing to a String can't fail.
        let _ = self.write_json(&mut json);
        json
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let Self { commands, window, proposed_again, .. } = self;
        writeln!(out, "commands        {commands}, at most {window} in flight")?;
        writeln!(out, "elapsed         {}", Shown(self.elapsed))?;
        writeln!(out, "throughput      {:.0} commands/s", self.per_second())?;
        for (name, latency) in self.latency.iter().flat_map(Latency::named) {
            writeln!(out, "latency {name:<7} {}", Shown(latency))?;
        }
        self.write_leadership(out)?;
        let note = if *proposed_again > 0 { ", so some may have been applied twice" } else { "" };
        writeln!(out, "proposed again  {proposed_again}{note}")?;
        writeln!(out, "all caught up   {} after the last command", Shown(self.caught_up))?;
        writeln!(
            out,
            "\n{:<5}{:<10}{:>12}{:>12}{:>15}  digest",
            "node", "role", "last applied", "keys", "bytes"
        )?;
        for NodeState { id, role, last_applied, keys, bytes, digest } in &self.nodes {
            writeln!(
                out,
                "{id:<5}{role:<10}{last_applied:>12}{keys:>12}{bytes:>15}  {digest:032x}"
            )?;
        }
        let agree = if self.digests_agree() { "digests agree" } else { "DIGESTS DIFFER" };
        writeln!(out, "\n{agree}")?;
        match self.state_matches() {
            true => writeln!(out, "state matches the commands"),
            false => {
                writeln!(out, "STATE DIFFERS from the commands, which give {:032x}", self.expected)
            }
        }
    }

    fn write_leadership(&self, out: &mut String) -> std::fmt::Result {
        let Leadership { before, after, kill } = &self.leadership;
        writeln!(out, "leader          {before} before, {after} after")?;
        let Some(Kill { leader, acknowledged, gap }) = kill else {
            return writeln!(out, "killed          none");
        };
        writeln!(out, "killed          leader {leader}, after {acknowledged} commands")?;
        match gap {
            Some(gap) => writeln!(out, "gap in service  {}", Shown(*gap)),
            None => writeln!(out, "gap in service  none: nothing was left to acknowledge"),
        }
    }

    /// Times are in microseconds. No string in it needs an escape.
    fn write_json(&self, out: &mut String) -> std::fmt::Result {
        let Self { commands, window, proposed_again, expected, .. } = self;
        write!(out, r#"{{"commands":{commands},"window":{window},"#)?;
        write!(out, r#""elapsed_us":{},"#, self.elapsed.as_micros())?;
        write!(out, r#""commands_per_second":{:.1},"#, self.per_second())?;
        match &self.latency {
            Some(Latency { p50, p90, p99, p99_9, max }) => write!(
                out,
                r#""latency_us":{{"p50":{},"p90":{},"p99":{},"p99_9":{},"max":{}}},"#,
                p50.as_micros(),
                p90.as_micros(),
                p99.as_micros(),
                p99_9.as_micros(),
                max.as_micros()
            )?,
            None => write!(out, r#""latency_us":null,"#)?,
        }
        let Leadership { before, after, kill } = &self.leadership;
        write!(out, r#""leader_before":{before},"leader_after":{after},"#)?;
        match kill {
            Some(Kill { leader, acknowledged, gap }) => {
                write!(out, r#""kill":{{"leader":{leader},"acknowledged":{acknowledged},"#)?;
                match gap {
                    Some(gap) => write!(out, r#""gap_us":{}}},"#, gap.as_micros())?,
                    None => write!(out, r#""gap_us":null}},"#)?,
                }
            }
            None => write!(out, r#""kill":null,"#)?,
        }
        write!(out, r#""proposed_again":{proposed_again},"#)?;
        write!(out, r#""caught_up_us":{},"nodes":["#, self.caught_up.as_micros())?;
        for (index, node) in self.nodes.iter().enumerate() {
            let NodeState { id, role, last_applied, keys, bytes, digest } = node;
            let comma = if index > 0 { "," } else { "" };
            write!(out, r#"{comma}{{"id":{id},"role":"{role}","last_applied":{last_applied},"#)?;
            write!(out, r#""keys":{keys},"bytes":{bytes},"digest":"{digest:032x}"}}"#)?;
        }
        let (agree, matches) = (self.digests_agree(), self.state_matches());
        write!(out, r#"],"expected_digest":"{expected:032x}","#)?;
        writeln!(out, r#""digests_agree":{agree},"state_matches":{matches}}}"#)
    }
}

/// Three digits after the point, in the unit that makes it short.
struct Shown(Duration);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 1.0 {
            write!(f, "{:.3} ms", seconds * 1e3)
        } else {
            write!(f, "{seconds:.3} s")
        }
    }
}
