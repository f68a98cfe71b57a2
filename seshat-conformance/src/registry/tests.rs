//! What holds for every check, and for the page that lists them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::check::{Edition, Level, Need, Past};
use crate::requirement::{Place, requirement};

fn specs() -> Vec<Spec> {
    super::specs(Edition::LATEST)
}

#[test]
fn ids_are_unique_and_well_formed() {
    let mut seen = BTreeSet::new();
    for Spec { id, .. } in specs() {
        assert!(seen.insert(id), "{id} twice");
        let parts: Vec<_> = id.split('/').collect();
        assert!((2..=3).contains(&parts.len()), "{id}: family/subject or family/subject/point");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        assert!(parts.iter().all(|part| !part.is_empty() && part.chars().all(plain)), "{id}");
    }
}

#[test]
fn families_are_in_one_piece() {
    let mut families: Vec<_> = specs().iter().map(Spec::family).collect();
    families.dedup();
    let unique: BTreeSet<_> = families.iter().collect();
    assert_eq!(unique.len(), families.len(), "{families:?}");
}

#[test]
fn promises_and_consequences_are_sentences() {
    for Spec { id, promise, consequence, .. } in specs() {
        for text in [promise, consequence] {
            let begins = text.starts_with(|c: char| c.is_uppercase() || "`'".contains(c));
            assert!(begins || text.starts_with("openraft"), "{id}: {text}");
            assert!(text.ends_with('.') && text.len() > 15, "{id}: {text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{id}: {text}");
        }
    }
}

#[test]
fn every_must_rests_on_a_requirement_that_exists() {
    for spec in specs() {
        let rests = !spec.requirements.is_empty() || spec.family() == "suite";
        assert!(rests || spec.level != Level::Must, "{} rests on nothing", spec.id);
        let unique: BTreeSet<_> = spec.requirements.iter().collect();
        assert_eq!(unique.len(), spec.requirements.len(), "{}: one twice", spec.id);
        for number in spec.requirements {
            assert!(requirement(*number).is_some(), "{}: there is no R{number}", spec.id);
        }
    }
}

#[test]
fn somebody_relies_on_every_must_and_on_nothing_else() {
    for Spec { id, level, relies, reason, .. } in specs() {
        match level {
            Level::Must => {
                assert!(!relies.is_empty(), "{id}: a Must says who `relies:` on it");
                assert!(reason.is_empty(), "{id}: a Must needs no reason");
            }
            Level::Should | Level::May => {
                assert!(relies.is_empty(), "{id}: what openraft relies on is a Must");
                let sentence = reason.ends_with('.') && reason.len() > 15;
                assert!(sentence, "{id}: a {level} says the `reason:` why nobody relies on it");
            }
        }
        let unique: BTreeSet<_> = relies.iter().map(Place::to_string).collect();
        assert_eq!(unique.len(), relies.len(), "{id}: a place twice");
    }
}

#[test]
fn those_who_rely_are_in_the_source_of_openraft() {
    let source = openraft();
    for Spec { id, relies, .. } in specs() {
        for Place { file, function, does } in relies {
            let text = std::fs::read_to_string(source.join(file));
            let text = text.unwrap_or_else(|error| panic!("{id}: openraft has no {file}: {error}"));
            let begins = |end: &str| text.contains(&format!("fn {function}{end}"));
            assert!(begins("(") || begins("<"), "{id}: {file} has no function {function}");
            assert!(!does.is_empty() && !does.ends_with('.'), "{id}: {file} {function}: {does}");
        }
    }
}

/// The source that the kit is compiled with, wherever cargo keeps it.
fn openraft() -> PathBuf {
    let cargo = |arguments: &[&str]| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(manifest).output();
        let output = output.expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Of other platforms' packages not even the manifests may be there.
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let metadata =
        cargo(&["metadata", "--format-version=1", "--offline", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let openraft = packages.iter().find(|package| package["name"] == "openraft").unwrap();
    assert_eq!(openraft["version"], "0.9.25", "the places are of that version");
    let manifest = Path::new(openraft["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("src")
}

#[test]
fn levels_change_with_editions() {
    for Spec { id, level, past, since, .. } in specs() {
        let Some(Past { level: before, until }) = past else { continue };
        assert_ne!(level, before, "{id}");
        assert!(since <= until && until < Edition::LATEST, "{id}: {since} to {until}");
    }
    let level = |edition| {
        let specs = super::specs(edition);
        specs.into_iter().find(|spec| spec.id == "log/range/unbounded").unwrap().level
    };
    assert_eq!(level(Edition(1)), Level::Must, "edition 1 stays what it was");
    assert_eq!(level(Edition::LATEST), Level::Should);
}

#[test]
fn the_page_on_editions_names_what_changed() {
    let page = include_str!("../../docs/editions.md");
    // The suite is told of in one.
    for Spec { id, past, since, .. } in specs().into_iter().filter(|s| s.family() != "suite") {
        let changed = past.is_some() || since > Edition(1);
        let named = page.contains(&format!("`{id}`"));
        assert!(named || !changed, "docs/editions.md doesn't tell of {id}");
    }
}

#[test]
fn needs_and_limits_are_sane() {
    for Spec { id, needs, limit, since, .. } in specs() {
        let unique: BTreeSet<_> = needs.iter().map(|need| format!("{need:?}")).collect();
        assert_eq!(unique.len(), needs.len(), "{id}: a need twice");
        assert!((1..=120).contains(&limit.as_secs()), "{id}: {limit:?}");
        assert!((1..=Edition::LATEST.0).contains(&since.0), "{id}: {since}");
        // Nothing is under test if both halves are the kit's; one is enough.
        let keeps = [Need::AppliedSurvivesRestart, Need::SnapshotSurvivesRestart];
        assert!(!keeps.iter().all(|need| needs.contains(need)), "{id} can never run");
    }
}

#[test]
fn the_page_lists_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CHECKS.md");
    let page = page::page(&specs());
    if std::env::var_os("SESHAT_REGENERATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "CHECKS.md differs from the registry: \
         SESHAT_REGENERATE=1 cargo test -p seshat-conformance --lib registry"
    );
}
