//! [`Show`]: a decoded value as text, in words of our own.
//!
//! Frozen with the fixtures: `Debug` may change with a dependency, and then every fixture would.

use bytes::Bytes;
use seshat_core::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotHeader, FullSnapshotPart, Message,
    SnapshotOffsetRequest, SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Condition, Operation, Response};
use seshat_core::proto::v1;
use seshat_core::snapshot::Header;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};

pub(crate) trait Show {
    fn show(&self) -> String;
}

fn list<'a, T: Show + 'a>(values: impl IntoIterator<Item = &'a T>, between: &str) -> String {
    values.into_iter().map(Show::show).collect::<Vec<_>>().join(between)
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Show::show)
    }
}

impl Show for Bytes {
    fn show(&self) -> String {
        match self.first() {
            Some(first) if self.len() > 40 && self.iter().all(|byte| byte == first) => {
                format!("{} * \"{}\"", self.len(), [*first].escape_ascii())
            }
            _ => format!("\"{}\"", self.escape_ascii()),
        }
    }
}

impl Show for Operation {
    fn show(&self) -> String {
        match self {
            Self::Set(set) => {
                let condition = match set.condition() {
                    None => "",
                    Some(Condition::Absent) => " NX",
                    Some(Condition::Present) => " XX",
                };
                let get = if set.get() { " GET" } else { "" };
                format!("SET {} {}{condition}{get}", set.key().show(), set.value().show())
            }
            Self::Del(del) => {
                let keys: Vec<Bytes> = del.keys().iter().map(Bytes::copy_from_slice).collect();
                format!("DEL {}", list(&keys, " "))
            }
        }
    }
}

impl Show for Batch {
    fn show(&self) -> String {
        match self.raises() {
            Some(format) => format!("[raise to format {format}]"),
            None => format!("[{}]", list(self.operations(), ", ")),
        }
    }
}

impl Show for Response {
    fn show(&self) -> String {
        match self {
            Self::Set { previous } => format!("SET replaced {}", previous.show()),
            Self::NotSet { previous } => format!("SET not set, found {}", previous.show()),
            Self::Del { deleted } => format!("DEL deleted {deleted}"),
        }
    }
}

impl Show for LogId {
    fn show(&self) -> String {
        let Self { leader_id, index } = self;
        format!("t{}.n{}.i{index}", leader_id.term, leader_id.node_id)
    }
}

impl Show for Vote {
    fn show(&self) -> String {
        let committed = if self.committed { " committed" } else { "" };
        format!("t{}.n{}{committed}", self.leader_id.term, self.leader_id.node_id)
    }
}

impl Show for HardState {
    fn show(&self) -> String {
        let Self { vote, committed, purged } = self;
        let (committed, purged) = (committed.show(), purged.show());
        format!("vote {}; committed {committed}; purged {purged}", vote.show())
    }
}

impl Show for Entry {
    fn show(&self) -> String {
        let payload = match &self.payload {
            EntryPayload::Blank => "blank".to_owned(),
            EntryPayload::Normal(batch) => batch.show(),
            EntryPayload::Membership(membership) => membership.show(),
        };
        format!("{} {payload}", self.log_id.show())
    }
}

impl Show for Membership {
    fn show(&self) -> String {
        let voters = self.get_joint_config().iter().map(|set| format!("{set:?}"));
        let members = self.nodes().map(|(id, node)| format!("{id} at \"{}\"", node.addr));
        let (voters, members): (Vec<_>, Vec<_>) = (voters.collect(), members.collect());
        format!("voters [{}] of members [{}]", voters.join(", "), members.join(", "))
    }
}

impl Show for StoredMembership {
    fn show(&self) -> String {
        format!("{} by {}", self.membership().show(), self.log_id().show())
    }
}

impl Show for SnapshotMeta {
    fn show(&self) -> String {
        let (last, membership) = (self.last_log_id.show(), self.last_membership.show());
        format!("snapshot {:?}; up to {last}; {membership}", self.snapshot_id)
    }
}

impl Show for Header {
    fn show(&self) -> String {
        let (last, membership) = (self.last_log_id.show(), self.last_membership.show());
        let Self { format_version, record_count, record_bytes, .. } = self;
        let format =
            if *format_version > 1 { format!("; format {format_version}") } else { "".into() };
        format!(
            "up to {last}; {membership}; {record_count} records of {record_bytes} bytes{format}"
        )
    }
}

impl Show for AppendEntriesRequest {
    fn show(&self) -> String {
        let (previous, committed) = (self.prev_log_id.show(), self.leader_commit.show());
        let head = format!("vote {}; after {previous}; committed {committed}", self.vote.show());
        std::iter::once(head)
            .chain(self.entries.iter().map(Show::show))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Show for AppendEntriesResponse {
    fn show(&self) -> String {
        match self {
            Self::Success => "success".to_owned(),
            Self::PartialSuccess(matching) => format!("matching {}", matching.show()),
            Self::Conflict => "conflict".to_owned(),
            Self::HigherVote(vote) => format!("higher vote {}", vote.show()),
        }
    }
}

impl Show for VoteRequest {
    fn show(&self) -> String {
        format!("vote {}; last {}", self.vote.show(), self.last_log_id.show())
    }
}

impl Show for VoteResponse {
    fn show(&self) -> String {
        let granted = if self.vote_granted { "granted" } else { "refused" };
        format!("{granted}; vote {}; last {}", self.vote.show(), self.last_log_id.show())
    }
}

impl Show for InstallSnapshotRequest {
    fn show(&self) -> String {
        let data = Bytes::from(self.data.clone()).show();
        let done = if self.done { "; done" } else { "" };
        let (vote, meta) = (self.vote.show(), self.meta.show());
        format!("vote {vote}; {meta}; from {}; {data}{done}", self.offset)
    }
}

impl Show for InstallSnapshotResponse {
    fn show(&self) -> String {
        format!("vote {}", self.vote.show())
    }
}

impl Show for FullSnapshotHeader {
    fn show(&self) -> String {
        let from = if self.offset > 0 { format!(" from {}", self.offset) } else { String::new() };
        let checksum = self.checksum.map(|checksum| format!(", checksum {checksum:#018x}"));
        let (vote, meta, checksum) =
            (self.vote.show(), self.meta.show(), checksum.unwrap_or_default());
        format!("vote {vote}; {meta}; {} bytes{from}{checksum}", self.length)
    }
}

impl Show for FullSnapshotPart {
    fn show(&self) -> String {
        match self {
            Self::Header(header) => header.show(),
            Self::Chunk(bytes) => bytes.show(),
            Self::Trailer { checksum } => format!("checksum {checksum:#018x}"),
        }
    }
}

impl Show for SnapshotOffsetRequest {
    fn show(&self) -> String {
        format!("{} bytes, checksum {:#018x}", self.length, self.checksum)
    }
}

impl Show for SnapshotOffsetResponse {
    fn show(&self) -> String {
        format!("from {}, installing {}{}", self.offset, self.installing, reads(self.reads))
    }
}

impl Show for StandingRequest {
    fn show(&self) -> String {
        let reads = reads(self.reads);
        format!("node {}, incarnation {:#018x}{reads}", self.node_id, self.incarnation)
    }
}

impl Show for StandingResponse {
    fn show(&self) -> String {
        let Self { formed, member, confirmed, heard, leadership, incarnation, .. } = self;
        let known =
            format!("formed {formed}, member {member}, confirmed {confirmed}, heard {heard}");
        let leads = leadership.map_or_else(String::new, |leads| {
            format!("; leads by {}, committed {}", leads.vote.show(), leads.committed.show())
        });
        let incarnation = match incarnation {
            0 => String::new(),
            some => format!("; incarnation {some:#018x}"),
        };
        let writes = match self.writes {
            1 => String::new(),
            some => format!(", writes {some}"),
        };
        known + &leads + &incarnation + &reads(self.reads) + &writes
    }
}

/// Older nodes say nothing of formats.
fn reads(format: u32) -> String {
    match format {
        1 => String::new(),
        some => format!("; reads {some}"),
    }
}

impl Show for FormatsRequest {
    fn show(&self) -> String {
        "which formats?".to_owned()
    }
}

impl Show for FormatsResponse {
    fn show(&self) -> String {
        format!("reads {}, agrees to {}", self.reads, self.agrees)
    }
}

impl Show for SnapshotResponse {
    fn show(&self) -> String {
        format!("vote {}", self.vote.show())
    }
}

impl Show for v1::Entries {
    fn show(&self) -> String {
        let entry = |entry: &v1::Entry| Entry::decode(prost::Message::encode_to_vec(entry).into());
        let entries = self.entries.iter().map(entry).collect::<Result<Vec<_>, _>>();
        list(&entries.expect("entries"), "\n")
    }
}

impl Show for v1::Truncate {
    fn show(&self) -> String {
        format!("truncate since {}", self.since)
    }
}

/// As it is shown where it is a domain type.
fn id(id: Option<v1::LogId>) -> String {
    id.map(|id| LogId::try_from(id).expect("a log id")).show()
}

impl Show for v1::Committed {
    fn show(&self) -> String {
        format!("committed {}", id(self.log_id))
    }
}

impl Show for v1::SnapshotPointer {
    fn show(&self) -> String {
        let meta = SnapshotMeta::try_from(self.meta.clone().expect("a meta")).expect("a meta");
        format!("{:?}, {} bytes: {}", self.file, self.length, meta.show())
    }
}

impl Show for v1::GroupState {
    fn show(&self) -> String {
        let vote = self.vote.map(|vote| Vote::try_from(vote).expect("a vote")).show();
        let (committed, purged) = (id(self.committed), id(self.purged));
        let entries = format!("entries {}..{}", self.first_index, self.next_index);
        let state = format!("vote {vote}; committed {committed}; purged {purged}; {entries}");
        let probation = self.probation.map(|it| format!("; {}", it.show())).unwrap_or_default();
        format!("group {}: {state}; snapshot {}{probation}", self.group, self.snapshot.show())
    }
}

impl Show for v1::Probation {
    fn show(&self) -> String {
        let vote = self.vote.map(|vote| Vote::try_from(vote).expect("a vote")).show();
        format!("on probation by vote {vote}, until {}", id(self.committed))
    }
}

impl Show for v1::Checkpoint {
    fn show(&self) -> String {
        list(&self.groups, "\n")
    }
}

impl Show for v1::Identity {
    fn show(&self) -> String {
        let Self { format_version, cluster, node_id, store_id } = self;
        format!(
            "format {format_version}; cluster {cluster:?}; node {node_id}; store {store_id:016x}"
        )
    }
}
