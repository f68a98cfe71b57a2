//! Bytes of every kind to text: what a fixture of any version must still read as.

use bytes::{Buf, Bytes};
use prost::encoding::decode_varint;
use seshat_core::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotPart, Message, SnapshotOffsetRequest,
    SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::machine::Machine;
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::proto::v1::{self, SnapshotRecord};
use seshat_core::snapshot::{self, Header};
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};

use super::show::Show;

/// What a fixture of a whole snapshot says it is.
pub(crate) const SNAPSHOT: &str = "a whole snapshot";
/// What a fixture of a hard state and entries says it is.
pub(crate) const SEGMENT: &str = "a log segment";

/// The value of `bytes` as text. `kind` is a message of the schema, or one of the above.
pub(crate) fn read(kind: &str, bytes: Bytes) -> Result<String, String> {
    type Reader = fn(Bytes) -> Result<String, String>;
    let readers: [(&str, Reader); 35] = [
        (Operation::NAME, message::<Operation>),
        (Batch::NAME, message::<Batch>),
        (Response::NAME, message::<Response>),
        (LogId::NAME, message::<LogId>),
        (Vote::NAME, message::<Vote>),
        (HardState::NAME, message::<HardState>),
        (Entry::NAME, message::<Entry>),
        (SEGMENT, segment),
        (Membership::NAME, message::<Membership>),
        (StoredMembership::NAME, message::<StoredMembership>),
        (SnapshotMeta::NAME, message::<SnapshotMeta>),
        (Header::NAME, message::<Header>),
        (SNAPSHOT, whole),
        (AppendEntriesRequest::NAME, message::<AppendEntriesRequest>),
        (AppendEntriesResponse::NAME, message::<AppendEntriesResponse>),
        (VoteRequest::NAME, message::<VoteRequest>),
        (VoteResponse::NAME, message::<VoteResponse>),
        (InstallSnapshotRequest::NAME, message::<InstallSnapshotRequest>),
        (InstallSnapshotResponse::NAME, message::<InstallSnapshotResponse>),
        (FullSnapshotPart::NAME, message::<FullSnapshotPart>),
        (SnapshotResponse::NAME, message::<SnapshotResponse>),
        (SnapshotOffsetRequest::NAME, message::<SnapshotOffsetRequest>),
        (SnapshotOffsetResponse::NAME, message::<SnapshotOffsetResponse>),
        (StandingRequest::NAME, message::<StandingRequest>),
        (StandingResponse::NAME, message::<StandingResponse>),
        (FormatsRequest::NAME, message::<FormatsRequest>),
        (FormatsResponse::NAME, message::<FormatsResponse>),
        (v1::Entries::NAME, message::<v1::Entries>),
        (v1::Truncate::NAME, message::<v1::Truncate>),
        (v1::Committed::NAME, message::<v1::Committed>),
        (v1::SnapshotPointer::NAME, message::<v1::SnapshotPointer>),
        (v1::Probation::NAME, message::<v1::Probation>),
        (v1::GroupState::NAME, message::<v1::GroupState>),
        (v1::Checkpoint::NAME, message::<v1::Checkpoint>),
        (v1::Identity::NAME, message::<v1::Identity>),
    ];
    match readers.iter().find(|(name, _)| *name == kind) {
        Some((_, reader)) => reader(bytes),
        None => Err(format!("nothing reads {kind:?}: give it a reader in read.rs")),
    }
}

fn message<M: Message + Show>(bytes: Bytes) -> Result<String, String> {
    M::decode(bytes).map(|value| value.show()).map_err(|error| error.to_string())
}

fn segment(bytes: Bytes) -> Result<String, String> {
    let (state, entries) = segment_of(bytes)?;
    let lines = std::iter::once(state.show()).chain(entries.iter().map(Show::show));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

pub(crate) fn segment_of(bytes: Bytes) -> Result<(HardState, Vec<Entry>), String> {
    let mut parts = split(bytes)?.into_iter();
    let state = HardState::decode(parts.next().ok_or("no hard state")?);
    let entries: Result<Vec<Entry>, _> = parts.map(Entry::decode).collect();
    let text = |error: seshat_core::codec::DecodeError| error.to_string();
    Ok((state.map_err(text)?, entries.map_err(text)?))
}

fn whole(bytes: Bytes) -> Result<String, String> {
    let machine = snapshot_of(bytes.clone())?;
    let parts = split(bytes)?;
    let mut text =
        format!("up to {}; {}", machine.last_applied().show(), machine.membership().show());
    for record in &parts[1..parts.len() - 1] {
        let record = <SnapshotRecord as prost::Message>::decode(record.clone());
        let key = record.map_err(|error| error.to_string())?.key;
        let value = machine.get(&key);
        text += &format!("\n{} = {}", key.show(), value.show());
    }
    Ok(text)
}

/// The machine that a snapshot holds. What its meta must say is taken from its header.
pub(crate) fn snapshot_of(bytes: Bytes) -> Result<Machine, String> {
    let header = split(bytes.clone())?.into_iter().next().ok_or("no header")?;
    let header = Header::decode(header).map_err(|error| error.to_string())?;
    let meta = SnapshotMeta {
        last_log_id: header.last_log_id,
        last_membership: header.last_membership,
        snapshot_id: "fixture".to_owned(),
    };
    snapshot::read(&bytes, &meta).map_err(|error| error.to_string())
}

/// Messages that each follow their length.
fn split(mut bytes: Bytes) -> Result<Vec<Bytes>, String> {
    let mut parts = Vec::new();
    while bytes.has_remaining() {
        let len = decode_varint(&mut bytes).map_err(|error| error.to_string())? as usize;
        if len > bytes.len() {
            return Err("a message is cut short".to_owned());
        }
        parts.push(bytes.split_to(len));
    }
    Ok(parts)
}
