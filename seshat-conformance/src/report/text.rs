//! The report for people.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::rerun::{cargo_test, variable};
use super::view::{self, Tally};
use super::{CheckResult, Conclusion, Report, Rerun, short};
use crate::failure::{Failure, Kind, Wreck};
use crate::outcome::Outcome;
use crate::requirement::requirement;
use crate::spec::Spec;

/// What the labels of a failure are padded to.
const LABEL: usize = 13;

/// Paints words, or doesn't.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    fn odd(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }
}

/// The whole report, with colours for a terminal or without.
pub fn text(report: &Report, colour: bool) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    head(&mut out, report);
    causes(&mut out, report, paint);
    for result in view::beside_the_store(report) {
        let _ = writeln!(out, "{}", failure(report, result, colour));
    }
    families(&mut out, report, paint);
    let known = |result: &&CheckResult| matches!(result.outcome, Outcome::KnownFailure(_));
    known_failures(&mut out, report.results.iter().filter(known), paint);
    grouped(&mut out, "skipped", &view::skipped(report), paint);
    grouped(&mut out, "inconclusive", &view::inconclusive(report), paint);
    warnings(&mut out, report, paint);
    summary(&mut out, report, paint);
    out
}

// Writing to a string never fails: the results of `writeln!` are dropped throughout.

fn head(out: &mut String, report: &Report) {
    let Report { backend, edition, seed, budget, .. } = report;
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(out, "seshat-conformance {version}: {}", harmless(&short::sentence(backend)));
    let _ = writeln!(out, "edition {edition}, seed {seed}, {budget} budget\n");
}

/// Each cause in full, and what it explains in a line.
fn causes(out: &mut String, report: &Report, paint: Paint) {
    let causes = view::causes(report);
    if causes.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}\n", paint.bad(&view::causes_of(&causes)));
    for cause in &causes {
        out.push_str(&failure(report, cause.result, paint.0));
        field(out, "explains", &view::explained(cause));
        out.push('\n');
    }
}

fn families(out: &mut String, report: &Report, paint: Paint) {
    for family in report.families() {
        let tally = Tally::of(report.family(family), report.edition);
        let elapsed: Duration = report.family(family).map(|result| result.elapsed).sum();
        let state = if tally.failed > 0 {
            paint.bad("FAIL")
        } else if tally.warned > 0 {
            paint.odd("warn")
        } else if tally.answered() == 0 {
            paint.odd("none")
        } else {
            paint.good("  ok")
        };
        let _ = writeln!(
            out,
            "{state}  {family:<12} {:>9}  {}",
            seconds(elapsed),
            tally.words().join(", ")
        );
    }
}

/// A failure in full: what was promised, what happened, how to see it again.
pub fn failure(report: &Report, result: &CheckResult, colour: bool) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    let Some(failure) = view::failure(result) else { return out };
    let state = match &result.outcome {
        Outcome::KnownFailure(_) => paint.faint("known failure"),
        Outcome::Failed(failure) if failure.kind == Kind::NotTried => paint.odd("not tried"),
        _ if result.fails_run(report.edition) => paint.bad("FAILED"),
        _ => paint.odd("warning"),
    };
    let CheckResult { spec, elapsed, .. } = result;
    let _ = writeln!(out, "{state}  {}  ({}, {})", spec.id, spec.level, seconds(*elapsed));
    if !failure.kind.is_beside_the_store() {
        promised(&mut out, spec);
    }
    happened(&mut out, report, result, &failure);
    field(&mut out, "seed", &report.seed.to_string());
    field(&mut out, "run again", &report.again(spec.id));
    out
}

fn promised(out: &mut String, spec: &Spec) {
    field(out, "promise", spec.promise);
    for (n, number) in spec.requirements.iter().enumerate() {
        let label = if n == 0 { "openraft" } else { "" };
        if let Some(requirement) = requirement(*number) {
            field(out, label, &requirement.to_string());
        }
    }
    for (n, place) in spec.relies.iter().enumerate() {
        field(out, if n == 0 { "relied on by" } else { "" }, &place.to_string());
    }
    field(out, "in a cluster", spec.consequence);
}

fn happened(out: &mut String, report: &Report, result: &CheckResult, failure: &Failure) {
    field(out, "what", &failure.what);
    field(out, "expected", &failure.expected);
    field(out, "got", &failure.got);
    if let Some(wreck) = &failure.wreck {
        wrecked(out, wreck, &report.rerun);
    }
    let whole = |failure: &Failure| {
        let history = failure.history.as_deref().unwrap_or_default().trim_end();
        failure.steps.join("\n").trim_end() == history
    };
    if !view::whole(result).is_some_and(whole) {
        field(out, "steps", &failure.steps.join("\n"));
    }
    let history = failure.history.as_deref().unwrap_or_default().trim_end();
    field(out, "shortest", history);
    let file = failure.whole.as_deref().map(|file| file.display().to_string());
    if let Some(file) = &file {
        field(out, "the whole", file);
    }
    let replay = match &report.rerun {
        Rerun::Program(program) => {
            format!("{program} replay {}{}", file.as_deref().unwrap_or("FILE"), report.flags())
        }
        Rerun::Test(test) => {
            let (variable, others) = (variable("replay"), report.variables());
            let file = file.as_deref().unwrap_or("/path/of/FILE");
            format!("{variable}={file} {others}{}", cargo_test(test, "replay"))
        }
        Rerun::Library | Rerun::Replay(_) => return,
    };
    match file {
        _ if history.is_empty() => {}
        Some(_) => field(out, "replay", &replay),
        None => field(out, "replay", &format!("save that as FILE, then {replay}")),
    }
}

fn wrecked(out: &mut String, wreck: &Wreck, rerun: &Rerun) {
    for (label, lines) in wreck.parts() {
        field(out, label, &lines.join("\n"));
    }
    if let Some(image) = &wreck.image {
        field(out, "image", &image.display().to_string());
        if let Rerun::Program(program) = rerun {
            field(out, "look at it", &format!("{program} look {}", image.display()));
        }
    }
}

fn known_failures<'a>(
    out: &mut String,
    results: impl Iterator<Item = &'a CheckResult>,
    paint: Paint,
) {
    let lines: Vec<_> = results
        .filter_map(|result| Some(format!("  {}: {}", result.spec.id, view::failure(result)?.what)))
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(out, "\n{}", paint.odd("known failures"));
    }
    for line in lines {
        let _ = writeln!(out, "{}", harmless(&line));
    }
}

/// A labelled line; further lines of the text stand below the first.
fn field(out: &mut String, label: &str, text: &str) {
    for (n, line) in text.lines().enumerate() {
        let label = if n == 0 { label } else { "" };
        let line = format!("  {label:<LABEL$}{}", harmless(line));
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// What a store prints doesn't steer the reader's terminal.
fn harmless(line: &str) -> String {
    let mut harmless = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\t' => harmless.push(c),
            _ if c.is_control() => harmless.extend(c.escape_default()),
            _ => harmless.push(c),
        }
    }
    harmless
}

fn grouped(out: &mut String, title: &str, groups: &[(String, Vec<&'static str>)], paint: Paint) {
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.odd(title));
    for (reason, ids) in groups {
        let _ = writeln!(out, "  {}", harmless(reason));
        for line in wrapped(ids) {
            let _ = writeln!(out, "    {}", paint.faint(&line));
        }
    }
}

/// Ids in lines of a readable length.
fn wrapped(ids: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for id in ids {
        match lines.last_mut() {
            Some(line) if line.len() + id.len() < 90 => {
                line.push_str("  ");
                line.push_str(id);
            }
            _ => lines.push((*id).to_owned()),
        }
    }
    lines
}

fn warnings(out: &mut String, report: &Report, paint: Paint) {
    let warnings = view::warnings(report);
    if !warnings.is_empty() {
        out.push('\n');
    }
    for warning in warnings {
        let _ = writeln!(out, "{}  {}", paint.odd("note"), harmless(&warning));
    }
}

fn summary(out: &mut String, report: &Report, paint: Paint) {
    let tally = Tally::of(&report.results, report.edition);
    let verdict = match report.conclusion() {
        Conclusion::Conforms => paint.good("CONFORMS"),
        Conclusion::Fails => paint.bad("FAILS"),
        Conclusion::Interrupted => paint.odd("INTERRUPTED"),
    };
    let elapsed = seconds(report.elapsed);
    let _ = writeln!(out, "\n{verdict}  {} in {elapsed}", tally.summary());
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.2} s", elapsed.as_secs_f64())
}
