//! `seshat client`: what a cluster is asked for, and what is printed of it.
//!
//! Guarantee: no operation is applied twice ([`client`](seshat_core::client)).

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use seshat_core::client::{Client, ClientError};
use seshat_core::proto::client::{Member, Role, StatusResponse};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::Failure;
use crate::arguments::{ClientCommand as Command, ClientOptions, Logs};
use crate::codes::node::{FAILED, UNKNOWN, WRONG_USAGE};
use crate::running::{self, say};

pub(crate) fn run(options: ClientOptions) -> Result<ExitCode, Failure> {
    running::run(Logs::Text, ask(options))
}

async fn ask(options: ClientOptions) -> Result<ExitCode, Failure> {
    let tls = tls(&options)?;
    let timeout = Duration::from_secs(options.timeout);
    let mut client = Client::new(options.to.clone(), tls, timeout)?;
    match options.command {
        Command::Set { key, value } => {
            client.set(bytes(key), bytes(value)).await?;
            say("OK");
        }
        Command::Get { key } => match client.get(bytes(key)).await? {
            Some(value) => print(&value),
            None => say("(nil)"),
        },
        Command::Del { keys } => {
            say(client.del(keys.into_iter().map(bytes).collect()).await?);
        }
        Command::Status => return status(&mut client, options.to).await,
        Command::Add { id, address } => say(Members(client.add(id, &address).await?)),
        Command::Remove { id } => say(Members(client.remove(id).await?)),
    }
    tracing::debug!(retries = client.retries(), "done");
    Ok(ExitCode::SUCCESS)
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Address { .. } => Self::of(WRONG_USAGE, "--to", error),
            ClientError::Refused { .. } | ClientError::TooLate { .. } => {
                Self::new(FAILED, error.to_string())
            }
            ClientError::Unknown { .. } => {
                let what =
                    "it may have been applied, may be yet, or never; look before you repeat it";
                Self::new(UNKNOWN, format!("{error}: {what}"))
            }
        }
    }
}

fn tls(options: &ClientOptions) -> Result<Option<ClientTlsConfig>, Failure> {
    let Some(ca) = &options.ca else { return Ok(None) };
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(file("--ca", ca)?));
    Ok(Some(match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            tls.identity(Identity::from_pem(file("--cert", cert)?, file("--key", key)?))
        }
        _ => tls,
    }))
}

fn file(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::of(WRONG_USAGE, format!("{option} {} can't be read", path.display()), error)
    })
}

/// As they were typed.
fn bytes(argument: OsString) -> Bytes {
    argument.into_encoded_bytes().into()
}

/// As they are stored, and a line's end.
fn print(value: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(value).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Every node that was named.
async fn status(client: &mut Client, mut to: Vec<String>) -> Result<ExitCode, Failure> {
    to.sort();
    to.dedup();
    let mut asked = Vec::new();
    for address in to {
        let answer = client.status(&address).await;
        asked.push((address, answer));
    }
    say(format_args!(
        "{:<5}{:<22}{:<11}{:<9}{:>5}{:>9}{:>10}  digest",
        "node", "address", "role", "member", "term", "applied", "keys"
    ));
    for (address, answer) in &asked {
        match answer {
            Ok(status) => say(Row { address, status }),
            Err(reason) => say(format_args!("{:<5}{address:<22}no answer: {reason}", "?")),
        }
    }
    let answered = asked.iter().any(|(_, answer)| answer.is_ok());
    Ok(ExitCode::from(if answered { 0 } else { FAILED }))
}

struct Row<'a> {
    address: &'a str,
    status: &'a StatusResponse,
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, status } = self;
        let role = match status.role() {
            Role::Unspecified => "?",
            Role::Applicant => "applicant",
            Role::Learner => "learner",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
            Role::Stopped => "stopped",
        };
        let member = status.members.iter().find(|member| member.id == status.id);
        let member = member.map_or("no", |member| if member.voter { "voter" } else { "learner" });
        let applied = status.last_applied.map_or("-".to_owned(), |index| index.to_string());
        let StatusResponse { id, term, keys, .. } = status;
        write!(f, "{id:<5}{address:<22}{role:<11}{member:<9}{term:>5}{applied:>9}{keys:>10}  ")?;
        status.digest.iter().flatten().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Members(Vec<Member>);

impl std::fmt::Display for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("members:")?;
        self.0.iter().try_for_each(|Member { id, address, voter }| {
            write!(f, " {id} at {address}{}", if *voter { "" } else { " (learner)" })
        })
    }
}
