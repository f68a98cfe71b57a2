//! `seshat client`: what a cluster is asked for, and what is printed of it.
//!
//! Guarantee: no operation is applied twice ([`client`](seshat_core::client)).

mod admin;
mod load;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use seshat_core::client::{
    Behind, Client, ClientError, Condition, Page, ReadLevel, Scan, SetOptions, SetOutcome, Values,
};

use crate::Failure;
use crate::arguments::{ClientCommand as Command, ClientOptions, Logs, Read};
use crate::codes::node::{FAILED, UNKNOWN, WRONG_USAGE};
use crate::running::{self, say};

pub(crate) fn run(options: ClientOptions) -> Result<ExitCode, Failure> {
    running::run(Logs::Text, ask(options))
}

async fn ask(options: ClientOptions) -> Result<ExitCode, Failure> {
    let tls = options.reach.tls(WRONG_USAGE)?;
    let timeout = Duration::from_secs(options.timeout);
    let client = Client::new(options.reach.to.clone(), tls, timeout)?;
    match options.command {
        Command::Set { key, value, nx, xx, get } => {
            let condition = match (nx, xx) {
                (true, _) => Some(Condition::Absent),
                (_, true) => Some(Condition::Present),
                _ => None,
            };
            let options = SetOptions { condition, get };
            let outcome = client.set_with(bytes(key), bytes(value), options).await?;
            match outcome {
                SetOutcome { previous: Some(previous), .. } => print(&previous),
                SetOutcome { set: true, .. } if !get => say("OK"),
                _ => say("(nil)"),
            }
        }
        Command::Get { keys, read } => {
            let keys = keys.into_iter().map(bytes).collect();
            let Values { values, behind } = client.get_many(keys, level(read)).await?;
            tell(behind);
            for value in values {
                match value {
                    Some(value) => print(&value),
                    None => say("(nil)"),
                }
            }
        }
        Command::Scan { prefix, after, limit, keys, read } => {
            let (prefix, cursor, level) = (bytes(prefix), after.map(bytes), level(read));
            let scan = Scan { prefix, cursor, keys_only: keys, level, ..Scan::default() };
            self::scan(&client, scan, limit.unwrap_or(u64::MAX)).await?;
        }
        Command::Load { file, in_flight } => {
            return load::run(&client, &file, in_flight.into()).await;
        }
        Command::Del { keys } => {
            say(client.del(keys.into_iter().map(bytes).collect()).await?);
        }
        Command::Admin(command) => return admin::run(command, &client, options.reach.to).await,
    }
    tracing::debug!(retries = client.retries(), "done");
    Ok(ExitCode::SUCCESS)
}

fn level(read: Read) -> ReadLevel {
    match read {
        Read::Linearizable => ReadLevel::Linearizable,
        Read::Leader => ReadLevel::Leader,
        Read::Local => ReadLevel::Local,
    }
}

/// How far what was read is behind, where that was said.
fn tell(behind: Option<Behind>) {
    let Some(Behind { applied, committed, heard }) = behind else { return };
    let index = |index: Option<u64>| index.map_or("nothing".to_owned(), |index| index.to_string());
    let heard = heard.map_or("nothing of a leader yet".to_owned(), |it| format!("{it:?} ago"));
    let (applied, committed) = (index(applied), index(committed));
    let words = format!("applied {applied}, committed {committed}, heard {heard}");
    let _ = writeln!(io::stderr(), "{words}");
}

/// Page by page, as long as there are more and they are wanted.
async fn scan(client: &Client, mut scan: Scan, mut left: u64) -> Result<(), Failure> {
    while left > 0 {
        scan.max_keys = u32::try_from(left).unwrap_or(0);
        let Page { records, next, behind } = client.scan(&scan).await?;
        tell(behind);
        left -= (records.len() as u64).min(left);
        let mut out = io::stdout().lock();
        for (key, value) in records {
            let line = match scan.keys_only {
                true => writeln!(out, "{}", Quoted(&key)),
                false => writeln!(out, "SET {} {}", Quoted(&key), Quoted(&value)),
            };
            // Who closed it has had enough.
            if line.is_err() {
                return Ok(());
            }
        }
        let _ = out.flush();
        match next {
            Some(next) => scan.cursor = Some(next),
            None => break,
        }
    }
    Ok(())
}

/// As redis-cli quotes it, and takes it.
struct Quoted<'a>(&'a [u8]);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"")?;
        for byte in self.0 {
            match byte {
                b'\'' => f.write_str("'")?,
                _ => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        f.write_str("\"")
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Nobody | ClientError::Address { .. } => {
                Self::of(WRONG_USAGE, "--to", error)
            }
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

/// As they were typed.
fn bytes(argument: OsString) -> Bytes {
    argument.into_encoded_bytes().into()
}

/// As they are stored, and a line's end.
fn print(value: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(value).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}
