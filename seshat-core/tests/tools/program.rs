//! Runs the program.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What it said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seshat"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn seshat<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    Said {
        code: status.code().expect("no signal"),
        out: String::from_utf8(stdout).unwrap(),
        error: String::from_utf8(stderr).unwrap(),
    }
}

/// A command on a directory.
pub(crate) fn on(dir: &Path, arguments: &[&str]) -> Said {
    let (command, rest) = arguments.split_first().unwrap();
    let mut all = vec![OsStr::new(*command), dir.as_os_str()];
    all.extend(rest.iter().map(OsStr::new));
    seshat(all)
}

/// The same text in every run: without where things lie, which is up to when the log was idle, without what
/// is random, and without the directory's name.
pub(crate) fn masked(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "DIR");
    // How many spares are ready is up to another thread.
    let lines = text.lines().filter(|line| !line.contains("wal/spare-")).map(|line| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 0..words.len() {
            let before = if at > 0 { words[at - 1].clone() } else { String::new() };
            let after = words.get(at + 1).cloned().unwrap_or_default();
            let two = words.get(at + 2).cloned().unwrap_or_default();
            let number = words[at].starts_with(|c: char| c.is_ascii_digit());
            let placed =
                ["byte", "frame", "from", "checksum", "says"].contains(&&*before) && two != "of";
            let total = words.len() == at + 2 && after.ends_with("iB");
            let counted = total || ["record", "records"].contains(&&*after) || two == "used,";
            if before == "store" || (number && (placed || counted)) {
                let end = if words[at].ends_with(':') { ":" } else { "" };
                words[at] = format!("[]{end}");
            }
        }
        words.join(" ") + "\n"
    });
    lines.collect()
}
