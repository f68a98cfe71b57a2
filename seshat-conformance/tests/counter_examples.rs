//! Each counter-example of `fixtures/model` shows the mistakes that its comments name, and no
//! mistake in a store that is right.
#![cfg(feature = "storage-v2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, dead_code, unused_imports)]

mod stores;

use std::path::Path;
use std::time::Duration;

use seshat_conformance::backend::Keeps;
use seshat_conformance::check::Outcome;
use seshat_conformance::runner::{Options, replay};
use stores::{FAULTS, Fault, Store};

/// Names and texts of all counter-examples.
fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/model");
    let folders = std::fs::read_dir(root).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files
        .map(|file| {
            let path = file.unwrap().path();
            (path.display().to_string(), std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The mistakes that comments name: `# Fault: what it mimics`.
fn faults(name: &str, text: &str) -> Vec<Fault> {
    let named = text.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(": "));
    let found = named.map(|(fault, doc)| {
        let known = FAULTS.iter().find(|(known, _, _)| format!("{known:?}") == fault);
        let (known, _, what) = known.unwrap_or_else(|| panic!("{name}: no fault {fault}"));
        assert_eq!(doc, *what, "{name}: {fault} is something else now");
        *known
    });
    found.collect()
}

fn outcome(store: Store, history: &str) -> Outcome {
    let options = Options { patience: Duration::from_millis(500), ..Options::default() };
    replay(store, &options, history).unwrap_or_else(|error| panic!("{error}"))
}

/// Mistakes that only edition 1 held against a store: openraft makes each good by itself, so that
/// a history which shows no more than that fails nobody any longer.
const FORGIVEN: [(Fault, &str); 4] = [
    (Fault::TruncateInMemory, "truncate_in_memory"),
    (Fault::PurgeInMemory, "purge_in_memory"),
    (Fault::PurgeGuessed, "purge_in_memory"),
    (Fault::CommittedOneBehind, "committed_one_behind"),
];

#[test]
fn each_shows_the_mistakes_it_names() {
    let mut hidden = Vec::new();
    for (name, text) in all() {
        let faults = faults(&name, &text);
        assert!(!faults.is_empty(), "{name}: say in a comment which mistake it shows");
        for fault in faults {
            let outcome = outcome(Store::faulty(fault), &text);
            let forgiven =
                FORGIVEN.iter().any(|(known, file)| *known == fault && name.contains(file));
            if matches!(outcome, Outcome::Failed(_)) == forgiven {
                hidden.push(format!("{fault:?} is not seen by {name}: {outcome:?}"));
            }
        }
    }
    assert!(hidden.is_empty(), "{}", hidden.join("\n"));
}

#[test]
fn none_accuses_a_store_that_is_right() {
    for (name, text) in all() {
        for keeps in [Keeps::Snapshot, Keeps::Applied] {
            let outcome = outcome(Store::right(keeps), &text);
            assert!(matches!(outcome, Outcome::Passed { .. }), "{name}: {outcome:#?}");
        }
    }
}
