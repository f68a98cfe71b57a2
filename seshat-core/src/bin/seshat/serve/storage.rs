//! Where a node keeps what it must not forget: opened, or refused with what to do.
//!
//! Guarantees: whether to wait, to mend the configuration or to replace the node is an exit code each. Nothing
//! in a directory that is refused is changed.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use seshat_core::config::NodeConfig;
use seshat_core::disk::{DiskOptions, DiskStorage, EntryError, NoSnapshot, OpenError};
use seshat_core::network::grpc::AdmissionError;
use seshat_core::wal::{self, Damage, LostEntries, ReadError, Wrong};

use crate::codes::node::{DAMAGED, FAILED, IN_USE, LOST_MEMORY, NOT_ITS_OWN};
use crate::{Failure, chain};

/// Opens the storage in `dir`, off the runtime's threads.
pub(crate) async fn open(config: &NodeConfig, dir: PathBuf) -> Result<DiskStorage, Failure> {
    let options = DiskOptions::new(config.cluster_name(), config.node_id());
    let opened = {
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || DiskStorage::open(dir, options)).await
    };
    let panicked = |error| Failure::of(FAILED, "the storage could not be opened", error);
    opened.map_err(panicked)?.map_err(|error| refused(config, &dir, error))
}

fn refused(config: &NodeConfig, dir: &Path, error: OpenError) -> Failure {
    let (id, at) = (config.node_id(), dir.display());
    if let Some(damage) = damage(&error) {
        return Failure::new(DAMAGED, replace(config, dir, &damage));
    }
    match error {
        OpenError::Log(error @ wal::OpenError::Locked { .. }) => Failure::new(
            IN_USE,
            format!(
                "data_dir {at} is in use: {error}. End that, or give node {id} another directory"
            ),
        ),
        OpenError::Log(
            error @ (wal::OpenError::OtherNode { .. } | wal::OpenError::OtherCluster { .. }),
        ) => Failure::new(
            NOT_ITS_OWN,
            format!(
                "data_dir {at} is not this node's: {error}. Mend node_id, cluster_name or data_dir"
            ),
        ),
        OpenError::Log(error @ (wal::OpenError::Newer { .. } | wal::OpenError::Damaged(_))) => {
            Failure::new(NOT_ITS_OWN, format!("data_dir {at} is of a newer version: {error}"))
        }
        error => {
            let words = chain(&error);
            let way = "it has to be a directory, and this user's to read and write";
            Failure::new(FAILED, format!("data_dir {at} can't be opened: {words}; {way}"))
        }
    }
}

/// What is damaged, and which entries that affects; `None` if it is something else that is wrong.
fn damage(error: &OpenError) -> Option<String> {
    Some(match error {
        OpenError::Log(wal::OpenError::Damaged(damage)) => match &**damage {
            Damage { wrong: Wrong::Kind(_), .. } => return None,
            Damage { file, offset, wrong, lost, .. } => {
                format!("{file} at byte {offset}: {wrong}{}", affected(lost))
            }
        },
        OpenError::NoSnapshot(no_snapshot) => {
            let NoSnapshot { purged, tried } = &**no_snapshot;
            let purged = purged.map_or(0, |purged| purged.index);
            let first = format!("no snapshot reaches entry {purged}, where the log begins");
            tried.iter().fold(first, |text, (file, wrong)| format!("{text}; snap/{file}: {wrong}"))
        }
        OpenError::Entry(EntryError::Log(ReadError::Failed(_) | ReadError::Stopped(_))) => {
            return None;
        }
        OpenError::Invalid { .. } | OpenError::Entry(_) | OpenError::Order(_) => chain(error),
        OpenError::Log(_) | OpenError::Failed(_) | OpenError::Thread(_) => return None,
    })
}

fn affected(lost: &[LostEntries]) -> String {
    lost.iter().fold(String::new(), |mut text, LostEntries { from, to, .. }| {
        let _ = match to {
            Some(to) if from == to => write!(text, "; entry {from} is affected"),
            Some(to) => write!(text, "; entries {from} to {to} are affected"),
            None => write!(text, "; entries from {from} on are affected"),
        };
        text
    })
}

/// The six lines that an operator needs.
fn replace(config: &NodeConfig, dir: &Path, damage: &str) -> String {
    let (id, at) = (config.node_id(), dir.display());
    let address = config.members().get(&id).map_or("HOST:PORT", String::as_str);
    format!(
        "data_dir {at} is damaged: {damage}\n\
         Nothing in it was changed. Node {id} may have promised what it can't keep any more, so it must not go on:\n\
         1. remove it from its cluster: seshat client --to ADDRESS remove {id}\n\
         2. move its directory away: mv {at} {at}.damaged\n\
         3. start it again, and it waits to be added\n\
         4. add it, and it is sent all that it lacks: seshat client --to ADDRESS add {id} {address}"
    )
}

/// The cluster knows the node, which has nothing.
pub(crate) fn forgotten(config: &NodeConfig, error: &AdmissionError) -> Failure {
    let words = chain(error);
    Failure::new(
        LOST_MEMORY,
        match config.data_dir() {
            Some(dir) => format!("data_dir {} is empty: {words}", dir.display()),
            None => words,
        },
    )
}
