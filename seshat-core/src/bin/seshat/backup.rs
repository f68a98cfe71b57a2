//! `seshat backup`: a running cluster's state, into a file.
//!
//! Guarantees: the file has its name only when it is whole, verified and durable; whatever else happens,
//! nothing is left of it. Nodes are asked one after the other until one has it: who isn't the leader says so.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use seshat_core::disk::inspect::Content;
use seshat_core::disk::seed::check_file;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::client::{BackupPart, BackupRequest, backup_part::Part};
use tokio::time::{Instant, timeout};
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::arguments::BackupOptions;
use crate::codes::{FAILED, INTERRUPTED, WRONG_USAGE};
use crate::words::{Bytes, Count, Id};
use crate::{Failure, chain};

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before all nodes are asked again.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn run(options: BackupOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let at = options.file.display().to_string();
    if options.file.exists() {
        let words = format!("{at} is there already: name a file that isn't");
        return Err(Failure::new(FAILED, words));
    }
    let endpoints = endpoints(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (from, content) = runtime.block_on(async {
        tokio::select! {
            done = back_up(&options, &endpoints) => done,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                Err(Failure::new(INTERRUPTED, format!("Ctrl-C: {at} is not written")))
            }
        }
    })?;
    let header = content.header;
    writeln!(
        out,
        "{at} is written, from {from}: {} of {} up to {}, checksum {:016x}",
        Count(header.record_count, "key"),
        Bytes(header.record_bytes),
        Id(header.last_log_id),
        content.checksum
    )?;
    Ok(ExitCode::SUCCESS)
}

fn endpoints(options: &BackupOptions) -> Result<Vec<(String, Endpoint)>, Failure> {
    let tls = options.reach.tls(WRONG_USAGE)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = |address: &String| {
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
        let endpoint = endpoint.connect_timeout(PATIENCE);
        match &tls {
            Some(tls) => endpoint.tls_config(tls.clone()),
            None => Ok(endpoint),
        }
    };
    let wrong = |address, error| {
        Failure::of(WRONG_USAGE, format!("--to {address} is not an address (HOST:PORT)"), error)
    };
    let each = options.reach.to.iter().map(|address| {
        let endpoint = endpoint(address).map_err(|error| wrong(address, error))?;
        Ok((address.clone(), endpoint))
    });
    each.collect()
}

/// Why a node has sent no backup.
enum Not {
    /// Another may, or this one later.
    Now(String),
    Ever(Failure),
}

impl From<Failure> for Not {
    fn from(failure: Failure) -> Self {
        Self::Ever(failure)
    }
}

/// From the first node that has it: its address, and what the file says of itself.
async fn back_up(
    options: &BackupOptions,
    endpoints: &[(String, Endpoint)],
) -> Result<(String, Content), Failure> {
    let patience = Duration::from_secs(options.timeout);
    let deadline = Instant::now() + patience;
    loop {
        let mut reasons = Vec::new();
        for (address, endpoint) in endpoints {
            match attempt(options, endpoint, patience).await {
                Ok(content) => return Ok((address.clone(), content)),
                Err(Not::Now(reason)) => reasons.push(format!("{address}: {reason}")),
                Err(Not::Ever(failure)) => {
                    return Err(Failure::of(
                        failure.code,
                        format!("no backup from {address}"),
                        failure,
                    ));
                }
            }
        }
        if Instant::now() + PAUSE >= deadline {
            let at = options.file.display();
            let words =
                format!("{at} is not written, as no node gave a backup:\n{}", reasons.join("\n"));
            return Err(Failure::new(FAILED, words));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(
    options: &BackupOptions,
    endpoint: &Endpoint,
    patience: Duration,
) -> Result<Content, Not> {
    let now = |error: &(dyn std::error::Error + 'static)| Not::Now(chain(error));
    let channel = endpoint.connect().await.map_err(|error| now(&error))?;
    let request = BackupRequest { local: options.local };
    let parts = ClientClient::new(channel).backup(request).await.map_err(refused)?.into_inner();
    let unfinished = Unfinished::beside(&options.file).map_err(unwritten)?;
    receive(parts, &unfinished, patience).await?;
    let content = check_file(&unfinished.path).map_err(|error| now(&error))?;
    unfinished.finish(&options.file).map_err(unwritten)?;
    Ok(content)
}

fn unwritten(error: io::Error) -> Failure {
    Failure::of(FAILED, "the file can't be written", error)
}

/// A status says that nothing was decided by the node, unless it knows no such call or wants nobody's.
fn refused(status: Status) -> Not {
    let words = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unimplemented => {
            let words = format!("{words}: the node's version has no backups");
            Not::Ever(Failure::new(FAILED, words))
        }
        Code::PermissionDenied | Code::Unauthenticated => Not::Ever(Failure::new(FAILED, words)),
        _ => Not::Now(words),
    }
}

async fn receive(
    mut parts: Streaming<BackupPart>,
    unfinished: &Unfinished,
    patience: Duration,
) -> Result<(), Not> {
    let mut file = &unfinished.file;
    let mut got = 0;
    loop {
        let part = timeout(patience, parts.message()).await;
        let part = part.map_err(|_| Not::Now(format!("nothing came for {patience:?}")))?;
        let part = part.map_err(refused)?.and_then(|part| part.part);
        match part {
            Some(Part::Bytes(bytes)) => {
                file.write_all(&bytes).map_err(unwritten)?;
                got += bytes.len() as u64;
            }
            Some(Part::End(end)) if end.length == got => return Ok(()),
            Some(Part::End(end)) => {
                return Err(Not::Now(format!("{got} bytes came of {}", end.length)));
            }
            Some(Part::NotLeader(not)) => {
                let leader = not.leader.map(|leader| format!("node {} leads", leader.id));
                return Err(Not::Now(
                    leader.unwrap_or_else(|| "nobody is known to lead".to_owned()),
                ));
            }
            Some(Part::Refused(refused)) if refused.later => return Err(Not::Now(refused.reason)),
            Some(Part::Refused(refused)) => {
                return Err(Not::Ever(Failure::new(FAILED, refused.reason)));
            }
            None => return Err(Not::Now(format!("it ended after {got} bytes"))),
        }
    }
}

/// A file that has no name yet; dropped, it goes.
struct Unfinished {
    file: fs::File,
    path: PathBuf,
}

impl Unfinished {
    fn beside(file: &Path) -> io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".unfinished");
        let path = PathBuf::from(name);
        let mut options = fs::OpenOptions::new();
        // It holds all that the cluster does, so it is nobody else's to read.
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    fn finish(self, name: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, name)?;
        let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After finish there is none.
        let _ = fs::remove_file(&self.path);
    }
}
