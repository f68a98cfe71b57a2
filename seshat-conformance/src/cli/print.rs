//! What `list` and `explain` show.

use std::fmt::Write;

use crate::options::Filter;
use crate::requirement::requirement;
use crate::spec::Spec;

/// A line a check.
pub(super) fn list(filter: &Filter, specs: &[Spec]) -> String {
    let ids: Vec<&str> = specs.iter().map(|spec| spec.id).collect();
    let chosen = || specs.iter().filter(|spec| filter.lets_through(spec.id, &ids));
    let width = chosen().map(|spec| spec.id.len()).max().unwrap_or_default();
    let mut out = String::new();
    // Writing to a string never fails, here and below.
    for Spec { id, level, promise, .. } in chosen() {
        let level = level.to_string();
        let _ = writeln!(out, "{id:<width$}  {level:<6}  {promise}");
    }
    out
}

/// All that is known of a check.
pub(super) fn explain(spec: &Spec) -> String {
    let Spec { id, level, requirements, promise, consequence, relies, reason, .. } = spec;
    let Spec { needs, limit, since, .. } = spec;
    let mut out = String::new();
    let _ = writeln!(out, "{id}  ({level}, since edition {since}, at most {limit:?})");
    let _ = writeln!(out, "\npromise\n  {promise}");
    let _ = writeln!(out, "\nin a cluster\n  {consequence}");
    if !requirements.is_empty() {
        out.push_str("\nopenraft 0.9.25\n");
    }
    for requirement in requirements.iter().filter_map(|number| requirement(*number)) {
        let _ = writeln!(out, "  {requirement}");
    }
    if !relies.is_empty() {
        out.push_str("\nrelied on by\n");
    }
    for place in *relies {
        let _ = writeln!(out, "  {place}");
    }
    if !reason.is_empty() {
        let _ = writeln!(out, "\nnot relied on\n  {reason}");
    }
    if !needs.is_empty() {
        out.push_str("\nskipped where\n");
    }
    for need in *needs {
        let _ = writeln!(out, "  {}", need.reason());
    }
    out
}
