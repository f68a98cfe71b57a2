//! The bytes of every message, as they were when they were first written: `fixtures/wire`.
//!
//! Logs on disk and nodes of other versions hold these bytes. So a fixture is never edited and
//! never recorded again. A new message, field or case gets a row in `table.rs` and a fixture of
//! its own; a new format gets a folder beside `v1`, which stays readable for ever. How that is
//! done is told in `seshat-conformance/FIXTURES.md`.
//!
//! A fixture is a snapshot of insta's. Accepting a change of one in `cargo insta review` is not
//! enough to change it: `fixtures/wire/digests.snap` has a digest of each, and only gets longer.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixture;
mod read;
mod recorded;
mod schema;
mod show;
mod table;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fixture::{Fixture, VERSION};
use recorded::{DIGESTS, Recorded, to_hex};
use schema::{Layout, Schema};

const ADVICE: &str = "logs on disk and nodes of other versions hold a fixture's bytes. Restore it \
    (git checkout seshat-core/fixtures) and mend the codec; a format that must differ needs a \
    format_version of its own, and fixtures in a new folder beside v1: see \
    seshat-conformance/FIXTURES.md";

/// Collects what is wrong in all fixtures, so that one run shows all of it.
fn check_all<T>(all: impl IntoIterator<Item = T>, check: impl Fn(T) -> Result<(), String>) {
    let wrong: Vec<String> = all.into_iter().filter_map(|one| check(one).err()).collect();
    assert!(wrong.is_empty(), "{}\n\n{ADVICE}", wrong.join("\n"));
}

/// Those of the table that were recorded before. The others are for `everything_is_recorded`.
fn known_fixtures() -> impl Iterator<Item = Fixture> {
    let names = recorded::names();
    table::fixtures().into_iter().filter(move |fixture| names.contains(&fixture.name))
}

/// Whether insta has recorded `text` under that name.
fn is_recorded(name: &str, text: &str) -> bool {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(recorded::root().join(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // The first difference is not to hide the others.
    let assert = || settings.bind(|| insta::assert_snapshot!(file, text));
    catch_unwind(AssertUnwindSafe(assert)).is_ok()
}

#[test]
fn everything_is_recorded() {
    let (schema, digests) = (Schema::load(), recorded::digests());
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    let mut lines = recorded::digest_lines();
    for fixture in table::fixtures() {
        let (name, text) = (&fixture.name, fixture.text(&schema));
        let known = digests.contains_key(name);
        if !is_recorded(name, &text) {
            if known { &mut changed } else { &mut new }.push(name.clone());
        }
        if !known {
            let recorded = Recorded::parse(&text).unwrap_or_else(|error| panic!("{error}"));
            lines.push(format!("{} {name}", recorded.digest()));
        }
    }
    // Whatever has become of the fixtures, no line of theirs is written anew.
    let listed = is_recorded(DIGESTS, &lines.join("\n"));
    assert!(
        changed.is_empty(),
        "these would be recorded anew: {changed:?}. If only comments of theirs changed, accept \
         that in `cargo insta review`; otherwise reject it: {ADVICE}"
    );
    assert!(
        new.is_empty() && listed,
        "new fixtures: {new:?}. Look at each in `cargo insta review`, accept it and its line in \
         {DIGESTS}.snap, and commit both"
    );
}

#[test]
fn no_fixture_was_changed_or_removed() {
    let digests = recorded::digests();
    check_all(&digests, |(name, digest)| {
        let recorded = Recorded::load(name).map_err(|error| format!("{error}: it was removed"))?;
        let same = recorded.digest() == *digest;
        if same { Ok(()) } else { Err(format!("{name} was changed after it was recorded")) }
    });
    let names = recorded::names();
    let unguarded: Vec<_> = names.iter().filter(|name| !digests.contains_key(*name)).collect();
    assert!(
        unguarded.is_empty(),
        "no digest of {unguarded:?}: `cargo insta test` and accept its line in {DIGESTS}.snap"
    );
}

#[test]
fn values_are_written_as_in_their_fixtures() {
    check_all(known_fixtures(), |fixture| {
        let Fixture { name, encoded, .. } = fixture;
        let expected = Recorded::load(&name)?.bytes;
        if encoded == expected {
            return Ok(());
        }
        let (got, expected) = (to_hex(&encoded), to_hex(&expected));
        Err(format!("{name} is written otherwise\n     is {got}\n    was {expected}"))
    });
}

#[test]
fn fixtures_read_as_the_values_they_were_made_of() {
    check_all(known_fixtures(), |fixture| {
        (fixture.check)(Recorded::load(&fixture.name)?.bytes)
            .map_err(|error| format!("{}: {error}", fixture.name))
    });
}

#[test]
fn fixtures_of_every_version_read_as_they_say() {
    let names = recorded::names();
    assert!(names.iter().any(|name| name.starts_with("v1/")), "the folder was read");
    check_all(names, |name| {
        let recorded = Recorded::load(&name)?;
        let got = read::read(&recorded.kind, recorded.bytes);
        let got = got.map_err(|error| format!("{name} can't be read any more: {error}"))?;
        let same = got == recorded.value;
        if same { Ok(()) } else { Err(format!("{name} reads as {got}, not {}", recorded.value)) }
    });
}

#[test]
fn every_row_of_the_table_has_a_name_of_its_own() {
    let rows: Vec<String> = table::fixtures().into_iter().map(|fixture| fixture.name).collect();
    let distinct: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(rows.len(), distinct.len(), "two rows name the same file");
    // What no row writes any more is an older version's, and only read.
    let written = |name: &String| name.starts_with(&format!("{VERSION}/"));
    let mut names = recorded::names();
    names.retain(|name| written(name) && !distinct.contains(name));
    assert!(names.is_empty(), "nothing writes {names:?}: a fixture must keep its row");
}

/// A field without a fixture could change its number unnoticed.
#[test]
fn every_message_and_field_of_the_schema_occurs_in_a_fixture() {
    let schema = Schema::load();
    let mut missing = schema.everything();
    assert!(missing.contains("LogId.index") && missing.contains("Blank"), "the schema is read");
    for fixture in table::fixtures() {
        schema.walk(fixture.layout, &fixture.encoded, &mut |part| {
            missing.remove(part.message);
            missing.remove(&format!("{}.{}", part.message, part.name));
        });
        if let Layout::Message(message) = fixture.layout {
            missing.remove(message);
        }
    }
    // Messages without a field show as the field that holds them.
    for empty in ["Blank", "AppendSuccess", "AppendConflict"] {
        missing.remove(empty);
    }
    assert!(missing.is_empty(), "in no fixture: {missing:?}; add rows to table.rs");
}
