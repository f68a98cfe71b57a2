//! What the command line takes.

use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::new::NewArgs;
use crate::budget::Budget;
use crate::options::{self, Options};
use crate::spec::Edition;

/// Tells whether this openraft storage keeps openraft's storage contract.
///
/// Exit codes: 0 it does, 1 it doesn't, 2 the run could not begin, 130 interrupted.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run checks and report; what happens without a command, too
    Run(RunArgs),
    /// List checks: id, level, promise
    List {
        /// Ids of checks, or how they begin; all if none is given
        checks: Vec<String>,
    },
    /// Tell all about a check: what is promised, where openraft asks for it, what breaks without
    Explain {
        /// Id of a check
        check: String,
    },
    /// Write a crate that plugs in a store of yours, with the lines to fill in
    New(NewArgs),
    /// Show what the store holds that is opened in a copy of a directory, such as the image of a
    /// power cut that a failure names
    Look {
        /// The directory, which stays as it is
        dir: PathBuf,
        /// How long one call of the store may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
        patience: Duration,
    },
    /// Run a history again, as a failure prints it
    Replay {
        /// A history as a failure prints it, one step a line; `-` for standard input
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Ids of checks, or how they begin; all if none is given
    pub(super) checks: Vec<String>,
    /// Leave out checks of this id, or that begin so
    #[arg(long, value_name = "CHECK")]
    pub(super) exclude: Vec<String>,
    #[command(flatten)]
    pub(super) how: How,
}

/// How to run, whatever is run.
#[derive(Debug, Args)]
pub(super) struct How {
    /// What random choices come from: a number, or `random`
    #[arg(long, default_value = "1", value_parser = seed)]
    seed: u64,
    /// Few cases a check, while editing
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// Many cases a check, for the night
    #[arg(long)]
    long: bool,
    /// Checks of later editions only warn
    #[arg(long, default_value_t = Edition::LATEST.0, value_parser = clap::value_parser!(u16).range(1..=i64::from(Edition::LATEST.0)))]
    edition: u16,
    /// Of the report
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
    /// Write the report there, and the one for people to standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Checks that run side by side [default: two a core]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<NonZeroUsize>,
    /// How long one call of the store may take, in seconds; longer on a busy machine
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    patience: Duration,
    /// Time limits of checks are this many times as long
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    limit_scale: NonZeroU32,
    /// End with the first failure that fails the run
    #[arg(long)]
    fail_fast: bool,
    /// Where directories are kept that a power cut left to a check that failed [default: a folder for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Show what the store itself prints, on standard error
    #[arg(long)]
    pub(super) show_output: bool,
    /// Colours, also where the output is no terminal
    #[arg(long, conflicts_with = "no_color")]
    color: bool,
    /// No colours; the environment variable NO_COLOR says the same
    #[arg(long)]
    no_color: bool,
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs; documented and versioned
    Json,
    /// For continuous integration
    Junit,
    /// For a pull request
    Markdown,
}

impl How {
    /// All but the filter.
    pub(super) fn options(&self) -> Options {
        let default = Options::default();
        Options {
            budget: match (self.quick, self.long) {
                (true, _) => Budget::Quick,
                (_, true) => Budget::Long,
                _ => Budget::Default,
            },
            seed: self.seed,
            edition: Edition(self.edition),
            patience: self.patience,
            jobs: self.jobs.map_or(default.jobs, NonZeroUsize::get),
            limit_scale: self.limit_scale.get(),
            fail_fast: self.fail_fast,
            images: Some(self.images.clone().unwrap_or_else(options::images)),
            filter: default.filter,
        }
    }

    pub(super) fn colour(&self, terminal: bool) -> bool {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.color || (terminal && !self.no_color && !unwanted)
    }
}

fn seed(text: &str) -> Result<u64, String> {
    if text == "random" {
        return Ok(RandomState::new().hash_one(std::process::id()));
    }
    text.parse().map_err(|error| format!("{error}; a number below 2^64, or `random`"))
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|patience| !patience.is_zero())
        .ok_or_else(|| "a number of seconds above 0".to_owned())
}

/// Beginnings of ids, up to their first slash, that are a letter or two away from the word.
pub(super) fn near_families(word: &str, ids: &[&'static str]) -> Vec<&'static str> {
    let families = ids.iter().filter_map(|id| Some(id.split_once('/')?.0));
    let close_enough = word.len().div_ceil(3).min(2);
    let mut near: Vec<_> = families
        .filter(|family| strsim::damerau_levenshtein(family, word) <= close_enough)
        .collect();
    near.dedup();
    near
}

/// At most five ids that may have been meant: those that contain the word, then those that are a
/// few letters away from it, as a whole, in one of their parts, or by how they begin.
pub(super) fn near(word: &str, ids: &[&'static str]) -> Vec<&'static str> {
    let parts = word.split('/').count();
    let distance = |id: &str| {
        let begin = id.split('/').take(parts).collect::<Vec<_>>().join("/");
        let candidates = id.split('/').chain([id, &begin]);
        let distance = candidates.map(|near| strsim::damerau_levenshtein(near, word)).min();
        if id.contains(word) { 0 } else { distance.unwrap_or(usize::MAX) }
    };
    let close_enough = word.len().div_ceil(3);
    let mut near: Vec<_> = ids.iter().map(|id| (distance(id), *id)).collect();
    near.retain(|(distance, _)| *distance <= close_enough);
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(5).map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_check_needs_no_command() {
        let cli = Cli::try_parse_from(["p", "log/append", "--seed", "7", "--quick"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.run.checks, ["log/append"]);
        let options = cli.run.how.options();
        assert_eq!((options.seed, options.budget), (7, Budget::Quick));
    }

    #[test]
    fn what_is_near() {
        let ids = ["log/truncate/inclusive", "log/append/gap", "vote/save", "log/purge/twice"];
        assert_eq!(near("log/truncate/inclusve", &ids), ["log/truncate/inclusive"]);
        assert_eq!(near("tuncate", &ids), ["log/truncate/inclusive"]);
        assert_eq!(near("purge", &ids), ["log/purge/twice"]);
        assert_eq!(near("log/apend", &ids), ["log/append/gap"]);
        assert_eq!(near_families("logs", &ids), ["log"]);
        assert_eq!(near_families("vots", &ids), ["vote"]);
        assert!(near_families("purge", &ids).is_empty());
        assert!(near("zebra crossing", &ids).is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [
            &["p", "--seed", "x"][..],
            &["p", "--quick", "--long"],
            &["p", "--edition", "0"],
            &["p", "--edition", "999"],
            &["p", "--jobs", "0"],
            &["p", "--limit-scale", "0"],
            &["p", "--patience", "0"],
            &["p", "--patience", "-1"],
            &["p", "--patience", "NaN"],
            &["p", "--format", "xml"],
            &["p", "explain"],
            &["p", "replay"],
            &["p", "new"],
            &["p", "new", "--log", "--machine"],
        ] {
            assert!(Cli::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
