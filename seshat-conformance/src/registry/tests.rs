//! What holds for every check, and for the page that lists them.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::check::{Level, Need, Spec};
use crate::requirement::requirement;

fn specs() -> Vec<Spec> {
    registry().iter().map(|check| check.spec).collect()
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
fn needs_and_limits_are_sane() {
    for Spec { id, needs, limit, since, .. } in specs() {
        let unique: BTreeSet<_> = needs.iter().map(|need| format!("{need:?}")).collect();
        assert_eq!(unique.len(), needs.len(), "{id}: a need twice");
        assert!((1..=120).contains(&limit.as_secs()), "{id}: {limit:?}");
        assert!((1..=crate::check::Edition::LATEST.0).contains(&since.0), "{id}: {since}");
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
