//! The report for a pull request.

use std::fmt::Write;

use super::view::{self, Tally};
use super::{CheckResult, Conclusion, Report, failure_text, short};
use crate::outcome::Outcome;

/// So many failures are shown in full; a comment's length is limited where pull requests live.
const IN_FULL: usize = 12;
/// So many ids stand on a line.
const A_LINE: usize = 8;

/// The report as GitHub's Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    let verdict = match report.conclusion() {
        Conclusion::Conforms => "conforms",
        Conclusion::Fails => "fails",
        Conclusion::Interrupted => "interrupted",
    };
    let tally = Tally::of(&report.results, report.edition);
    let Report { backend, edition, seed, budget, .. } = report;
    // Writing to a string never fails, here and below.
    let _ = writeln!(
        out,
        "### Storage conformance of {}: **{verdict}**\n",
        code(&short::sentence(backend))
    );
    let _ = writeln!(out, "{}.\n", tally.summary());
    causes(&mut out, report);
    for result in view::beside_the_store(report) {
        in_full(&mut out, report, result);
    }
    table(&mut out, report);
    known(&mut out, report);
    for warning in view::warnings(report) {
        let _ = writeln!(out, "- {}", escaped(&warning));
    }
    let groups = [("Skipped", view::skipped(report)), ("Inconclusive", view::inconclusive(report))];
    for (title, groups) in groups {
        grouped(&mut out, title, &groups);
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        out,
        "\n<sub>seshat-conformance {version}, edition {edition}, seed {seed}, {budget} budget, \
         {:.2} s</sub>",
        report.elapsed.as_secs_f64()
    );
    out
}

fn table(out: &mut String, report: &Report) {
    out.push_str("| family | passed | cases | failed | known | skipped | inconclusive | time |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for family in report.families() {
        let tally = Tally::of(report.family(family), report.edition);
        let elapsed: f64 = report.family(family).map(|result| result.elapsed.as_secs_f64()).sum();
        let Tally { passed, cases, failed, warned, known, skipped, inconclusive } = tally;
        let failed = if failed > 0 { format!("**{failed}**") } else { failed.to_string() };
        let warned = if warned > 0 { format!(" (+{warned})") } else { String::new() };
        let _ = writeln!(
            out,
            "| {family} | {passed} | {cases} | {failed}{warned} | {known} | {skipped} \
             | {inconclusive} | {elapsed:.2} s |"
        );
    }
    out.push('\n');
}

fn causes(out: &mut String, report: &Report) {
    let causes = view::causes(report);
    if causes.is_empty() {
        return;
    }
    let _ = writeln!(out, "**{}**\n", view::causes_of(&causes));
    for cause in causes.iter().take(IN_FULL) {
        in_full(out, report, cause.result);
        if !cause.explains.is_empty() {
            let _ = writeln!(out, "explains {}\n", view::explained(cause));
        }
    }
    for cause in causes.iter().skip(IN_FULL) {
        in_a_line(out, cause.result);
    }
    if causes.len() > IN_FULL {
        out.push('\n');
    }
}

fn in_full(out: &mut String, report: &Report, result: &CheckResult) {
    let text = failure_text(report, result, false);
    let fence = fence(&text);
    let what = view::failure(result).map(|failure| failure.what).unwrap_or_default();
    let (id, what) = (result.spec.id, escaped(&what));
    let open = if result.fails_run(report.edition) { " open" } else { "" };
    let _ = writeln!(out, "<details{open}><summary><code>{id}</code>: {what}</summary>\n");
    let _ = writeln!(out, "{fence}text\n{}\n{fence}\n\n</details>\n", text.trim_end());
}

fn in_a_line(out: &mut String, result: &CheckResult) {
    let what = view::failure(result).map(|failure| failure.what).unwrap_or_default();
    let _ = writeln!(out, "- `{}`: {}", result.spec.id, escaped(&what));
}

/// The failures that the back end declares: not in question, so in a line each.
fn known(out: &mut String, report: &Report) {
    let known = |result: &&CheckResult| matches!(result.outcome, Outcome::KnownFailure(_));
    let mut known = report.results.iter().filter(known).peekable();
    if known.peek().is_some() {
        out.push_str("Known failures:\n\n");
    }
    known.for_each(|result| in_a_line(out, result));
}

fn grouped(out: &mut String, title: &str, groups: &[(String, Vec<&'static str>)]) {
    let count: usize = groups.iter().map(|(_, ids)| ids.len()).sum();
    if count == 0 {
        return;
    }
    let _ = writeln!(out, "\n<details><summary>{title}: {count}</summary>\n");
    for (reason, ids) in groups {
        let _ = writeln!(out, "- {}:", escaped(reason));
        for ids in ids.chunks(A_LINE) {
            let ids: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
            let _ = writeln!(out, "  {}", ids.join(", "));
        }
    }
    out.push_str("\n</details>\n");
}

/// A span of code, whatever is in it.
fn code(text: &str) -> String {
    let text = text.lines().collect::<Vec<_>>().join(" ");
    match longest_run(&text) {
        0 => format!("`{text}`"),
        run => {
            let ticks = "`".repeat(run + 1);
            format!("{ticks} {text} {ticks}")
        }
    }
}

/// A fence that nothing in the text closes.
fn fence(text: &str) -> String {
    "`".repeat(longest_run(text).max(2) + 1)
}

/// Of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// On one line, and nothing in it taken for a tag. Backticks stay: they mark code in our texts.
fn escaped(text: &str) -> String {
    let line = text.lines().collect::<Vec<_>>().join(" ");
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
