//! [`Step`]: one call, or one misfortune, as data that prints and parses.
//!
//! The language of histories, one step a line:
//!
//! ```text
//! vote t2.n1 committed
//! append t1.n1.i4 blank | t1.n1.i5 c7 | t2.n3.i6 members 1,2,3;2,3,4 all 1,2,3,4,5
//! begin t2.n3.i7 c8 | t2.n3.i8 c9
//! flush
//! truncate 5
//! purge t1.n1.i3
//! commit 4
//! apply 2
//! build
//! install t3.n2.i0 c1 | t3.n2.i1 blank
//! restart
//! cut power
//! ```

use std::fmt;

use super::{Ballot, Id, Item, Members, Payload};
use crate::words::Command;

/// One call, or one misfortune.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `save_vote`.
    Vote(Ballot),
    /// `append`, then its callback.
    Append(Vec<Item>),
    /// `append` alone: its callback is awaited by the next [`Flush`](Self::Flush).
    Begin(Vec<Item>),
    /// The callbacks of all that was begun, awaited together.
    Flush,
    /// `truncate` from the entry at this index on.
    Truncate(u64),
    /// `purge`.
    Purge(Id),
    /// `save_committed` with the id of the entry at this index.
    Commit(u64),
    /// `apply` this many entries, in one batch.
    Apply(usize),
    /// `get_snapshot_builder`, `build_snapshot`.
    Build,
    /// `begin_receiving_snapshot`, `install_snapshot`, of a node that has applied what is applied
    /// here and then these.
    Install(Vec<Item>),
    /// Close, open again, `get_initial_state`.
    Restart,
    /// Cut the power, open again, `get_initial_state`.
    CutPower,
}

/// A call that openraft could not make, and the rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("openraft makes no such call: {0}")]
pub struct StepError(pub &'static str);

/// A line that is no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no step of a history")]
pub struct ParseError {
    /// Which line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vote(b) => {
                let committed = if b.committed { " committed" } else { "" };
                write!(f, "vote t{}.n{}{committed}", b.term, b.node)
            }
            Self::Append(items) => write!(f, "append {}", Items(items)),
            Self::Begin(items) => write!(f, "begin {}", Items(items)),
            Self::Flush => f.write_str("flush"),
            Self::Truncate(index) => write!(f, "truncate {index}"),
            Self::Purge(id) => write!(f, "purge {id}"),
            Self::Commit(index) => write!(f, "commit {index}"),
            Self::Apply(count) => write!(f, "apply {count}"),
            Self::Build => f.write_str("build"),
            Self::Install(items) => write!(f, "install {}", Items(items)),
            Self::Restart => f.write_str("restart"),
            Self::CutPower => f.write_str("cut power"),
        }
    }
}

struct Items<'a>(&'a [Item]);

impl fmt::Display for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, item) in self.0.iter().enumerate() {
            let gap = if n == 0 { "" } else { " | " };
            write!(f, "{gap}{} {}", item.id, item.payload)?;
        }
        Ok(())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Command(command) => command.fmt(f),
            Self::Members(members) => members.fmt(f),
        }
    }
}

/// `members 1,2,3;2,3,4 all 1,2,3,4,5`.
impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |set: &mut dyn Iterator<Item = &u64>| {
            set.map(u64::to_string).collect::<Vec<_>>().join(",")
        };
        let configs: Vec<String> = self.configs.iter().map(|c| list(&mut c.iter())).collect();
        write!(f, "members {} all {}", configs.join(";"), list(&mut self.nodes.iter()))
    }
}

impl Step {
    /// Reads a history, as a report prints it or by itself; empty lines and lines that begin with
    /// `#` say nothing.
    ///
    /// # Errors
    /// The first line that is no step.
    pub fn parse_history(text: &str) -> Result<Vec<Self>, ParseError> {
        Ok(Self::parse_numbered(text)?.into_iter().map(|(_, step)| step).collect())
    }

    /// Likewise, each step with the number of its line, from 1.
    pub(crate) fn parse_numbered(text: &str) -> Result<Vec<(usize, Self)>, ParseError> {
        let said = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
        let lines = (1..).zip(text.lines().map(|line| unlabelled(line.trim())));
        let parse = |(line, text): (usize, &str)| {
            let step = Self::parse(text).ok_or_else(|| ParseError { line, text: text.to_owned() });
            Ok((line, step?))
        };
        lines.filter(said).map(parse).collect()
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(line: &str) -> Option<Self> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match (verb, rest) {
            ("vote", rest) => {
                let (who, committed) = rest.split_once(' ').unwrap_or((rest, ""));
                let (term, node) = who.strip_prefix('t')?.split_once(".n")?;
                let committed = match committed {
                    "" => false,
                    "committed" => true,
                    _ => return None,
                };
                Self::Vote(Ballot { term: term.parse().ok()?, node: node.parse().ok()?, committed })
            }
            ("append", items) => Self::Append(parse_items(items)?),
            ("begin", items) => Self::Begin(parse_items(items)?),
            ("flush", "") => Self::Flush,
            ("truncate", index) => Self::Truncate(index.parse().ok()?),
            ("purge", id) => Self::Purge(Id::parse(id)?),
            ("commit", index) => Self::Commit(index.parse().ok()?),
            ("apply", count) => Self::Apply(count.parse().ok()?),
            ("build", "") => Self::Build,
            ("install", items) => Self::Install(parse_items(items)?),
            ("restart", "") => Self::Restart,
            ("cut", "power") => Self::CutPower,
            _ => return None,
        })
    }
}

/// A line without the label that a report puts before the first step.
fn unlabelled(line: &str) -> &str {
    let labels = ["shortest ", "steps "];
    labels.iter().find_map(|label| line.strip_prefix(label)).map_or(line, str::trim_start)
}

fn parse_items(text: &str) -> Option<Vec<Item>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(" | ")
        .map(|item| {
            let (id, payload) = item.split_once(' ')?;
            Some(Item { id: Id::parse(id)?, payload: Payload::parse(payload)? })
        })
        .collect()
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let (term, rest) = text.strip_prefix('t')?.split_once(".n")?;
        let (node, index) = rest.split_once(".i")?;
        let (term, node) = (term.parse().ok()?, node.parse().ok()?);
        Some(Self { term, node, index: index.parse().ok()? })
    }
}

impl Payload {
    fn parse(text: &str) -> Option<Self> {
        if text == "blank" {
            return Some(Self::Blank);
        }
        match text.strip_prefix("members ") {
            Some(members) => Some(Self::Members(Members::parse(members)?)),
            None => Some(Self::Command(Command::parse(text)?)),
        }
    }
}

impl Members {
    fn parse(text: &str) -> Option<Self> {
        let set = |text: &str| text.split(',').map(|id| id.parse().ok()).collect();
        let (configs, nodes) = text.split_once(" all ")?;
        let configs = configs.split(';').map(set).collect::<Option<_>>()?;
        Some(Self { configs, nodes: set(nodes)? })
    }
}
