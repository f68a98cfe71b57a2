//! Which snapshot it is: its id and its meta, also where only blank entries and memberships came
//! between two, a restart, or another node.

use super::build::verify_meta;
use super::install::install;
use super::{expect_current, verify_data};
use crate::check::{Check, check};
use crate::driver::seen::Meta;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::{Origin, Subject};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        // network/snapshot_transport.rs:310: a chunk under the same id goes into the same stream.
        check!(
            "snapshot/build/ids-of-every-kind", Must, [36], needs: [Machine],
            promise: "Snapshots have different ids, though only blank entries or memberships were applied between them.",
            consequence: "Chunks of two snapshots are joined into one when the transfer is resumed.",
            relies: [RECEIVE],
            since: 2,
            run: ids_of_every_kind,
        ),
        // network/snapshot_transport.rs:310, raft/mod.rs:514-515: one stream, whoever leads.
        check!(
            "snapshot/build/ids-over-nodes", Must, [36], needs: [Machine],
            promise: "Snapshots of different states that different nodes built have different ids.",
            consequence: "What a new leader sends is joined to what the old one had begun to send.",
            relies: [RECEIVE],
            since: 2,
            run: ids_over_nodes,
        ),
        // Should: engine/handler/snapshot_handler/mod.rs:55-62 takes one that isn't newer for none,
        // and goes on.
        check!(
            "snapshot/build/same-data", Should, [21, 33, 34, 35, 44], needs: [Machine],
            promise: "A snapshot is a new one, though only blank entries or memberships were applied since the last.",
            consequence: "However often a snapshot is asked for, the log isn't purged before the next command.",
            reason: "openraft takes an older meta for none, and goes on.",
            since: 2,
            run: build_same_data,
        ),
        // engine/handler/following_handler/mod.rs:316-327: what it says is committed and purged.
        check!(
            "snapshot/install/same-data", Must, [19, 29, 30, 35], needs: [Machine],
            promise: "A snapshot is installed, though it brings nothing but blank entries and memberships.",
            consequence: "A follower is behind what it has purged: it can't start again, or counts another quorum.",
            relies: [INSTALL],
            since: 2,
            run: install_same_data,
        ),
        // engine/handler/following_handler/mod.rs:318-321: a received one is taken for committed.
        check!(
            "snapshot/build/not-applied", Must, [34, 35], needs: [Machine],
            promise: "A snapshot says what was applied last, whatever the log holds behind it.",
            consequence: "A follower that is caught up takes a membership for committed that never was.",
            relies: [INSTALL],
            since: 2,
            run: not_applied,
        ),
    ]
}

/// Metas of snapshots so far: where two have the same id, they end at the same entry.
#[derive(Default)]
pub(crate) struct Ids(Vec<Meta>);

impl Ids {
    pub(crate) fn note(&mut self, lab: &Lab, meta: Meta) -> Verdict {
        let same = self.0.iter().find(|old| old.id == meta.id && old.last != meta.last);
        lab.assert(same.is_none(), || {
            let ends = |meta: &Meta| format!("{} ends at {:?}", meta.id, meta.last);
            let what = "two snapshots of different states have the same id";
            let got = same.map(|old| format!("{}; {}", ends(old), ends(&meta)));
            Failure::broken(what, "an id of its own", got.unwrap_or_default())
        })?;
        self.0.push(meta);
        Ok(())
    }
}

/// Appends, commits and applies what these carry, as the leader of term 4.
pub(crate) async fn apply(subject: &mut Subject<'_>, payloads: &[Payload]) -> Verdict {
    let next = subject.model.log.next_index();
    let items = story::carrying(4, 3, next, payloads);
    let last = next + items.len() as u64 - 1;
    subject.run([Step::Append(items), Step::Commit(last)]).await?;
    let open = subject.model.committed_count() - subject.model.applied;
    subject.perform(Step::Apply(open)).await
}

async fn ids_of_every_kind(lab: &Lab) -> Verdict {
    let mut ids = Ids::default();
    let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
    lab.record.step(Step::Build.to_string());
    ids.note(lab, subject.build().await?.meta)?;
    for payloads in story::without_commands() {
        apply(&mut subject, &payloads).await?;
        lab.record.step(Step::Build.to_string());
        ids.note(lab, subject.build().await?.meta)?;
    }
    // A new leader begins with a blank entry.
    for term in [5, 6] {
        let next = subject.model.log.next_index();
        let blank = story::carrying(term, 1, next, &[Payload::Blank]);
        subject.run([story::leader(term, 1), Step::Append(blank)]).await?;
        subject.run([Step::Commit(next), Step::Apply(1)]).await?;
        lab.record.step(Step::Build.to_string());
        ids.note(lab, subject.build().await?.meta)?;
    }
    Ok(())
}

/// Each node builds as often as the other, and never of the same state.
async fn ids_over_nodes(lab: &Lab) -> Verdict {
    // What one node mixes up is not for two to say.
    super::build::build_ids(lab).await.map_err(Failure::beforehand)?;
    ids_of_every_kind(lab).await.map_err(Failure::beforehand)?;
    let truth: Vec<Item> = story::entries(4, 3, 0, 24);
    let mut ids = Ids::default();
    let mut nodes = [Origin::new(lab).await?, Origin::new(lab).await?];
    lab.record.step("two nodes apply the same entries and build by turns");
    for (round, counts) in [[1, 2], [4, 5], [8, 9], [13, 14], [20, 24]].into_iter().enumerate() {
        for (node, count) in nodes.iter_mut().zip(counts) {
            lab.record.step(format!("apply on one of them, round {round}, until it has {count}"));
            node.apply(truth.get(..count).unwrap_or(&truth)).await?;
            lab.record.step("build there");
            ids.note(lab, node.snapshot().await?.meta)?;
        }
    }
    Ok(())
}

async fn build_same_data(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
        subject.perform(Step::Build).await?;
        apply(&mut subject, &payloads).await?;
        let built = subject.build().await?;
        subject.follow(&Step::Build)?;
        verify_meta(lab, &subject.model, &built.meta)?;
        subject.verify_current_snapshot().await?;
        let snapshot = expect_current(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
    }
    Ok(())
}

async fn install_same_data(lab: &Lab) -> Verdict {
    for built in [false, true] {
        for payloads in story::without_commands() {
            let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
            if built {
                subject.perform(Step::Build).await?;
            }
            install(&mut subject, story::carrying(9, 2, 6, &payloads)).await?;
            let snapshot = expect_current(&mut subject).await?;
            verify_data(lab, &subject.model, snapshot).await?;
        }
    }
    Ok(())
}

/// The log goes on behind what is applied: with what is committed, and with what isn't.
async fn not_applied(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        let mut subject = Subject::with(lab, story::applied_of(6, 4)).await?;
        let items = story::carrying(4, 3, 6, &[payloads.clone(), payloads].concat());
        let committed = 5 + items.len() as u64 / 2;
        subject.run([Step::Append(items), Step::Commit(committed)]).await?;
        for _ in 0..2 {
            let built = subject.build().await?;
            subject.follow(&Step::Build)?;
            verify_meta(lab, &subject.model, &built.meta)?;
            verify_data(lab, &subject.model, built).await?;
            subject.perform(Step::Apply(1)).await?;
        }
    }
    Ok(())
}
