//! Fixtures as values of Seshat's own types, and those as bytes again.

use bytes::Bytes;
use seshat_core::codec::{
    DecodeError, FormatsRequest, FormatsResponse, FullSnapshotPart, Message, SnapshotOffsetRequest,
    SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::proto::v1;
use seshat_core::snapshot::{self, Header};
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};

use super::kept::Kept;
use super::value;
use crate::failure::{Failure, Kind};
use crate::fixtures::wire::{Recorded, SEGMENT, SNAPSHOT, all, split};
use crate::lab::Lab;
use crate::outcome::Verdict;

/// What an older version wrote is written in today's format, and then only read; so far there is
/// one version.
pub(super) async fn decode(lab: &Lab) -> Verdict {
    for recorded in all()? {
        let Recorded { name, kind, bytes } = &recorded;
        let again = match *kind {
            SEGMENT => segment_of(&recorded)?.encode(),
            SNAPSHOT => snapshot_again(&recorded)?,
            kind => {
                let again = message_again(kind, bytes.clone());
                again.map_err(|error| Failure::error(format!("reading {name}"), error))?
            }
        };
        lab.as_recorded(&format!("writing {name} again"), &again, bytes)?;
    }
    Ok(())
}

fn message_again(kind: &str, bytes: Bytes) -> Result<Vec<u8>, String> {
    fn by<M: Message>(bytes: Bytes) -> Result<Bytes, DecodeError> {
        M::decode(bytes).map(|value| value.encode())
    }
    let again = match kind {
        "Operation" => by::<Operation>(bytes),
        "Batch" => by::<Batch>(bytes),
        "Response" => by::<Response>(bytes),
        "LogId" => by::<LogId>(bytes),
        "Vote" => by::<Vote>(bytes),
        "HardState" => by::<HardState>(bytes),
        "Entry" => by::<Entry>(bytes),
        "Membership" => by::<Membership>(bytes),
        "StoredMembership" => by::<StoredMembership>(bytes),
        "SnapshotMeta" => by::<SnapshotMeta>(bytes),
        "SnapshotHeader" => by::<Header>(bytes),
        "AppendEntriesRequest" => by::<AppendEntriesRequest>(bytes),
        "AppendEntriesResponse" => by::<AppendEntriesResponse>(bytes),
        "VoteRequest" => by::<VoteRequest>(bytes),
        "VoteResponse" => by::<VoteResponse>(bytes),
        "InstallSnapshotRequest" => by::<InstallSnapshotRequest>(bytes),
        "InstallSnapshotResponse" => by::<InstallSnapshotResponse>(bytes),
        "FullSnapshotRequest" => by::<FullSnapshotPart>(bytes),
        "FullSnapshotResponse" => by::<SnapshotResponse>(bytes),
        "SnapshotOffsetRequest" => by::<SnapshotOffsetRequest>(bytes),
        "FormatsRequest" => by::<FormatsRequest>(bytes),
        "FormatsResponse" => by::<FormatsResponse>(bytes),
        "SnapshotOffsetResponse" => by::<SnapshotOffsetResponse>(bytes),
        "StandingRequest" => by::<StandingRequest>(bytes),
        "StandingResponse" => by::<StandingResponse>(bytes),
        "Checkpoint" => by::<v1::Checkpoint>(bytes),
        "Committed" => by::<v1::Committed>(bytes),
        "Entries" => by::<v1::Entries>(bytes),
        "GroupState" => by::<v1::GroupState>(bytes),
        "Identity" => by::<v1::Identity>(bytes),
        "Probation" => by::<v1::Probation>(bytes),
        "SnapshotPointer" => by::<v1::SnapshotPointer>(bytes),
        "Truncate" => by::<v1::Truncate>(bytes),
        unknown => return Err(format!("the kit knows no message {unknown}")),
    };
    again.map(Into::into).map_err(|error| error.to_string())
}

fn parts(recorded: &Recorded) -> Result<Vec<Bytes>, Failure> {
    let Recorded { name, bytes, .. } = recorded;
    let cut = || Failure::new(Kind::Kit, format!("{name} is cut short"), "", "");
    split(bytes.clone()).filter(|parts| !parts.is_empty()).ok_or_else(cut)
}

pub(super) fn segment_of(recorded: &Recorded) -> Result<Kept, Failure> {
    let parts = parts(recorded)?;
    let (first, others) = parts.split_first().unwrap_or((&recorded.bytes, &[]));
    let entries = others.iter().map(|entry| value(&recorded.name, entry));
    Ok(Kept { state: value(&recorded.name, first)?, entries: entries.collect::<Result<_, _>>()? })
}

pub(super) fn header_of(recorded: &Recorded) -> Result<Header, Failure> {
    let parts = parts(recorded)?;
    value(&recorded.name, parts.first().unwrap_or(&recorded.bytes))
}

fn snapshot_again(recorded: &Recorded) -> Result<Vec<u8>, Failure> {
    let Recorded { name, bytes, .. } = recorded;
    let header = header_of(recorded)?;
    let meta = SnapshotMeta {
        last_log_id: header.last_log_id,
        last_membership: header.last_membership,
        snapshot_id: "once-sent".to_owned(),
    };
    let read = snapshot::read(bytes, &meta);
    let mut machine = read.map_err(|error| Failure::error(format!("reading {name}"), error))?;
    Ok(snapshot::write(&machine.freeze()).into())
}
