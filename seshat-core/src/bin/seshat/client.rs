//! `seshat client`: what a cluster is asked for, and what is printed of it.
//!
//! Guarantee: no operation is applied twice ([`client`](seshat_core::client)).

mod admin;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use seshat_core::client::{Client, ClientError};
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
    let client = Client::new(options.to.clone(), tls, timeout)?;
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
        Command::Admin(command) => return admin::run(command, &client, options.to).await,
    }
    tracing::debug!(retries = client.retries(), "done");
    Ok(ExitCode::SUCCESS)
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
