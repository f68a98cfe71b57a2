//! Reading: every kind of bound at every place, prefixes, and what isn't there.

use std::ops::{Bound, RangeBounds};

use crate::check::{Check, check};
use crate::driver::seen::Entry;
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
            relies: [START_LOG, START_VOTE, START_COMMITTED, INITIALIZE],
            run: fresh,
        ),
        check!(
            "log/isolated", Must, [1, 51], needs: [Log],
            promise: "Stores in different directories share nothing.",
            consequence: "Two nodes on one machine overwrite each other's log.",
            relies: [HOLD],
            run: isolated,
        ),
        check!(
            "log/range/bounds", Must, [40], needs: [Log],
            promise: "A read from an entry on holds it, and ends before or with the last one named.",
            consequence: "Entries are replicated or applied twice, or never.",
            relies: [START_REAPPLY, START_ENTRY, APPLY_READ],
            limit: 20,
            run: bounds,
        ),
        check!(
            "log/range/absent", Must, [40, 41], needs: [Log],
            promise: "What a range names and the log doesn't have is left out: that is no error.",
            consequence: "A leader that is deposed stops: it may still be reading what the new one has truncated or purged.",
            relies: [REPLICATE],
            limit: 20,
            run: absent,
        ),
        check!(
            "log/range/inclusive", Should, [40, 41], needs: [Log],
            promise: "A range that names its last index holds the entry there, and leaves out what isn't there.",
            consequence: "A tool or a later openraft that reads up to an entry doesn't get that entry.",
            reason: "openraft reads `a..b` with a < b, and `a..=a` where the entry is.",
            since: 2,
            limit: 20,
            run: inclusive,
        ),
        check!(
            "log/range/unbounded", Should, [40, 41], needs: [Log],
            promise: "A range without a beginning or an end reaches as far as the log does.",
            consequence: "A tool or a later openraft that reads the whole log gets less, or a panic.",
            reason: "openraft reads `a..b` with a < b, and `a..=a`.",
            was: Must until 1,
            limit: 20,
            run: unbounded,
        ),
        check!(
            "log/range/excluded-start", May, [40, 41], needs: [Log],
            promise: "A range that excludes its first index begins after it.",
            consequence: "A tool or a later openraft that reads on from an entry gets that entry twice.",
            reason: "openraft reads `a..b` with a < b, and `a..=a`; Rust has no syntax for this one.",
            was: Must until 1,
            limit: 20,
            run: excluded_start,
        ),
        check!(
            "log/range/empty", May, [40, 41], needs: [Log],
            promise: "A range of no index holds no entries, nor does any of a log that was never written.",
            consequence: "None: openraft makes no such range. A tool that does meets a panic.",
            reason: "`apply_to_state_machine`, `send_log_entries` and `load_log_ids` don't read where there is nothing to read.",
            since: 2,
            run: empty,
        ),
        check!(
            "log/range/inverted", May, [40, 41], needs: [Log],
            promise: "A range that ends before it begins holds no entries, and is no reason to panic.",
            consequence: "None: openraft makes no such range. A tool that does meets a panic, as of `BTreeMap::range`.",
            reason: "openraft makes no such range.",
            run: inverted,
        ),
        check!(
            "log/range/utmost", May, [40, 41], needs: [Log],
            promise: "A range may reach to the last index that there is a number for.",
            consequence: "None: openraft makes no such range. A tool that says `5..=u64::MAX` meets an overflow.",
            reason: "openraft reads no further than the log reached when it last looked.",
            since: 2,
            limit: 20,
            run: utmost,
        ),
        check!(
            "log/range/limited", Must, [42, 43], needs: [Log],
            promise: "A limited read gives a prefix of the range, and never nothing.",
            consequence: "Replication to a follower spins for ever, or skips entries.",
            relies: [REPLICATE],
            run: limited,
        ),
        check!(
            "log/range/limited-large", Must, [42, 43], needs: [Log],
            promise: "A limited read gives at least the first entry, however large it is.",
            consequence: "Replication stops for ever at the first entry above the limit.",
            relies: [REPLICATE],
            run: limited_large,
        ),
        check!(
            "log/range/long", Must, [40], needs: [Log],
            promise: "A read gives all entries of a long range.",
            consequence: "Entries are missing when they are applied: the node stops.",
            relies: [APPLY_READ, REPLICATE],
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

/// What a range asks for. openraft reads `Within` and `Absent`, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// `a..b` with a < b, or `a..=a`, of entries that are all there.
    Within,
    /// `a..b` with a < b, where some of it or all is gone.
    Absent,
    /// `a..=b` otherwise.
    Inclusive,
    Unbounded,
    ExcludedStart,
    /// It ends where it begins, or nothing was ever written.
    Empty,
    /// It ends before it begins: what `BTreeMap::range` panics on.
    Inverted,
    /// It names one of the last two numbers.
    Utmost,
}

fn asks(log: &LogModel, bounds: &Bounds) -> Asks {
    let utmost = |bound: &Bound<u64>| match bound {
        Bound::Included(place) | Bound::Excluded(place) => *place >= u64::MAX - 1,
        Bound::Unbounded => false,
    };
    let there = |from: u64, to: u64| log.get(from).is_some() && log.get(to).is_some();
    match *bounds {
        (Bound::Excluded(a), Bound::Excluded(b)) if a >= b => Asks::Inverted,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b))
            if a > b =>
        {
            Asks::Inverted
        }
        (ref start, ref end) if utmost(start) || utmost(end) => Asks::Utmost,
        (Bound::Included(a), Bound::Excluded(b)) | (Bound::Excluded(a), Bound::Included(b))
            if a == b =>
        {
            Asks::Empty
        }
        (Bound::Unbounded, Bound::Excluded(0)) => Asks::Empty,
        (Bound::Included(a), Bound::Excluded(b)) if there(a, b - 1) => Asks::Within,
        (Bound::Included(a), Bound::Included(b)) if a == b && there(a, b) => Asks::Within,
        (Bound::Included(_), Bound::Excluded(_)) if log.last().is_some() => Asks::Absent,
        (Bound::Included(_), Bound::Included(_)) => Asks::Inclusive,
        (Bound::Excluded(_), _) => Asks::ExcludedStart,
        (Bound::Included(_), Bound::Excluded(_)) => Asks::Empty,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => Asks::Unbounded,
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

/// Reads those ranges of every log that ask for it.
async fn read(lab: &Lab, asked: Asks) -> Verdict {
    for steps in logs() {
        let mut subject = Subject::with_log(lab, steps).await?;
        let mut chosen = all_bounds(&PLACES);
        chosen.retain(|bounds| asks(&subject.model.log, bounds) == asked);
        read_all(&mut subject, chosen, asked != Asks::Absent).await?;
    }
    Ok(())
}

async fn bounds(lab: &Lab) -> Verdict {
    read(lab, Asks::Within).await
}

async fn absent(lab: &Lab) -> Verdict {
    read(lab, Asks::Absent).await
}

async fn inclusive(lab: &Lab) -> Verdict {
    read(lab, Asks::Inclusive).await
}

async fn unbounded(lab: &Lab) -> Verdict {
    read(lab, Asks::Unbounded).await
}

async fn excluded_start(lab: &Lab) -> Verdict {
    read(lab, Asks::ExcludedStart).await
}

async fn empty(lab: &Lab) -> Verdict {
    read(lab, Asks::Empty).await
}

async fn inverted(lab: &Lab) -> Verdict {
    read(lab, Asks::Inverted).await
}

async fn utmost(lab: &Lab) -> Verdict {
    read(lab, Asks::Utmost).await
}

/// By the reader of a replication task, and as a node does that starts or applies: `by_all`.
async fn read_all(subject: &mut Subject<'_>, all: Vec<Bounds>, by_all: bool) -> Verdict {
    let lab = subject.lab;
    let mut new = lab.call("get_log_reader", subject.log.reader()).await?;
    for range in all {
        let in_range = |item: &&Item| range.contains(&item.id.index);
        let expected: Vec<Item> =
            subject.model.log.items.iter().filter(in_range).cloned().collect();
        // Whether what was purged can still be read is for `log/purge/gone` to say.
        let first = subject.model.log.first_index();
        let same = |doing: &str, mut got: Vec<Entry>| {
            got.retain(|entry| entry.index() >= first);
            lab.same(doing, &got, &expected)
        };
        let doing = format!("try_get_log_entries({range:?})");
        let got = lab.call(&doing, subject.reader.read_bounds(range)).await?;
        same(&format!("{doing} by an old reader"), got)?;
        if by_all {
            let got = lab.call(&doing, subject.log.read_bounds(range)).await?;
            same(&doing, got)?;
            let got = lab.call(&doing, new.read_bounds(range)).await?;
            same(&format!("{doing} by a new reader"), got)?;
        }
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

/// A limited read of a range whose entries are all there, by a reader: the log store itself is
/// never asked for one.
async fn limited_read(subject: &mut Subject<'_>, start: u64, end: u64) -> Verdict {
    let lab = subject.lab;
    let whole = subject.model.log.range(start, end);
    let doing = format!("limited_get_log_entries({start}, {end})");
    let got = lab.call(&doing, subject.reader.read_limited(start, end)).await?;
    lab.assert(!got.is_empty(), || {
        let expected = format!("at least the entry at {start}");
        Failure::broken(format!("{doing} gave nothing"), expected, "no entries")
    })?;
    let expected: Vec<Item> = whole.into_iter().take(got.len()).collect();
    lab.same(&doing, &got, &expected)
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
