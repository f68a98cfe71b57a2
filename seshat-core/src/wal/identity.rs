//! `IDENTITY`: whose directory it is.
//!
//! Written once, as the last step of creating a log: a directory that has it has a log, and one that has it
//! and no log has lost it. 8 bytes that say what it is, the length and the XXH3 of the rest, each a u64, and
//! the message [`Identity`](v1::Identity).

use prost::Message as _;
use twox_hash::XxHash3_64;

use super::error::{Call, Context, Damage, Failure, OpenError, Wrong};
use super::frame::u64_at;
use super::fs::{File, FileSystem};
use super::segment::FORMAT;
use super::{Lsn, record};
use crate::proto::v1;

pub(super) const FILE: &str = "IDENTITY";
const UNFINISHED: &str = "IDENTITY.tmp";
const MAGIC: [u8; 8] = *b"SESHATID";
const HEAD: usize = 24;
/// More than any name of a cluster takes.
const MAX_LEN: u64 = 64 << 10;

fn damaged() -> Box<Damage> {
    let (file, wrong) = (FILE.to_owned(), Wrong::Header);
    Box::new(Damage { file, offset: 0, lsn: Lsn(0), wrong, lost: Vec::new() })
}

/// What is written there; `None` if the file isn't there.
pub(super) fn read<F: FileSystem>(fs: &F) -> Result<Option<v1::Identity>, OpenError> {
    if !fs.list("").during(Call::List, "")?.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    let file = fs.open(FILE).during(Call::Open, FILE)?;
    let len = file.len().during(Call::Length, FILE)?;
    let len = usize::try_from(len).ok().filter(|len| (HEAD..=MAX_LEN as usize).contains(len));
    let mut bytes = vec![0; len.ok_or_else(damaged)?];
    file.read_at(&mut bytes, 0).during(Call::Read, FILE)?;
    let (head, body) = bytes.split_at_checked(HEAD).ok_or_else(damaged)?;
    let whole = head.starts_with(&MAGIC)
        && u64_at(head, 8) == body.len() as u64
        && u64_at(head, 16) == XxHash3_64::oneshot(body);
    if !whole {
        return Err(damaged().into());
    }
    // A newer format may have fields that are refused, so its number is looked at first.
    let known = v1::Identity::decode(body).map_err(|_| damaged())?.format_version;
    if known == 0 || known > FORMAT {
        return Err(OpenError::Newer { file: FILE.to_owned(), got: known, known: FORMAT });
    }
    Ok(Some(record::decode(body).map_err(|_| damaged())?))
}

/// Makes it durable, under a name that it gets when it is whole.
pub(super) fn write<F: FileSystem>(fs: &F, identity: &v1::Identity) -> Result<(), Failure> {
    let body = identity.encode_to_vec();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&XxHash3_64::oneshot(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    let file = fs.create(UNFINISHED).during(Call::Open, UNFINISHED)?;
    file.write_at(&bytes, 0).during(Call::Write, UNFINISHED)?;
    file.sync().during(Call::Sync, UNFINISHED)?;
    fs.rename(UNFINISHED, FILE).during(Call::Rename, FILE)?;
    fs.sync_folder("").during(Call::SyncFolder, "")
}

/// Whether it is the one that is expected, but for the store's id.
pub(super) fn check(got: &v1::Identity, cluster: &str, node_id: u64) -> Result<(), OpenError> {
    if got.cluster != cluster {
        let (got, expected) = (got.cluster.clone(), cluster.to_owned());
        return Err(OpenError::OtherCluster { got, expected });
    }
    if got.node_id != node_id {
        return Err(OpenError::OtherNode { got: got.node_id, expected: node_id });
    }
    Ok(())
}
