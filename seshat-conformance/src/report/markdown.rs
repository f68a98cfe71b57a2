//! The report for a pull request.

use std::fmt::Write;

use super::view::{self, Tally};
use super::{Conclusion, Report, failure_text};

/// So many failures are shown in full; a comment's length is limited where pull requests live.
const IN_FULL: usize = 12;

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
    let _ = writeln!(out, "### Storage conformance of {}: **{verdict}**\n", code(backend));
    let _ = writeln!(out, "{}.\n", tally.summary());
    table(&mut out, report);
    failures(&mut out, report);
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

fn failures(out: &mut String, report: &Report) {
    let failed: Vec<_> =
        report.results.iter().filter(|result| view::failure(result).is_some()).collect();
    for result in failed.iter().take(IN_FULL) {
        let text = failure_text(report, result, false);
        let fence = fence(&text);
        let what = view::failure(result).map_or("", |failure| failure.what.as_str());
        let (id, what) = (result.spec.id, escaped(what));
        let open = if result.fails_run(report.edition) { " open" } else { "" };
        let _ = writeln!(out, "<details{open}><summary><code>{id}</code>: {what}</summary>\n");
        let _ = writeln!(out, "{fence}text\n{}\n{fence}\n\n</details>\n", text.trim_end());
    }
    for result in failed.iter().skip(IN_FULL) {
        let what = view::failure(result).map_or("", |failure| failure.what.as_str());
        let _ = writeln!(out, "- `{}`: {}", result.spec.id, escaped(what));
    }
}

fn grouped(out: &mut String, title: &str, groups: &[(String, Vec<&'static str>)]) {
    let count: usize = groups.iter().map(|(_, ids)| ids.len()).sum();
    if count == 0 {
        return;
    }
    let _ = writeln!(out, "\n<details><summary>{title}: {count}</summary>\n");
    for (reason, ids) in groups {
        let ids: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
        let _ = writeln!(out, "- {}: {}", escaped(reason), ids.join(", "));
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
