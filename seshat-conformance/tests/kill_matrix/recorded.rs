//! What fails on each fault, as it was recorded: running every check on every faulty store takes
//! half an hour. `SESHAT_REGENERATE=1 cargo test --test kill_matrix the_recording` records it again
//! (`ONLY=Fault,Fault` those alone), which is due where checks or faults are changed or added.
//!
//! Guarantees: a line holds all that `causes` goes by. What fails by chance, or takes long and is
//! never the smallest, is left out, but for what `kill_matrix.txt` declares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use seshat_conformance::check::{Outcome, Spec};
use seshat_conformance::failure::{Failure, Kind};
use seshat_conformance::registry::registry;
use seshat_conformance::report::{CheckResult, Report};
use seshat_conformance::runner::Filter;

use super::stores::Fault;

/// By chance, or long and never the smallest.
const LEFT_OUT: [&str; 13] = [
    "suite",
    "cluster",
    "concurrency",
    "callback/every-size",
    "log/append/huge-entry",
    "log/range/limited-large",
    "crash/pairs",
    "reopen/pairs",
    "model/log",
    "model/store",
    "model/restarts",
    "model/power",
    "model/counter-examples",
];

/// What runs on a fault to record it: beside the declared checks, those that aren't left out.
pub fn filter(declared: &[&'static str]) -> Filter {
    let left_out =
        |id: &str| LEFT_OUT.iter().any(|word| id.starts_with(word)) && !declared.contains(&id);
    let ids = registry().into_iter().map(|check| check.spec.id);
    Filter { include: ids.filter(|id| !left_out(id)).map(str::to_owned).collect(), ..Filter::all() }
}

/// Whether a check fails in the same way each time.
pub fn is_certain(id: &str) -> bool {
    !["suite", "cluster", "concurrency", "model"].iter().any(|family| id.starts_with(family))
}

/// Whether a line is as it was recorded. Of a call that hung in many checks the recording, which
/// has more of them, may say that it wasn't tried again.
pub fn holds(lines: &[String], line: &str) -> bool {
    let untried = |id: &str| format!("{id} | NotTried |");
    let id = line.split(" | ").next().unwrap();
    let hung = line.contains("| Hang");
    lines.iter().any(|known| known == line || (hung && known.starts_with(&untried(id))))
}

pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kill_matrix/recorded.txt")
}

/// The lines of a report, an id each.
pub fn lines(report: &Report) -> BTreeMap<&'static str, String> {
    let failed = report.results.iter().filter_map(|result| match &result.outcome {
        Outcome::Failed(failure) => Some((result.spec.id, line(result.spec.id, failure))),
        _ => None,
    });
    failed.collect()
}

/// `id | kind | call | steps`: the kinds of step, each where it came last.
fn line(id: &str, failure: &Failure) -> String {
    let mut steps: Vec<&str> = Vec::new();
    let words = failure.steps.iter().filter_map(|step| step.split(' ').next());
    for word in words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
        steps.retain(|known| *known != word);
        steps.push(word);
    }
    let late = if failure.what.starts_with("did not end") { " late" } else { "" };
    let asked: String = failure.asked.iter().flat_map(|asked| asked.chars()).take(50).collect();
    format!("{id} | {:?}{late} | {} | {}", failure.kind, asked.trim(), steps.join(" "))
}

/// What was recorded of every fault: its lines.
pub fn recorded() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(path()).unwrap();
    let mut recorded: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut fault = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match line.strip_prefix("  ") {
            Some(line) => recorded.get_mut(&fault).unwrap().push(line.to_owned()),
            None => {
                fault = line.to_owned();
                recorded.insert(fault.clone(), Vec::new());
            }
        }
    }
    recorded
}

pub fn write(recorded: &BTreeMap<String, Vec<String>>, order: impl Iterator<Item = Fault>) {
    let mut text = "# What fails on each fault: see recorded.rs.\n".to_owned();
    for fault in order.map(|fault| format!("{fault:?}")) {
        let lines = recorded.get(&fault).map(Vec::as_slice).unwrap_or_default();
        text.push_str(&format!("\n{fault}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    std::fs::write(path(), text).unwrap();
}

/// The results that lines tell of, in the registry's order.
pub fn results(lines: &[String]) -> Vec<CheckResult> {
    let found: BTreeMap<&str, Failure> = lines.iter().map(|line| read(line)).collect();
    let ids: BTreeSet<&str> = registry().iter().map(|check| check.spec.id).collect();
    let strangers: Vec<_> = found.keys().filter(|id| !ids.contains(**id)).collect();
    assert!(strangers.is_empty(), "record again: there is no check {strangers:?}");
    let specs = registry().into_iter().map(|check| check.spec);
    let result = |spec: Spec| CheckResult {
        spec,
        outcome: match found.get(spec.id) {
            Some(failure) => Outcome::Failed(failure.clone()),
            None => Outcome::Passed { cases: 1 },
        },
        elapsed: Duration::ZERO,
    };
    specs.map(result).collect()
}

fn read(line: &str) -> (&str, Failure) {
    let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let [id, kind, asked, steps] = parts[..] else { panic!("no line of a recording: {line}") };
    let (kind, late) = kind.split_once(' ').unwrap_or((kind, ""));
    let failure = Failure {
        what: if late.is_empty() { String::new() } else { "did not end".to_owned() },
        expected: String::new(),
        got: String::new(),
        steps: steps.split_whitespace().map(str::to_owned).collect(),
        history: None,
        kind: kind_of(kind),
        asked: (!asked.is_empty()).then(|| asked.to_owned()),
        wreck: None,
        whole: None,
    };
    (id, failure)
}

fn kind_of(name: &str) -> Kind {
    let kinds = [
        Kind::Broken,
        Kind::Error,
        Kind::Panic,
        Kind::Hang,
        Kind::Abort,
        Kind::Hollow,
        Kind::Kit,
        Kind::NotTried,
    ];
    kinds.into_iter().find(|kind| format!("{kind:?}") == name).expect("a kind")
}
