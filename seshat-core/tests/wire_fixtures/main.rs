//! The bytes of every message, as they were when they were first written: `fixtures/wire/v1`.
//!
//! Logs on disk and nodes of other versions hold these bytes. So a fixture is never edited and
//! never recorded again: not by this test, and not by hand. A new message, field or case gets a
//! row in `table.rs` and a fixture of its own, which
//!
//! ```text
//! SESHAT_RECORD=1 cargo test -p seshat-core --test wire_fixtures written_as
//! ```
//!
//! writes if there is none yet. Look at it before it is committed. A new format version gets
//! another folder beside `v1`.
//!
//! A fixture is text: bytes in hexadecimal, and comments from `#` to the end of the line.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod schema;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use schema::{Layout, Schema};
use table::Fixture;

const RECORD: &str = "if it was there before, restore it; if it is new, SESHAT_RECORD=1 \
    cargo test -p seshat-core --test wire_fixtures written_as, and look at it";
const COMPATIBILITY: &str = "logs on disk and nodes of other versions hold the fixture's bytes, \
    so mend the codec and leave the fixture alone; a format that must differ needs a \
    format_version of its own, and fixtures beside these";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire/v1")
}

fn path_of(fixture: &Fixture) -> PathBuf {
    folder().join(fixture.name).with_extension("txt")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn from_hex(text: &str) -> Result<Bytes, String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .map(|byte| match byte.len() {
            2 => u8::from_str_radix(byte, 16).map_err(|_| format!("{byte:?} is no byte")),
            _ => Err(format!("{byte:?} is no byte")),
        })
        .collect()
}

fn load(fixture: &Fixture) -> Result<Bytes, String> {
    let path = path_of(fixture);
    match fs::read_to_string(&path) {
        Ok(text) => from_hex(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) => Err(format!("{}: {error}; {RECORD}", path.display())),
    }
}

/// The bytes with a line for each field and its name beside it.
fn annotated(fixture: &Fixture) -> String {
    let mut lines = vec![format!("# {}: {}", fixture.schema, fixture.what)];
    Schema::load().walk(fixture.layout, &fixture.encoded, &mut |part| {
        let label = format!("# {}{}", "  ".repeat(part.depth), part.name);
        let mut chunks = part.bytes.chunks(16).map(to_hex);
        lines.push(format!("{:<48}{label}", chunks.next().unwrap_or_default()));
        lines.extend(chunks);
    });
    lines.join("\n") + "\n"
}

/// Collects what is wrong in all fixtures, so that one run shows all of it.
fn check_all(check: impl Fn(&Fixture) -> Result<(), String>) {
    let wrong: Vec<String> =
        table::fixtures().iter().filter_map(|fixture| check(fixture).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Only what is missing, and only if asked to.
fn record() {
    if std::env::var_os("SESHAT_RECORD").is_none() {
        return;
    }
    for fixture in table::fixtures() {
        let path = path_of(&fixture);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // `create_new`: what exists stays as it is.
        if let Ok(mut file) = fs::File::create_new(&path) {
            file.write_all(annotated(&fixture).as_bytes()).unwrap();
        }
    }
}

#[test]
fn values_are_written_as_in_their_fixtures() {
    record();
    check_all(|fixture| {
        let expected = load(fixture)?;
        if fixture.encoded == expected {
            return Ok(());
        }
        let (got, expected) = (to_hex(&fixture.encoded), to_hex(&expected));
        let name = fixture.name;
        Err(format!(
            "{name} is written otherwise: {COMPATIBILITY}\n     is {got}\n    was {expected}"
        ))
    });
}

#[test]
fn fixtures_read_as_the_values_they_were_made_of() {
    check_all(|fixture| {
        let expected = load(fixture)?;
        (fixture.check)(expected)
            .map_err(|error| format!("{}: {error}; {COMPATIBILITY}", fixture.name))
    });
}

#[test]
fn every_file_is_in_the_table_once() {
    let mut files = BTreeSet::new();
    for group in fs::read_dir(folder()).expect("fixtures/wire/v1 is there") {
        let group = group.unwrap().path();
        let inside = fs::read_dir(&group).unwrap_or_else(|_| panic!("{group:?} is no folder"));
        files.extend(inside.map(|file| file.unwrap().path()));
    }
    let rows: Vec<PathBuf> = table::fixtures().iter().map(path_of).collect();
    let distinct: BTreeSet<PathBuf> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), distinct.len(), "two rows name the same file");

    let unused: Vec<_> = files.difference(&distinct).collect();
    assert!(unused.is_empty(), "no test reads {unused:?}: a fixture must keep its row");
}

/// A field without a fixture could change its number unnoticed.
#[test]
fn every_message_and_field_of_the_schema_occurs_in_a_fixture() {
    let schema = Schema::load();
    let mut missing = schema.everything();
    assert!(missing.contains("LogId.index") && missing.contains("Blank"), "the schema is read");
    for fixture in table::fixtures() {
        let bytes = load(&fixture).unwrap_or_else(|error| panic!("{error}"));
        schema.walk(fixture.layout, &bytes, &mut |part| {
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
