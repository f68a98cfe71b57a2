#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use clap::{Command, CommandFactory, Parser};

use super::Arguments;

/// Every command, with the words that lead to it.
fn all(command: &Command, path: &str) -> Vec<(String, Command)> {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    let below = command.get_subcommands().flat_map(|it| all(it, &path));
    [(path.clone(), command.clone())].into_iter().chain(below).collect()
}

/// The command lines among the help's.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    help.lines().filter_map(|line| line.strip_prefix("  seshat ").map(str::to_owned)).collect()
}

#[test]
fn every_command_has_an_example_and_each_is_understood() {
    let commands = all(&Arguments::command(), "");
    assert!(commands.len() > 15, "{}", commands.len());
    for (path, command) in &commands {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{path} --help has no example");
        let last = path.rsplit(' ').next().unwrap();
        for example in examples {
            if example.starts_with("help ") {
                continue;
            }
            let words: Vec<&str> = example.split(" > ").next().unwrap().split(' ').collect();
            assert!(
                path == "seshat" || words.contains(&last),
                "{path} --help has another command's example: {example}"
            );
            let understood = Arguments::try_parse_from([&["seshat"], &words[..]].concat());
            understood.unwrap_or_else(|error| panic!("{path} --help: {example}: {error}"));
        }
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Arguments::command().debug_assert();
}
