//! Reading: every kind of bound at every place, prefixes, and what isn't there.

use std::ops::{Bound, RangeBounds};

use crate::check::{Check, check};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, LogModel, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::words::{Command, Shape};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "log/fresh", Must, [4, 6, 8, 57], needs: [Log],
            promise: "A fresh store has no entries, no purge marker, no vote and no committed id.",
            consequence: "A new node refuses to be initialized, or votes as if it had a log.",
            run: fresh,
        ),
        check!(
            "log/isolated", Must, [1, 51], needs: [Log],
            promise: "Stores in different directories share nothing.",
            consequence: "Two nodes on one machine overwrite each other's log.",
            run: isolated,
        ),
        check!(
            "log/range/bounds", Must, [40], needs: [Log],
            promise: "A read from an entry on holds it, and ends before or with the last one named.",
            consequence: "Entries are replicated or applied twice, or never.",
            limit: 20,
            run: bounds,
        ),
        check!(
            "log/range/absent", Must, [40, 41], needs: [Log],
            promise: "What a range names and the log doesn't have is left out: that is no error.",
            consequence: "A node can't start again: openraft looks for entries that may be purged.",
            limit: 20,
            run: absent,
        ),
        check!(
            "log/range/unbounded", Must, [40, 41], needs: [Log],
            promise: "A range without a beginning or an end reaches as far as the log does.",
            consequence: "A tool or a later openraft that reads the whole log gets less, or a panic.",
            limit: 20,
            run: unbounded,
        ),
        check!(
            "log/range/excluded-start", Must, [40, 41], needs: [Log],
            promise: "A range that excludes its first index begins after it.",
            consequence: "A tool or a later openraft that reads on from an entry gets that entry twice.",
            limit: 20,
            run: excluded_start,
        ),
        check!(
            "log/range/inverted", May, [40, 41], needs: [Log],
            promise: "A range that ends before it begins holds no entries, and is no reason to panic.",
            consequence: "None: openraft makes no such range. A tool that does meets a panic, as of `BTreeMap::range`.",
            run: inverted,
        ),
        check!(
            "log/range/limited", Must, [42, 43], needs: [Log],
            promise: "A limited read gives a prefix of the range, and never nothing.",
            consequence: "Replication to a follower spins for ever, or skips entries.",
            run: limited,
        ),
        check!(
            "log/range/limited-large", Must, [42, 43], needs: [Log],
            promise: "A limited read gives at least the first entry, however large it is.",
            consequence: "Replication stops for ever at the first entry above the limit.",
            run: limited_large,
        ),
        check!(
            "log/range/long", Must, [40], needs: [Log],
            promise: "A read gives all entries of a long range.",
            consequence: "Entries are missing when they are applied: the node stops.",
            limit: 30,
            run: long,
        ),
    ]
}

async fn fresh(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    subject.verify_log().await?;
    subject.verify_vote().await?;
    subject.verify_committed().await?;
    subject.start().await
}

async fn isolated(lab: &Lab) -> Verdict {
    let mut one = alone(lab).await.map_err(Failure::beforehand)?;
    let mut other = Subject::open(lab, lab.directory()?, crate::model::Model::new()).await?;
    other.verify_log().await?;
    other.verify_vote().await?;
    other.run([story::leader(7, 7), Step::Append(story::entries(7, 7, 0, 4))]).await?;
    one.verify_log_half().await?;
    other.verify_log_half().await
}

/// A log beside which there is no other, and which is right.
async fn alone(lab: &Lab) -> Result<Subject<'_>, Failure> {
    let mut fresh = Subject::fresh(lab).await?;
    fresh.verify_log().await?;
    fresh.verify_vote().await?;
    let mut steps = story::log_of(9);
    steps.push(Step::Commit(3));
    let mut one = Subject::with(lab, steps).await?;
    one.verify_log_half().await?;
    Ok(one)
}

type Bounds = (Bound<u64>, Bound<u64>);

/// Every kind of bound at every place of `places`.
fn all_bounds(places: &[u64]) -> Vec<Bounds> {
    let at = |place: &u64| [Bound::Included(*place), Bound::Excluded(*place)];
    let bounds = || places.iter().flat_map(at).chain([Bound::Unbounded]);
    bounds().flat_map(|start| bounds().map(move |end| (start, end))).collect()
}

/// Whether a range ends before it begins: what `BTreeMap::range` panics on. openraft makes none.
fn is_inverted(bounds: &Bounds) -> bool {
    match *bounds {
        (Bound::Excluded(a), Bound::Excluded(b)) => a >= b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a > b,
        _ => false,
    }
}

/// Logs that differ in where they begin: empty, whole, purged in part, purged beyond.
fn logs() -> [Vec<Step>; 4] {
    let mut all_purged = story::purged_of(6, 5);
    all_purged.extend([story::leader(9, 1)]);
    [Vec::new(), story::log_of(9), story::purged_of(12, 3), all_purged]
}

/// Every place in a log, around it and at the ends of the numbers.
const PLACES: [u64; 13] = [0, 1, 3, 4, 5, 8, 9, 11, 12, 13, 20, u64::MAX - 1, u64::MAX];

/// Those bounds that `choose` lets through and that `BTreeMap::range` takes, on every log.
async fn read_chosen(lab: &Lab, choose: impl Fn(&LogModel, &Bounds) -> bool) -> Verdict {
    read_any(lab, |log, bounds| !is_inverted(bounds) && choose(log, bounds)).await
}

async fn read_any(lab: &Lab, choose: impl Fn(&LogModel, &Bounds) -> bool) -> Verdict {
    for steps in logs() {
        let mut subject = Subject::with_log(lab, steps).await?;
        let mut chosen = all_bounds(&PLACES);
        chosen.retain(|bounds| choose(&subject.model.log, bounds));
        read_all(&mut subject, chosen).await?;
    }
    Ok(())
}

/// From an entry of the log to one of the log: what openraft's engine reads.
fn within(log: &LogModel, bounds: &Bounds) -> bool {
    match bounds {
        (Bound::Included(a), Bound::Excluded(b)) => log.get(*a).is_some() && *b <= log.next_index(),
        (Bound::Included(a), Bound::Included(b)) => log.get(*a).is_some() && log.get(*b).is_some(),
        _ => false,
    }
}

async fn bounds(lab: &Lab) -> Verdict {
    read_chosen(lab, within).await
}

async fn absent(lab: &Lab) -> Verdict {
    let bounded = |bounds: &Bounds| {
        matches!(bounds, (Bound::Included(_), Bound::Included(_) | Bound::Excluded(_)))
    };
    read_chosen(lab, |log, bounds| bounded(bounds) && !is_inverted(bounds) && !within(log, bounds))
        .await
}

async fn unbounded(lab: &Lab) -> Verdict {
    let open = |bounds: &Bounds| {
        matches!(bounds, (Bound::Unbounded, _) | (Bound::Included(_), Bound::Unbounded))
    };
    read_chosen(lab, |_, bounds| open(bounds)).await
}

async fn excluded_start(lab: &Lab) -> Verdict {
    read_chosen(lab, |_, bounds| matches!(bounds, (Bound::Excluded(_), _))).await
}

async fn inverted(lab: &Lab) -> Verdict {
    read_any(lab, |_, bounds| is_inverted(bounds)).await
}

async fn read_all(subject: &mut Subject<'_>, all: Vec<Bounds>) -> Verdict {
    let lab = subject.lab;
    let mut new = lab.call("get_log_reader", subject.log.reader()).await?;
    for range in all {
        let in_range = |item: &&Item| range.contains(&item.id.index);
        let expected: Vec<Item> =
            subject.model.log.items.iter().filter(in_range).cloned().collect();
        let doing = format!("try_get_log_entries({range:?})");
        let got = lab.call(&doing, subject.log.read_bounds(range)).await?;
        lab.same(&doing, &got, &expected)?;
        let got = lab.call(&doing, subject.reader.read_bounds(range)).await?;
        lab.same(&format!("{doing} by an old reader"), &got, &expected)?;
        let got = lab.call(&doing, new.read_bounds(range)).await?;
        lab.same(&format!("{doing} by a new reader"), &got, &expected)?;
    }
    Ok(())
}

async fn limited(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_log(lab, story::purged_of(40, 3)).await?;
    for start in [4, 5, 12, 13, 26, 38, 39] {
        for end in [start + 1, start + 2, 20, 40] {
            if start < end {
                limited_read(&mut subject, start, end).await?;
            }
        }
    }
    Ok(())
}

async fn limited_large(lab: &Lab) -> Verdict {
    for bytes in [1 << 16, 1 << 20, (4 << 20) + 1] {
        let large = Command { n: 1, shape: Shape::Large(bytes) };
        if !lab.driver.has(&large) {
            lab.inconclusive("the application has no large commands");
            return Ok(());
        }
        let mut items = story::entries(1, 1, 0, 8);
        for item in items.iter_mut().filter(|item| item.id.index % 3 == 1) {
            item.payload = Payload::Command(large);
        }
        let steps = [story::leader(1, 1), Step::Append(items)];
        let mut subject = Subject::with_log(lab, steps).await?;
        for start in 0..8 {
            limited_read(&mut subject, start, 8).await?;
        }
    }
    Ok(())
}

/// A limited read of a range whose entries are all there, by store and reader.
async fn limited_read(subject: &mut Subject<'_>, start: u64, end: u64) -> Verdict {
    let lab = subject.lab;
    let whole = subject.model.log.range(start, end);
    let doing = format!("limited_get_log_entries({start}, {end})");
    let by_store = lab.call(&doing, subject.log.read_limited(start, end)).await?;
    let by_reader = lab.call(&doing, subject.reader.read_limited(start, end)).await?;
    for got in [by_store, by_reader] {
        lab.assert(!got.is_empty(), || {
            let expected = format!("at least the entry at {start}");
            Failure::broken(format!("{doing} gave nothing"), expected, "no entries")
        })?;
        let expected: Vec<Item> = whole.iter().take(got.len()).cloned().collect();
        lab.same(&doing, &got, &expected)?;
    }
    Ok(())
}

async fn long(lab: &Lab) -> Verdict {
    const BATCH: u64 = 64;
    // What is wrong with a short log, or after a large batch, is not for this check to say.
    Subject::with_log(lab, story::log_of(9)).await?;
    let count = lab.budget.pick(1_200, 5_000, 50_000);
    let batch = |from| Step::Append(story::entries(1, 1, from, (from + BATCH).min(count)));
    let batches = (0..count).step_by(BATCH as usize).map(batch);
    let steps = std::iter::once(story::leader(1, 1)).chain(batches);
    let mut subject = Subject::with(lab, steps).await?;
    subject.verify_log_state(&subject.model.log.clone()).await.map_err(Failure::beforehand)?;
    for (from, to) in [(0, 64), (0, 65), (1, 1_001), (100, 1_125), (3, count), (0, count)] {
        let expected = subject.model.log.range(from, to);
        let got = subject.read(from, to).await?;
        lab.same(&format!("try_get_log_entries({from}..{to})"), &got, &expected)?;
        limited_read(&mut subject, from, to).await?;
    }
    subject.verify_log().await
}
