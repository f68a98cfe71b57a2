//! The command line.

use std::ffi::OsString;

use crate::input::Source;

pub(crate) const USAGE: &str = "\
usage: cluster [OPTIONS] FILE
Replicates a file of SET and DEL commands to three nodes in this process, kills the leader
half-way, and compares the states at the end.
  FILE        commands, one a line or RESP; - is standard input. Read into memory as a whole and
              checked before anything starts
  --no-kill   leave the leader alone
  --window N  proposals in flight at most (default 4096), never more than a quarter of the file
              or 16 MiB
  --json      report one JSON object
  --logs      JSON logs on standard error, as RUST_LOG says
  --help      print this
exit codes: 0 all states are equal and right, 1 they are not or something failed, 2 wrong usage,
130 interrupted by Ctrl-C
";

const DEFAULT_WINDOW: usize = 4096;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Help,
    Run(Options),
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) kill: bool,
    pub(crate) window: usize,
    pub(crate) json: bool,
    pub(crate) logs: bool,
}

impl Request {
    /// The request, or what is wrong with it.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments;
        let (mut source, mut window) = (None, None);
        let (mut kill, mut json, mut logs) = (true, false, false);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--help") => return Ok(Self::Help),
                Some("--no-kill") => kill = false,
                Some("--json") => json = true,
                Some("--logs") => logs = true,
                Some("--window") if window.is_none() => {
                    window = Some(parse_window(arguments.next())?);
                }
                Some("--window") => return Err("--window is given twice".to_owned()),
                Some("-") if source.is_none() => source = Some(Source::StandardInput),
                Some(option) if option.starts_with("--") => {
                    return Err(format!("unknown option {option:?}"));
                }
                _ if source.is_none() => source = Some(Source::File(argument.into())),
                _ => return Err(format!("only one FILE is taken, got {argument:?} too")),
            }
        }
        let source = source.ok_or("FILE is missing")?;
        let window = window.unwrap_or(DEFAULT_WINDOW);
        Ok(Self::Run(Options { source, kill, window, json, logs }))
    }
}

fn parse_window(argument: Option<OsString>) -> Result<usize, String> {
    let argument = argument.ok_or("--window needs a number")?;
    let number = argument.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("--window needs a number from 1 on, got {argument:?}"))
}
