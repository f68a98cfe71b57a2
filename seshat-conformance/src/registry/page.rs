//! The page that lists every check, `CHECKS.md`, generated from the registry.

use std::fmt::Write;

use crate::requirement::{Place, requirement, requirements};
use crate::spec::{Edition, Need, Past, Spec};

const HEAD: &str = "\
# Every check

Generated from the registry; `SESHAT_REGENERATE=1 cargo test -p seshat-conformance --lib registry`
writes it anew.

**must**: openraft relies on it, so that a cluster on such a store loses data, stops or diverges; a
failure fails the run. **should**: openraft's documents ask for it, or every operator would; a cluster
survives without. **may**: advice. What a check weighed in an earlier edition is said beside it; why
that changed, in [docs/editions.md](docs/editions.md).

Places such as `storage/v2.rs:131` are in the source of openraft 0.9.25, below `openraft/src`. A must
names who relies on it there, as file and function. [What openraft asks for](#what-openraft-asks-for)
says it in our words, with the checks that try it. The promises of openraft's own suite are its
functions.
";

/// The page.
pub(super) fn page(specs: &[Spec]) -> String {
    let mut out = HEAD.to_owned();
    let mut families: Vec<_> = specs.iter().map(Spec::family).collect();
    families.dedup();
    for family in families {
        let specs: Vec<_> = specs.iter().filter(|spec| spec.family() == family).collect();
        // Writing to a string never fails, here and below.
        let _ = writeln!(out, "\n## {family} ({})", specs.len());
        match specs.split_first() {
            Some((first, rest))
                if !rest.is_empty() && rest.iter().all(|spec| alike(first, spec)) =>
            {
                let ids: Vec<_> = specs.iter().map(|spec| format!("`{}`", spec.id)).collect();
                let _ = writeln!(out, "\n{}\n", ids.join(",\n"));
                check(&mut out, first);
            }
            _ => {
                for spec in specs {
                    let _ = writeln!(out, "\n### `{}`\n", spec.id);
                    check(&mut out, spec);
                }
            }
        }
    }
    asked(&mut out, specs);
    out
}

/// Whether they differ in their ids alone, as those of openraft's suite do.
fn alike(a: &Spec, b: &Spec) -> bool {
    a.promise == b.promise
        && a.consequence == b.consequence
        && a.needs == b.needs
        && a.relies == b.relies
        && a.reason == b.reason
}

fn check(out: &mut String, spec: &Spec) {
    let Spec { level, requirements, promise, consequence, relies, reason, needs, .. } = spec;
    let since = match (spec.since, spec.past) {
        (Edition(1), None) => String::new(),
        (since, None) => format!(", since edition {since}"),
        (_, Some(Past { level, until })) => format!(" ({level} until edition {until})"),
    };
    let _ = writeln!(out, "**{level}**{since}. {promise}\n");
    let _ = writeln!(out, "- Without it: {consequence}");
    for Place { file, function, does } in *relies {
        let _ = writeln!(out, "- Relied on by `{file}` `{function}`, which {does}");
    }
    if !reason.is_empty() {
        let _ = writeln!(out, "- Not relied on: {reason}");
    }
    let places: Vec<_> = requirements
        .iter()
        .filter_map(|number| requirement(*number))
        .map(|requirement| format!("R{} `{}`", requirement.number, requirement.place))
        .collect();
    if !places.is_empty() {
        let _ = writeln!(out, "- openraft: {}", places.join(", "));
    }
    let needs: Vec<_> = needs.iter().copied().map(Need::reason).collect();
    if !needs.is_empty() {
        let _ = writeln!(out, "- Skipped where: {}", needs.join("; "));
    }
}

fn asked(out: &mut String, specs: &[Spec]) {
    out.push_str(
        "\n## What openraft asks for\n\n| | place | of | what | checks |\n|--:|---|---|---|---|\n",
    );
    let mut requirements: Vec<_> = requirements().collect();
    requirements.sort_by_key(|requirement| requirement.number);
    for requirement in requirements {
        let tries = |spec: &&Spec| spec.requirements.contains(&requirement.number);
        let ids: Vec<_> = specs.iter().filter(tries).map(|spec| format!("`{}`", spec.id)).collect();
        let _ = writeln!(
            out,
            "| R{} | `{}` | {} | {} | {} |",
            requirement.number,
            requirement.place,
            requirement.method,
            requirement.promise,
            ids.join(" ")
        );
    }
}
