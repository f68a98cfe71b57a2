//! What operators ask for: how nodes are, who belongs to the cluster and who leads it.
//!
//! What is asked of every node is a line for each, of those too that don't answer.

use std::fmt::{self, Display};
use std::process::ExitCode;

use seshat_core::client::{AskError, Client, Unanswered};
use seshat_core::proto::client::{
    HealthResponse, Member, Partition, Role, SnapshotBuilt, StatusResponse,
};

use crate::Failure;
use crate::arguments::AdminCommand as Command;
use crate::codes::node::FAILED;
use crate::running::say;
use crate::words::Bytes;

pub(super) async fn run(
    command: Command,
    client: &Client,
    mut to: Vec<String>,
) -> Result<ExitCode, Failure> {
    to.sort();
    to.dedup();
    match command {
        Command::Status => return Ok(status(client, to).await),
        Command::Health => return Ok(health(client, to).await),
        Command::Members => return members(client, to).await,
        Command::Partitions => return Ok(partitions(client, to).await),
        Command::Snapshot => return Ok(snapshot(client, to).await),
        Command::Add { id, address } => say(Members(&client.add(id, &address).await?)),
        Command::Remove { id } => say(Members(&client.remove(id).await?)),
        Command::Transfer { id } => {
            let leader = client.transfer_leadership(id).await?;
            say(format_args!("node {} leads", leader.id));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What each node answers, or why it doesn't.
async fn each<T>(
    client: &Client,
    to: Vec<String>,
    ask: impl AsyncFn(&Client, &str) -> Result<T, AskError>,
) -> Vec<(String, Result<T, Unanswered>)> {
    let mut asked = Vec::new();
    for address in to {
        let answer = ask(client, &address).await;
        asked.push((address, answer.map_err(|error| error.why)));
    }
    asked
}

/// No node is known by an address that nobody answers at.
fn no_answer(address: &str, reason: &Unanswered) {
    say(format_args!("{:<5}{address:<22}no answer: {reason}", "?"));
}

/// Failure unless `good`.
fn code(good: bool) -> ExitCode {
    ExitCode::from(if good { 0 } else { FAILED })
}

async fn status(client: &Client, to: Vec<String>) -> ExitCode {
    let asked = each(client, to, async |client, at| client.status(at).await).await;
    say(format_args!(
        "{:<5}{:<22}{:<11}{:<9}{:>5}{:>9}{:>10}  digest",
        "node", "address", "role", "member", "term", "applied", "keys"
    ));
    for (address, answer) in &asked {
        match answer {
            Ok(status) => say(Status { address, status }),
            Err(reason) => no_answer(address, reason),
        }
    }
    code(asked.iter().any(|(_, answer)| answer.is_ok()))
}

async fn health(client: &Client, to: Vec<String>) -> ExitCode {
    let asked = each(client, to, async |client, at| client.health(at).await).await;
    say(format_args!("{:<5}{:<22}{:<9}why", "node", "address", "health"));
    for (address, answer) in &asked {
        match answer {
            Ok(health) => say(Health { address, health }),
            Err(reason) => no_answer(address, reason),
        }
    }
    let ready = |health: &HealthResponse| health.dead.is_none() && health.unready.is_empty();
    code(asked.iter().all(|(_, answer)| answer.as_ref().is_ok_and(ready)))
}

/// As the leader has them, or, if none answers, as the node does that has heard most.
async fn members(client: &Client, to: Vec<String>) -> Result<ExitCode, Failure> {
    let asked = each(client, to, async |client, at| client.partitions(at).await).await;
    let knows =
        |partition: &Partition| (partition.term, partition.role() == Role::Leader, partition.last);
    let known = asked.iter().filter_map(|(address, answer)| {
        let best = answer.as_ref().ok()?.iter().find(|partition| partition.group == 0)?;
        Some((address, best))
    });
    let Some((address, known)) = known.max_by_key(|(_, partition)| knows(partition)) else {
        let reasons: Vec<String> = asked
            .iter()
            .map(|(at, answer)| match answer {
                Ok(_) => format!("{at}: it takes part in no partition"),
                Err(reason) => format!("{at}: {reason}"),
            })
            .collect();
        return Err(Failure::new(FAILED, format!("no node answers:\n{}", reasons.join("\n"))));
    };
    if known.role() != Role::Leader {
        say(format_args!("(as {address} knows it: no leader answers)"));
    }
    say(format_args!("{:<5}{:<22}{:<9}leads", "node", "address", "member"));
    for Member { id, address, voter } in &known.members {
        let leads = known.leader.as_ref().is_some_and(|leader| leader.id == *id);
        let votes = if *voter { "voter" } else { "learner" };
        say(format_args!("{id:<5}{address:<22}{votes:<9}{}", if leads { "yes" } else { "-" }));
    }
    Ok(ExitCode::SUCCESS)
}

async fn partitions(client: &Client, to: Vec<String>) -> ExitCode {
    let asked = each(client, to, async |client, at| client.partitions(at).await).await;
    say(format_args!(
        "{:<7}{:<22}{:<11}{:<8}{:>5}{:>9}{:>11}{:>9}{:>10}{:>8}",
        "group",
        "address",
        "role",
        "leader",
        "term",
        "last",
        "committed",
        "applied",
        "snapshot",
        "purged"
    ));
    for (address, answer) in &asked {
        match answer {
            Ok(partitions) => {
                partitions.iter().for_each(|partition| say(PartitionRow { address, partition }))
            }
            Err(reason) => say(format_args!("{:<7}{address:<22}no answer: {reason}", "?")),
        }
    }
    code(asked.iter().any(|(_, answer)| answer.is_ok()))
}

async fn snapshot(client: &Client, to: Vec<String>) -> ExitCode {
    let asked = each(client, to, async |client, at| client.snapshot(at).await).await;
    say(format_args!("{:<22}{:>9}{:>7}{:>12}  id", "address", "index", "term", "size"));
    for (address, answer) in &asked {
        match answer {
            Ok(SnapshotBuilt { index, term, bytes, id }) => {
                let size = Bytes(*bytes);
                say(format_args!("{address:<22}{index:>9}{term:>7}{size:>12}  {id}"));
            }
            Err(reason) => say(format_args!("{address:<22}no snapshot: {reason}")),
        }
    }
    code(asked.iter().all(|(_, answer)| answer.is_ok()))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "?",
        Role::Applicant => "applicant",
        Role::Learner => "learner",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Stopped => "stopped",
    }
}

/// A number, if there is one.
fn some(number: Option<u64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

struct Status<'a> {
    address: &'a str,
    status: &'a StatusResponse,
}

impl Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, status } = self;
        let role = role(status.role());
        let member = status.members.iter().find(|member| member.id == status.id);
        let member = member.map_or("no", |member| if member.voter { "voter" } else { "learner" });
        let applied = some(status.last_applied);
        let StatusResponse { id, term, keys, .. } = status;
        write!(f, "{id:<5}{address:<22}{role:<11}{member:<9}{term:>5}{applied:>9}{keys:>10}  ")?;
        status.digest.iter().flatten().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Health<'a> {
    address: &'a str,
    health: &'a HealthResponse,
}

impl Display for Health<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, health: HealthResponse { id, dead, unready } } = self;
        let (health, why) = match dead {
            Some(dead) => ("dead", dead.clone()),
            None if unready.is_empty() => ("ready", "-".to_owned()),
            None => ("unready", unready.join("; ")),
        };
        write!(f, "{id:<5}{address:<22}{health:<9}{why}")
    }
}

struct PartitionRow<'a> {
    address: &'a str,
    partition: &'a Partition,
}

impl Display for PartitionRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, partition } = self;
        let role = role(partition.role());
        let leader = some(partition.leader.as_ref().map(|leader| leader.id));
        let Partition { group, term, last, committed, applied, snapshot, purged, .. } = partition;
        let [last, committed, applied, snapshot, purged] =
            [last, committed, applied, snapshot, purged].map(|index| some(*index));
        write!(
            f,
            "{group:<7}{address:<22}{role:<11}{leader:<8}{term:>5}{last:>9}{committed:>11}{applied:>9}\
             {snapshot:>10}{purged:>8}"
        )
    }
}

struct Members<'a>(&'a [Member]);

impl Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("members:")?;
        self.0.iter().try_for_each(|Member { id, address, voter }| {
            write!(f, " {id} at {address}{}", if *voter { "" } else { " (learner)" })
        })
    }
}
