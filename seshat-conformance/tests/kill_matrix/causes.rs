//! The causes that a report names are the true ones: for each fault the check that
//! `kill_matrix.txt` has first, and for two faults both.

use std::collections::BTreeMap;
use std::fmt::Write;

use seshat_conformance::causes::{Cause, causes};
use seshat_conformance::check::Outcome;
use seshat_conformance::failure::{Failure, Kind};
use seshat_conformance::report::CheckResult;

use super::recorded::{self, recorded, results};
use super::stores::{FAULTS, Fault};
use super::{DECLARED, check, declared, each_fault};

/// Named first though another is declared first, and as true: fault, check, why.
const AS_TRUE: &[(&str, &str, &str)] = &[
    ("ReaderFrozen", "log/append/continues", STALE),
    ("ReaderMissesTail", "log/append/continues", STALE),
    ("ReaderSeesFlushedOnly", "callback/outstanding", STALE),
    ("ApplyAfter64Lost", "machine/applied/many", "a large batch is applied in part"),
    ("CommittedInvented", "log/fresh", "a fresh store has a committed id"),
    ("StateCached", "log/truncate/inclusive", "the state is stale after whatever isn't an append"),
    ("SecondStoreEmpty", "reopen/vote", EMPTY),
    ("OpenThirdEmpty", "reopen/vote", EMPTY),
    ("CallbackBeforeWrite", "reopen/append", "what was called back is not there when opened again"),
    (
        "LastByTermOfVote",
        "log/append/continues",
        "the last log id has a wrong leader, whatever was done",
    ),
];

const EMPTY: &str = "nothing at all is there when opened again, the vote first";
const STALE: &str = "a reader that is stale is so before the flush and after it";

/// Whether the first cause is the true one, in the words of the table.
fn verdict(fault: &str, declared: &str, results: &[CheckResult], first: &Cause<'_>) -> Verdict {
    let named = first.result.spec.id;
    if named == declared {
        return Verdict::Exact;
    }
    if AS_TRUE.iter().any(|(other, id, _)| *other == fault && *id == named) {
        return Verdict::AsTrue;
    }
    let truth = results.iter().find(|result| result.spec.id == declared);
    match truth.and_then(failure).zip(failure(first.result)) {
        Some((one, other)) if family(named) == family(declared) && say_the_same(one, other) => {
            Verdict::AsTrue
        }
        // `log/purge/gone`, `log/purge/beyond-last`.
        Some((one, other))
            if subject(named) == subject(declared) && one.steps.last() == other.steps.last() =>
        {
            Verdict::AsTrue
        }
        _ => Verdict::False,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Exact,
    /// Another check of the family says that the same call is wrong after the same step, or
    /// another of the same subject that something is wrong after the same step.
    AsTrue,
    False,
}

fn failure(result: &CheckResult) -> Option<&Failure> {
    match &result.outcome {
        Outcome::Failed(failure) => Some(failure),
        _ => None,
    }
}

fn family(id: &str) -> &str {
    id.split('/').next().unwrap()
}

fn subject(id: &str) -> Option<(&str, &str)> {
    id.rsplit_once('/').filter(|(subject, _)| subject.contains('/'))?.0.split_once('/')
}

/// The same call, after the same step. A call that fails speaks for itself; reads of a range ask about the range, whatever came before.
fn say_the_same(one: &Failure, other: &Failure) -> bool {
    fn call(failure: &Failure) -> Option<&str> {
        failure.asked.as_deref()?.split(['(', ' ']).next()
    }
    let ranges =
        |failure: &Failure| failure.asked.as_deref().is_some_and(|asked| asked.contains('('));
    let itself = |failure: &Failure| failure.kind != Kind::Broken;
    call(one) == call(other)
        && ((itself(one) && itself(other))
            || one.steps.last() == other.steps.last()
            || (ranges(one) && ranges(other)))
}

#[test]
fn the_first_cause_is_the_true_one() {
    let (declared, recorded) = (declared(DECLARED), recorded());
    let mut table = String::new();
    let mut counts = [0; 3];
    let mut wrong = Vec::new();
    let mut more = Vec::new();
    for (fault, ..) in FAULTS {
        let fault = format!("{fault:?}");
        let results = results(&recorded[&fault]);
        let causes = causes(&results);
        let truth = declared[&fault[..]][0];
        let Some(first) = causes.first() else { panic!("{fault}: nothing is recorded that fails") };
        let verdict = verdict(&fault, truth, &results, first);
        counts[verdict as usize] += 1;
        let named = causes.iter().map(|c| format!("{} +{}", c.result.spec.id, c.explains.len()));
        let named = named.collect::<Vec<_>>().join(", ");
        let mark = match verdict {
            Verdict::Exact => String::new(),
            Verdict::AsTrue => format!("  (as true as {truth})"),
            Verdict::False => format!("  (NOT {truth})"),
        };
        writeln!(table, "{fault}: {named}{mark}").unwrap();
        if verdict == Verdict::False {
            wrong.push(format!("{fault}: {named}, not {truth}"));
        }
        if causes.len() > 2 {
            more.push(format!("{fault}: {named}"));
        }
    }
    let [exact, as_true, false_] = counts;
    writeln!(table, "\n{exact} exact, {as_true} as true, {false_} false").unwrap();
    insta::assert_snapshot!(table);
    assert!(more.is_empty(), "more than two causes for one fault:\n{}", more.join("\n"));
    let all = FAULTS.len();
    assert!((exact + as_true) * 100 >= all * 95, "of {all} too many:\n{}", wrong.join("\n"));
}

/// What a store with two faults would show: where both fail, the first one's failure.
fn both(one: &[String], other: &[String]) -> Vec<CheckResult> {
    let id = |line: &String| line.split(" | ").next().unwrap().to_owned();
    let mut lines: BTreeMap<String, String> =
        other.iter().map(|line| (id(line), line.clone())).collect();
    lines.extend(one.iter().map(|line| (id(line), line.clone())));
    results(&lines.into_values().collect::<Vec<_>>())
}

/// Folding what one fault explains must not fold another fault away.
#[test]
fn two_faults_in_different_parts_are_two_causes() {
    let recorded = recorded();
    let alone: BTreeMap<String, String> = FAULTS
        .iter()
        .map(|(fault, ..)| {
            let fault = format!("{fault:?}");
            let results = results(&recorded[&fault]);
            let named = causes(&results).first().unwrap().result.spec.id.to_owned();
            (fault, named)
        })
        .collect();
    let (mut pairs, mut named) = (0, 0);
    for (place, (one, group, _)) in FAULTS.iter().enumerate() {
        // Three partners each, far away in the list.
        for stride in [41, 97, 151] {
            let (other, its_group, _) = &FAULTS[(place + stride) % FAULTS.len()];
            let (one, other) = (format!("{one:?}"), format!("{other:?}"));
            if group == its_group || family(&alone[&one]) == family(&alone[&other]) {
                continue;
            }
            let results = both(&recorded[&one], &recorded[&other]);
            let causes = causes(&results);
            let found = |fault: &String| causes.iter().any(|c| c.result.spec.id == alone[fault]);
            pairs += 1;
            named += usize::from(found(&one) && found(&other));
        }
    }
    println!("{named} of {pairs}");
    assert!(pairs > 300, "{pairs}");
    assert!(named * 100 >= pairs * TWO_OF_TWO, "both are named in {named} of {pairs} pairs");
}

/// Of a hundred pairs.
const TWO_OF_TWO: usize = 50;

/// Records again if told to; else there is a recording of every fault, and of no other.
#[test]
fn the_recording_is_of_every_fault() {
    let declared = declared(DECLARED);
    let faults: Vec<Fault> = FAULTS.iter().map(|fault| fault.0).collect();
    if std::env::var_os("SESHAT_REGENERATE").is_some() {
        let only = std::env::var("ONLY").unwrap_or_default();
        let chosen =
            |f: &Fault| only.is_empty() || only.split(',').any(|name| format!("{f:?}") == name);
        let chosen: Vec<Fault> = faults.iter().copied().filter(chosen).collect();
        let mut all = if recorded::path().exists() { recorded() } else { BTreeMap::new() };
        let found = each_fault(&chosen, |fault| {
            let report = check(fault, recorded::filter(&declared[&format!("{fault:?}")[..]]));
            let mut lines = recorded::lines(&report);
            let order = report.results.iter().filter_map(|result| lines.remove(result.spec.id));
            order.collect::<Vec<_>>()
        });
        all.extend(found.into_iter().map(|(fault, lines)| (format!("{fault:?}"), lines)));
        recorded::write(&all, faults.iter().copied());
    }
    let recorded = recorded();
    let missing: Vec<_> = faults
        .iter()
        .filter(|f| recorded.get(&format!("{f:?}")).is_none_or(Vec::is_empty))
        .collect();
    assert!(missing.is_empty(), "record these, see recorded.rs: {missing:?}");
    assert_eq!(recorded.len(), faults.len(), "record again, see recorded.rs");
}
