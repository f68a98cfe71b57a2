//! [`keep`]: what a report leaves out, in files.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::{CheckResult, Report, short};
use crate::failure::Failure;
use crate::outcome::Outcome;

/// Writes every failure that the formats shorten to a file of its own, and notes the path in it.
/// The folder is made when the first is written: `beside` the report's own file, else a fresh one
/// for temporary files, which stays. What can't be written is shown shortened, without a path.
pub(crate) fn keep(report: &mut Report, beside: Option<&Path>) {
    let heads: Vec<String> = report.results.iter().map(|result| head(report, result)).collect();
    let mut folder = None;
    for (result, head) in report.results.iter_mut().zip(heads) {
        keep_in(&mut folder, beside, result, &head);
    }
}

/// Likewise for one check, by itself.
pub(crate) fn keep_one(context: &Report, result: &mut CheckResult) {
    let head = head(context, result);
    keep_in(&mut None, None, result, &head);
}

fn head(report: &Report, result: &CheckResult) -> String {
    format!("{} of {}, seed {}", result.spec.id, report.backend, report.seed)
}

fn keep_in(
    folder: &mut Option<PathBuf>,
    beside: Option<&Path>,
    result: &mut CheckResult,
    head: &str,
) {
    let (Outcome::Failed(failure) | Outcome::KnownFailure(failure)) = &mut result.outcome else {
        return;
    };
    if short::failure(failure) == *failure {
        return;
    }
    let name = result.spec.id.replace('/', "-") + ".txt";
    let written = made(folder, beside).and_then(|folder| {
        let path = folder.join(name);
        std::fs::write(&path, whole(head, failure)).map(|()| path)
    });
    match written {
        Ok(path) => failure.whole = Some(path),
        Err(error) => {
            tracing::warn!(check = result.spec.id, %error, "a failure is shown shortened, and the whole can't be written")
        }
    }
}

fn made<'a>(folder: &'a mut Option<PathBuf>, beside: Option<&Path>) -> io::Result<&'a Path> {
    if folder.is_none() {
        let fresh = match beside {
            Some(file) => {
                let mut name = file.as_os_str().to_owned();
                name.push(".whole");
                std::fs::create_dir_all(&name)?;
                name.into()
            }
            None => tempfile::Builder::new().prefix("seshat-report-").tempdir()?.keep(),
        };
        *folder = Some(fresh);
    }
    Ok(folder.as_deref().unwrap_or(Path::new(".")))
}

/// A history with what was found as comments, so that `replay` takes the file as it is, where the
/// steps are ones that it can take.
fn whole(head: &str, failure: &Failure) -> String {
    let mut out = format!("# {head}\n");
    let fields = [("what", &failure.what), ("expected", &failure.expected), ("got", &failure.got)];
    for (label, text) in fields {
        for line in text.lines() {
            // Writing to a string never fails.
            let _ = writeln!(out, "# {label:<10}{line}");
        }
    }
    for (label, lines) in failure.wreck.iter().flat_map(|wreck| wreck.parts()) {
        for line in lines {
            let _ = writeln!(out, "# {label:<12}{line}");
        }
    }
    let steps = failure.steps.join("\n");
    out.push_str(failure.history.as_deref().unwrap_or(&steps).trim_end());
    out.push('\n');
    out
}
