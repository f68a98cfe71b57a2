//! Family `wire`: what Seshat once wrote, put through a store on Seshat's types, is written the
//! same again. The bytes are the fixtures of `fixtures/wire`.

mod decode;
mod kept;

use std::any::Any;

use bytes::Bytes;
use seshat_core::codec::Message;
use seshat_core::log::HardState;
use seshat_core::types::{
    Entry, EntryPayload, LeaderId, LogId, Membership, SnapshotMeta, StoredMembership, Vote,
};

use self::decode::{decode, header_of, segment_of};
use self::kept::Kept;
use crate::check::{Check, check};
use crate::driver::seen::Own;
use crate::driver::seshat;
use crate::failure::{Failure, Kind};
use crate::fixtures::wire::{Recorded, SEGMENT, SNAPSHOT, of_kind};
use crate::lab::Lab;
use crate::outcome::Verdict;
use crate::subject::{Subject, text};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        // No store can break it: the codec is the kit's own. It is here so that a release whose
        // codec can't read the past is seen by whoever runs the kit, and so it is no Must.
        check!(
            "wire/decode", Should, [], needs: [SeshatTypes],
            promise: "Whatever any version ever wrote can be read, and is written the same again.",
            consequence: "After an upgrade a node can't read its own disk, or its neighbours.",
            reason: "What a stored format is, is between a store's versions.",
            run: decode,
        ),
        check!(
            "wire/entries", Must, [1, 40], needs: [SeshatTypes, Log],
            promise: "Entries of every kind, at the extremes of the format, come back bit by bit.",
            consequence: "A node sends its followers other entries than it was sent.",
            relies: [APPLY_READ, REPLICATE],
            run: entries,
        ),
        check!(
            "wire/votes", Must, [7, 8], needs: [SeshatTypes, Log],
            promise: "Votes at the extremes of the format come back bit by bit.",
            consequence: "A node votes twice in a term: two leaders, and committed entries are lost.",
            relies: [START_VOTE],
            run: votes,
        ),
        check!(
            "wire/segments", Must, [4, 8, 9, 40], needs: [SeshatTypes, Log],
            promise: "A log that was once stored, its vote, committed and purged ids come back bit by bit.",
            consequence: "A node that was moved to this store isn't the one that it was.",
            relies: [START_LOG, START_VOTE, START_LOG_IDS],
            run: segments,
        ),
        check!(
            "wire/memberships", Must, [19, 23, 35], needs: [SeshatTypes, Machine],
            promise: "Memberships of every form come back bit by bit, from the state and from its snapshots.",
            consequence: "Nodes count another quorum, or can't reach each other.",
            relies: [START_MEMBERSHIP],
            run: memberships,
        ),
        check!(
            "wire/snapshots", Must, [19, 29, 30, 33], needs: [SeshatTypes, Machine, SnapshotBytes],
            promise: "A snapshot that was once sent is installed, and built again byte by byte.",
            consequence: "In a cluster of several versions or stores, followers can't be caught up, or diverge.",
            relies: [SEND_CHUNKS, INSTALLED],
            run: snapshots,
        ),
    ]
}

/// What was seen is of Seshat's own type (`SeshatTypes`).
fn own<T: Any + Clone>(seen: &Own) -> Result<T, Failure> {
    seen.get().cloned().ok_or_else(other_types)
}

fn other_types() -> Failure {
    Failure::new(Kind::Kit, "other types", "", "")
}

/// A fixture as a value. That the kit's own codec reads it is what `wire/decode` is for.
fn value<M: Message>(name: &str, bytes: &Bytes) -> Result<M, Failure> {
    M::decode(bytes.clone()).map_err(|error| Failure::error(format!("reading {name}"), error))
}

impl Lab {
    /// What a store gave is written as the fixture is.
    fn as_recorded(&self, doing: &str, got: &[u8], expected: &[u8]) -> Verdict {
        self.assert(got == expected, || {
            let what = format!("{doing}: the bytes are not those that were once written");
            Failure::broken(what, text(expected), text(got))
        })
    }
}

/// openraft's first entry is of term 0 and of node 0; others there are the codec's business alone.
fn possible(id: LogId) -> bool {
    id.index > 0 || id == LogId::default()
}

/// openraft proposes no membership without a voter.
fn proposed(entry: &Entry) -> bool {
    !matches!(&entry.payload, EntryPayload::Membership(m) if m.voter_ids().next().is_none())
}

async fn entries(lab: &Lab) -> Verdict {
    for Recorded { name, bytes, .. } in of_kind("Entry")? {
        let entry: Entry = value(&name, &bytes)?;
        if !possible(entry.log_id) || !proposed(&entry) {
            continue;
        }
        let leader = entry.log_id.leader_id;
        let before = entry.log_id.index.checked_sub(1);
        let state = HardState {
            vote: Some(Vote { leader_id: leader, committed: true }),
            committed: None,
            purged: before.map(|index| LogId::new(leader, index)),
        };
        let kept = Kept { state, entries: vec![entry] };
        kept.through_a_store(lab, &name, |got| {
            let got: Vec<u8> = got.entries.iter().flat_map(|entry| entry.encode()).collect();
            lab.as_recorded(&format!("reading the entry {name}"), &got, &bytes)
        })
        .await?;
    }
    Ok(())
}

async fn votes(lab: &Lab) -> Verdict {
    for Recorded { name, bytes, .. } in of_kind("Vote")? {
        let vote: Vote = value(&name, &bytes)?;
        // What a store shows that has none.
        if vote == Vote::default() {
            continue;
        }
        let kept =
            Kept { state: HardState { vote: Some(vote), ..HardState::default() }, entries: vec![] };
        kept.through_a_store(lab, &name, |got| {
            let got = got.state.vote.map(|vote| vote.encode()).unwrap_or_default();
            lab.as_recorded(&format!("reading the vote {name}"), &got, &bytes)
        })
        .await?;
    }
    Ok(())
}

async fn segments(lab: &Lab) -> Verdict {
    for recorded in of_kind(SEGMENT)? {
        let Recorded { name, bytes, .. } = &recorded;
        let kept = segment_of(&recorded)?;
        kept.through_a_store(lab, name, |got| {
            lab.as_recorded(&format!("reading the log {name}"), &got.encode(), bytes)
        })
        .await?;
    }
    Ok(())
}

/// Each membership that an entry can have brought, and where that entry is.
fn brought() -> Result<Vec<(String, LogId, Membership)>, Failure> {
    let mut all = Vec::new();
    for Recorded { name, bytes, .. } in of_kind("Membership")? {
        let membership = value(&name, &bytes)?;
        all.push((name, LogId::default(), membership));
    }
    for Recorded { name, bytes, .. } in of_kind("StoredMembership")? {
        let stored: StoredMembership = value(&name, &bytes)?;
        let id = stored.log_id().filter(|id| possible(*id));
        all.extend(id.map(|id| (name, id, stored.membership().clone())));
    }
    all.retain(|(_, _, membership)| membership.voter_ids().next().is_some());
    Ok(all)
}

/// A log of which the last entry, at `id`, brings a membership.
fn log_with(id: LogId, membership: &Membership) -> Kept {
    let leader = if id.index == 0 { LeaderId::new(1, 1) } else { id.leader_id };
    let entries = (0..=id.index).map(|index| {
        let log_id = if index == 0 { LogId::default() } else { LogId::new(leader, index) };
        let payload = if index == 0 || index == id.index {
            EntryPayload::Membership(membership.clone())
        } else {
            EntryPayload::Blank
        };
        Entry { log_id, payload }
    });
    let vote = Some(Vote { leader_id: leader, committed: true });
    let state = HardState { vote, committed: Some(id), purged: None };
    Kept { state, entries: entries.collect() }
}

async fn memberships(lab: &Lab) -> Verdict {
    for (name, id, membership) in brought()? {
        let mut subject = Subject::fresh(lab).await?;
        let log = log_with(id, &membership);
        log.write(&mut subject, &name).await?;
        let entries = log.entries.into_iter().map(seshat::entry).collect();
        lab.call("apply", subject.machine.apply(entries)).await?;

        let expected = StoredMembership::new(Some(id), membership).encode();
        let (_, stored) = lab.call("applied_state", subject.machine.applied()).await?;
        let got = own::<StoredMembership>(&stored.own)?.encode();
        lab.as_recorded(&format!("reading the membership {name}"), &got, &expected)?;

        let meta = subject.build().await?.meta;
        let got = own::<StoredMembership>(&meta.membership.own)?.encode();
        lab.as_recorded(&format!("building a snapshot with {name}"), &got, &expected)?;
    }
    Ok(())
}

async fn snapshots(lab: &Lab) -> Verdict {
    for recorded in of_kind(SNAPSHOT)? {
        let Recorded { name, bytes, .. } = &recorded;
        let header = header_of(&recorded)?;
        // openraft sends no snapshot of nothing.
        let Some(last) = header.last_log_id.filter(|id| possible(*id)) else { continue };
        let meta = SnapshotMeta {
            last_log_id: Some(last),
            last_membership: header.last_membership,
            snapshot_id: "once-sent".to_owned(),
        };
        let mut subject = Subject::fresh(lab).await?;
        lab.record.step(format!("# install the fixture {name}"));
        let data = subject.receive_bytes(bytes).await?;
        let theirs = seshat::meta(meta.clone());
        lab.call("install_snapshot", subject.machine.install(&theirs, data)).await?;

        let (applied, stored) = lab.call("applied_state", subject.machine.applied()).await?;
        let expected = Some(seshat::id(last));
        lab.equal("applied_state after an install", &applied, &expected)?;
        let got = own::<StoredMembership>(&stored.own)?.encode();
        let doing = format!("reading the membership of {name}");
        lab.as_recorded(&doing, &got, &meta.last_membership.encode())?;

        let current = subject.machine.current();
        let current = lab.call("get_current_snapshot", current).await?;
        let nothing = || Failure::broken(format!("installing {name}"), "a snapshot", "none");
        let mut current = current.ok_or_else(nothing)?;
        let got = lab.snapshot_bytes(&mut *current.data).await?.unwrap_or_default();
        lab.as_recorded(&format!("sending {name} on"), &got, bytes)?;

        let making = subject.machine.builder();
        let mut builder = lab.call("get_snapshot_builder", making).await?;
        let mut built = lab.call("build_snapshot", builder.build()).await?;
        let got = lab.snapshot_bytes(&mut *built.data).await?.unwrap_or_default();
        lab.as_recorded(&format!("building {name} again"), &got, bytes)?;
    }
    Ok(())
}
