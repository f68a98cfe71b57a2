//! The schema is never changed so that bytes written under an earlier one mean something else.
//!
//! `fixtures/schema/recorded.snap` has every field that ever was in `proto/`, and only gets
//! longer: what was removed stays in it, so that its number is never used again, and accepting
//! a broken rule in `cargo insta review` is not possible.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod rules;
mod schema;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use protox::Compiler;
use protox::file::{File, FileResolver};
use rstest::rstest;

use rules::breaks;
use schema::Schema;

const RECORDED: &str = "recorded";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema")
}

fn recorded() -> Schema {
    let path = folder().join(RECORDED).with_extension("snap");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let body = text.split_once("\n---\n").map_or("", |(_, body)| body);
    Schema::parse(body).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn present() -> Schema {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = std::fs::read_dir(root.join("seshat/v1")).expect("the schema is there");
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    Schema::of(&protox::compile(files, [&root]).expect("the schema compiles"))
}

#[test]
fn the_schema_breaks_no_rule() {
    let recorded = recorded();
    assert!(!recorded.types.is_empty(), "nothing is recorded: restore fixtures/schema");
    let broken: Vec<String> =
        breaks(&recorded, &present()).iter().map(ToString::to_string).collect();
    assert!(
        broken.is_empty(),
        "proto/ breaks the wire:\n\n{}\n\nBytes written under the recorded schema are on disks \
         and in other versions: see seshat-conformance/FIXTURES.md",
        broken.join("\n")
    );
}

#[test]
fn the_whole_schema_is_recorded() {
    let (recorded, present) = (recorded(), present());
    let all = recorded.and(&present).to_string();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let assert = || settings.bind(|| insta::assert_snapshot!(RECORDED, all));
    assert!(
        catch_unwind(AssertUnwindSafe(assert)).is_ok(),
        "proto/ has something new, which no rule forbids. Look at it in `cargo insta review`, \
         accept and commit it: from then on it can't be changed any more. Then give it a fixture: \
         a row in tests/wire_fixtures/table.rs"
    );
}

const SAMPLE: &str = r#"
syntax = "proto3";
package sample.v1;

message Pair {
  uint64 left = 1;
  uint64 right = 2;
  repeated bytes notes = 3;
  oneof choice {
    bool yes = 4;
    bool no = 5;
  }
  optional bytes previous = 6;
  Colour colour = 7;
  Inner inner = 8;
  message Inner {
    bytes key = 1;
  }
}

message Other {
  Pair pair = 1;
}

enum Colour {
  COLOUR_NONE = 0;
  COLOUR_RED = 1;
  COLOUR_BLUE = 2;
}
"#;

struct Sources(HashMap<&'static str, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, source)
    }
}

fn compile(source: String) -> Schema {
    let sources = Sources(HashMap::from([("sample.proto", source)]));
    let mut compiler = Compiler::with_file_resolver(sources);
    compiler.open_file("sample.proto").expect("the sample compiles");
    Schema::of(&compiler.file_descriptor_set())
}

/// The sample with one piece of it replaced.
fn edited(from: &str, to: &str) -> Schema {
    assert_eq!(SAMPLE.matches(from).count(), 1, "{from:?} occurs once in the sample");
    compile(SAMPLE.replace(from, to))
}

#[rstest]
#[case::number("uint64 left = 1;", "uint64 left = 9;", "number-kept", "field 1 left")]
#[case::name("uint64 left = 1;", "uint64 west = 1;", "number-not-reused", "field 1 left")]
#[case::reuse("uint64 left = 1;", "bytes west = 1;", "number-not-reused", "field 1 left")]
#[case::swap("right = 2;", "right = 9; bytes up = 2;", "number-not-reused", "field 2 right")]
#[case::kind("uint64 left", "sint64 left", "type-of-field-kept", "field 1 left")]
#[case::same_width("uint64 left", "uint32 left", "type-of-field-kept", "field 1 left")]
#[case::text("repeated bytes", "repeated string", "type-of-field-kept", "field 3 notes")]
#[case::message("Inner inner", "Other inner", "type-of-field-kept", "field 8 inner")]
#[case::enum_to_number("Colour colour", "int32 colour", "type-of-field-kept", "field 7 colour")]
#[case::removed("  uint64 left = 1;", "", "removed-reserved", "field 1 left")]
#[case::name_alone_reserved(
    "uint64 left = 1;",
    "reserved \"left\";",
    "removed-reserved",
    "field 1 left"
)]
#[case::another_reserved("uint64 left = 1;", "reserved 9;", "removed-reserved", "field 1 left")]
#[case::singular("repeated bytes", "bytes", "cardinality-kept", "field 3 notes")]
#[case::repeated("Colour colour", "repeated Colour colour", "cardinality-kept", "field 7 colour")]
#[case::optional("uint64 left", "optional uint64 left", "cardinality-kept", "field 1 left")]
#[case::implicit("optional bytes", "bytes", "cardinality-kept", "field 6 previous")]
#[case::into_oneof(
    "  optional bytes previous = 6;",
    "oneof o { bytes previous = 6; }",
    "oneof-kept",
    "field 6 previous"
)]
#[case::out_of_oneof("    bool no = 5;\n  }", "  } bool no = 5;", "oneof-kept", "field 5 no")]
#[case::other_oneof("oneof choice", "oneof selection", "oneof-kept", "field 4 yes")]
#[case::message_renamed("message Other", "message Another", "type-kept", "message sample.v1.Other")]
#[case::package("sample.v1", "sample.v2", "type-kept", "message sample.v1.Pair")]
#[case::enum_zero_renamed("COLOUR_NONE", "COLOUR_GREEN", "enum-zero-kept", "value 0 COLOUR_NONE")]
#[case::enum_zero_moved(
    "COLOUR_NONE = 0;\n  COLOUR_RED = 1;",
    "COLOUR_RED = 0; COLOUR_NONE = 1;",
    "enum-zero-kept",
    "value 0 COLOUR_NONE"
)]
#[case::enum_value("COLOUR_BLUE = 2", "COLOUR_BLUE = 3", "number-kept", "value 2 COLOUR_BLUE")]
#[case::enum_removed("  COLOUR_BLUE = 2;", "", "removed-reserved", "value 2 COLOUR_BLUE")]
fn a_break_is_caught_by_its_rule(
    #[case] from: &str,
    #[case] to: &str,
    #[case] rule: &str,
    #[case] place: &str,
) {
    let found = breaks(&compile(SAMPLE.to_owned()), &edited(from, to));
    let caught = found.iter().any(|found| found.rule == rule && found.place.contains(place));
    assert!(caught, "not caught by {rule} at {place}, but by: {found:#?}");
    assert!(found.iter().all(|found| found.what.len() > 5 && found.advice.len() > 20));
}

#[rstest]
#[case::field("uint64 left = 1;", "uint64 left = 1; bytes more = 100;")]
#[case::oneof_member("bool no = 5;", "bool no = 5; bytes perhaps = 10;")]
#[case::message("message Other", "message More { bytes b = 1; } message Other")]
#[case::enum_value("COLOUR_RED = 1;", "COLOUR_RED = 1; COLOUR_GREEN = 5;")]
#[case::removed_and_reserved("uint64 left = 1;", "reserved 1; reserved \"left\";")]
#[case::enum_removed("COLOUR_BLUE = 2;", "reserved 2; reserved \"COLOUR_BLUE\";")]
#[case::reordered("uint64 left = 1;\n  uint64 right = 2;", "uint64 right = 2; uint64 left = 1;")]
fn what_old_readers_can_live_with_breaks_no_rule(#[case] from: &str, #[case] to: &str) {
    let found = breaks(&compile(SAMPLE.to_owned()), &edited(from, to));
    assert!(found.is_empty(), "{found:#?}");
}

/// A reservation that is dropped later doesn't free the number.
#[test]
fn what_was_removed_stays_on_record() {
    let first = compile(SAMPLE.to_owned());
    let removed = edited("uint64 left = 1;", "reserved 1; reserved \"left\";");
    let recorded = first.and(&removed);
    assert_eq!(recorded.to_string(), first.to_string());
    let reused = edited("uint64 left = 1;", "bytes west = 1;");
    assert_eq!(breaks(&recorded, &reused)[0].rule, "number-not-reused");
}

#[test]
fn the_record_reads_back_as_it_was_written() {
    for schema in [compile(SAMPLE.to_owned()), present()] {
        let read = Schema::parse(&schema.to_string()).unwrap();
        assert_eq!(read.types, schema.types);
        assert_eq!(breaks(&read, &schema), []);
    }
}
