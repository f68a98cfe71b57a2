//! Appending: batches of every size, entries of every size and kind, ids at every boundary.

use crate::check::{Check, check};
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{Id, Item, Members, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::words::{Command, Shape};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "log/append/continues", Must, [1, 4, 6, 11, 14], needs: [Log],
            promise: "Appended entries are there, after those that were there before.",
            consequence: "A node acknowledges entries that it does not have.",
            relies: [APPEND, APPLY_READ, REPLICATE],
            run: continues,
        ),
        check!(
            "log/append/batch-sizes", Must, [1, 11, 14], needs: [Log],
            promise: "A batch of any size is appended whole and in order.",
            consequence: "A busy leader loses the entries of its largest batches.",
            relies: [APPEND_BATCH, APPLY_READ],
            limit: 30,
            run: batch_sizes,
        ),
        check!(
            "log/append/empty-batch", May, [10], needs: [Log],
            promise: "Appending nothing changes nothing and still calls back.",
            consequence: "None with openraft 0.9, which never does it.",
            reason: "openraft makes no such call: `do_append_entries` returns first.",
            run: empty_batch,
        ),
        check!(
            "log/append/entry-sizes", Must, [6, 11], needs: [Log],
            promise: "Entries from empty to a little over 1 MiB come back bit for bit.",
            consequence: "Replicas apply different commands.",
            relies: [APPEND, APPLY_READ],
            run: entry_sizes,
        ),
        check!(
            "log/append/huge-entry", Must, [6, 11], needs: [Log],
            promise: "An entry of 4 MiB comes back bit for bit, or is refused with an error.",
            consequence: "Replicas apply different commands.",
            relies: [APPEND, APPLY_READ],
            run: huge_entry,
        ),
        check!(
            "log/append/kinds", Must, [1, 11], needs: [Log],
            promise: "Blank entries, commands and memberships come back as they were: joint configurations, learners and node data.",
            consequence: "After a restart a node counts another quorum, or can't reach its peers.",
            relies: [START_MEMBERSHIP_IN_LOG, REPLICATE],
            run: kinds,
        ),
        check!(
            "log/append/terms", Must, [1, 6], needs: [Log],
            promise: "Terms and leaders of any size come back exactly.",
            consequence: "Logs are taken to match where they don't: committed entries are lost.",
            relies: [START_LOG_IDS, COMPARE_LOGS],
            run: terms,
        ),
        check!(
            "log/append/indexes", Must, [1, 6, 46], needs: [Log],
            promise: "Indexes of any size work: append, read, truncate, purge, state.",
            consequence: "A cluster that has lived long enough stops, or loses its log.",
            relies: [START_LOG, APPLY_READ],
            run: indexes,
        ),
        check!(
            "log/append/beyond-signed", May, [1, 6], needs: [Log],
            promise: "Terms and indexes that a signed number doesn't hold come back exactly.",
            consequence: "None: no cluster lives for so long.",
            reason: "openraft counts terms and indexes up by one.",
            since: 2,
            run: beyond_signed,
        ),
        check!(
            "log/append/many-rounds", Must, [1, 4, 6, 11], needs: [Log],
            promise: "Appending, truncating and purging go on working, however often.",
            consequence: "A node breaks after an hour, a segment or a thousand entries.",
            relies: [APPEND, APPLY_READ],
            limit: 30,
            run: many_rounds,
        ),
        // engine/log_id_list.rs:60-84 (load_log_ids): ids are compared, leader and all.
        check!(
            "log/append/node-zero", Must, [1, 6, 17, 40], needs: [Log],
            promise: "Entries of node 0 come back as such, and so do the markers that they become.",
            consequence: "Logs are taken to match where they don't: committed entries are lost.",
            relies: [START_LOG_IDS],
            since: 2,
            run: node_zero,
        ),
    ]
}

async fn continues(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    let mut next = 0;
    for (round, count) in [1, 1, 2, 3, 1, 5, 8, 1, 13].into_iter().enumerate() {
        let (term, node) = (1 + round as u64 / 3, 1 + round as u64 / 4);
        let entries = story::entries(term, node, next, next + count);
        subject.run([story::leader(term, node), Step::Append(entries)]).await?;
        subject.verify_log().await?;
        next += count;
    }
    Ok(())
}

async fn batch_sizes(lab: &Lab) -> Verdict {
    let sizes: &[u64] = lab.budget.pick(
        &[
            7, 8, 9, 10, 16, 17, 32, 33, 63, 64, 65, 100, 101, 128, 129, 256, 257, 1_000, 1_025,
            4_097,
        ],
        &[
            7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 50, 51, 63, 64, 65, 99, 100, 101, 127, 128, 129,
            255, 256, 257, 500, 511, 512, 513, 999, 1_000, 1_001, 1_023, 1_024, 1_025, 2_049,
            4_095, 4_096, 4_097, 10_000,
        ],
        &[10, 64, 65, 100, 1_000, 10_000, 65_535, 65_536, 65_537, 100_000],
    );
    for &size in sizes {
        if lab.enough() {
            break;
        }
        let mut subject = Subject::with(lab, story::log_of(3)).await?;
        subject.perform(Step::Append(story::entries(4, 3, 3, 3 + size))).await?;
        verify_in_pieces(&mut subject).await?;
    }
    Ok(())
}

/// A log that is long: whether it can be read at once is for `log/range/long` to say.
async fn verify_in_pieces(subject: &mut Subject<'_>) -> Verdict {
    const PIECE: u64 = 32;
    let lab = subject.lab;
    subject.verify_log_state(&subject.model.log.clone()).await?;
    let next = subject.model.log.next_index();
    for from in (0..next).step_by(PIECE as usize) {
        let to = (from + PIECE).min(next);
        let expected = subject.model.log.range(from, to);
        let got = lab.call("try_get_log_entries", subject.log.read(from..to)).await?;
        lab.same(&format!("reading from {from} to before {to}"), &got, &expected)?;
    }
    Ok(())
}

async fn empty_batch(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(4)).await?;
    lab.record.step("append nothing");
    lab.call("append of no entries", subject.log.append(Vec::new())).await?;
    subject.verify_log().await
}

/// A log with one entry of each of `shapes` that the application can express.
fn shaped(lab: &Lab, shapes: &[Shape]) -> Vec<Item> {
    let mut items = story::entries(1, 1, 0, 2);
    for shape in shapes {
        let command = Command { n: items.len() as u64, shape: *shape };
        if lab.driver.has(&command) {
            items.push(story::item(story::id(1, 1, items.len() as u64), Payload::Command(command)));
        }
    }
    items
}

async fn entry_sizes(lab: &Lab) -> Verdict {
    let sizes = [
        0, 1, 2, 127, 128, 255, 256, 257, 511, 1_023, 1_024, 1_025, 4_095, 4_096, 4_097, 16_383,
        16_384, 32_767, 32_768, 65_534, 65_535, 65_536, 65_537, 131_072, 262_145, 1_048_575,
        1_048_576, 1_048_577,
    ];
    let mut shapes = vec![Shape::Empty, Shape::Binary, Shape::Delete];
    shapes.extend(sizes.map(Shape::Large));
    let items = shaped(lab, &shapes);
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for item in items {
        subject.perform(Step::Append(vec![item])).await?;
    }
    subject.verify_log().await
}

async fn huge_entry(lab: &Lab) -> Verdict {
    let items = shaped(lab, &[Shape::Large(4 << 20)]);
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    match subject.perform(Step::Append(items)).await {
        Err(refused) if refused.kind == Kind::Error => {
            lab.inconclusive(format!("refused: {}", refused.got));
            Ok(())
        }
        Err(failure) => Err(failure),
        Ok(()) => subject.verify_log().await,
    }
}

/// Memberships of every form.
pub(crate) fn memberships() -> Vec<Members> {
    vec![
        Members::new(&[1], &[]),
        Members::new(&[1, 2, 3], &[]),
        Members::new(&[1, 2, 3], &[4, 9]),
        Members::joint(&[&[1, 2, 3], &[3, 4, 5]], &[]),
        Members::joint(&[&[1, 2, 3], &[1, 2, 3, 4, 5]], &[6, 7]),
        Members::new(&[2, 3, 4, 5, 6, 7, 8, 9, 10], &[1, 11]),
        Members::new(&[1_000, 70_000, 1 << 33], &[]),
    ]
}

async fn kinds(lab: &Lab) -> Verdict {
    let mut items = story::entries(1, 1, 0, 1);
    for members in memberships() {
        for payload in [Payload::Members(members), Payload::Blank] {
            items.push(story::item(story::id(1, 1, items.len() as u64), payload));
        }
        let command = Payload::Command(Command::plain(items.len() as u64));
        items.push(story::item(story::id(1, 1, items.len() as u64), command));
    }
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for item in &items {
        subject.perform(Step::Append(vec![item.clone()])).await?;
    }
    subject.verify_log().await?;
    // The same as one batch.
    let mut subject = Subject::with(lab, [story::leader(1, 1), Step::Append(items)]).await?;
    subject.verify_log().await
}

async fn terms(lab: &Lab) -> Verdict {
    with_leaders(lab, story::leaders()).await
}

async fn with_leaders(lab: &Lab, leaders: Vec<Step>) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for step in leaders {
        subject.perform(step).await?;
        subject.verify_log().await?;
    }
    Ok(())
}

/// There is no other way to a high index than through a snapshot: the log is purged beyond its
/// end, as after an install. The log store can't tell the difference.
async fn indexes(lab: &Lab) -> Verdict {
    // What is broken at any index is not broken at a high one.
    around(lab, 9).await.map_err(Failure::beforehand)?;
    for boundary in story::BOUNDARIES {
        around(lab, boundary).await?;
    }
    Ok(())
}

async fn beyond_signed(lab: &Lab) -> Verdict {
    with_leaders(lab, story::leaders_of(&[&[1][..], &story::BEYOND].concat())).await?;
    // There is no room for a log at the last number.
    let [first, ..] = story::BEYOND;
    around(lab, first).await
}

/// Appends, truncates and purges on both sides of an index.
async fn around(lab: &Lab, boundary: u64) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(3, 2)]).await?;
    let first = boundary - 2;
    subject.skip_to(story::id(2, 1, first - 1)).await?;
    subject.verify_log().await?;
    let items: Vec<Item> = story::commands(3, 2, first, first + 8);
    subject.perform(Step::Append(items)).await?;
    subject.verify_log().await?;
    subject.perform(Step::Truncate(boundary + 3)).await?;
    subject.verify_log().await?;
    subject.perform(Step::Truncate(boundary)).await?;
    subject.verify_log().await?;
    let items = story::commands(3, 2, boundary, boundary + 4);
    subject.perform(Step::Append(items)).await?;
    subject.skip_to(story::id(3, 2, boundary)).await?;
    subject.verify_log().await
}

async fn many_rounds(lab: &Lab) -> Verdict {
    let rounds = lab.budget.pick(60, 250, 5_000);
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for round in 0..rounds {
        if lab.enough() {
            break;
        }
        let (term, next) = (1 + round / 4, subject.model.log.next_index());
        let count = 1 + (round * 7) % 23;
        subject.run([story::leader(term, 1)]).await?;
        subject.perform(Step::Append(story::entries(term, 1, next, next + count))).await?;
        if round % 3 == 2 {
            let last = subject.model.log.next_index();
            let from = (subject.model.committed_count() as u64).max(last - 5.min(count));
            if from < last {
                subject.perform(Step::Truncate(from)).await?;
                subject.verify_log().await?;
            }
        }
        if round % 5 == 4 {
            let upto = subject.model.log.next_index().saturating_sub(4);
            let applied = subject.model.applied as u64;
            if upto > applied {
                let count = (upto - applied) as usize;
                subject.run([Step::Commit(upto - 1), Step::Apply(count)]).await?;
            }
        }
        if round % 10 == 9 {
            let keep = subject.model.applied.saturating_sub(3);
            if let Some(upto) = subject.model.covered_id(keep) {
                subject.run([Step::Build, Step::Purge(upto)]).await?;
            }
        }
        if round % 2 == 1 {
            subject.verify_log().await?;
        }
    }
    subject.verify_log_half().await
}

async fn node_zero(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 0)]).await?;
    let steps = [
        Step::Append(story::entries(1, 0, 0, 4)),
        story::leader(2, 1),
        Step::Append(story::entries(2, 1, 4, 6)),
        story::leader(3, 0),
        Step::Append(story::entries(3, 0, 6, 12)),
        Step::Truncate(9),
        Step::Commit(7),
        Step::Apply(8),
        Step::Build,
        Step::Purge(Id::FIRST),
        Step::Purge(story::id(1, 0, 2)),
        Step::Purge(story::id(3, 0, 7)),
        Step::Truncate(8),
    ];
    for step in steps {
        subject.perform(step).await?;
        subject.verify_log().await?;
        subject.verify_committed().await?;
    }
    Ok(())
}
