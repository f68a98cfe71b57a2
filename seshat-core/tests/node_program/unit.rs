//! The unit of systemd, `config/seshat.service`: what it says is so.

use std::process::Command;

use crate::cluster::{file, port};
use crate::program::{Program, run};

const UNIT: &str = include_str!("../../config/seshat.service");

fn said(key: &str) -> &'static str {
    let mut lines = UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let said = lines.next().unwrap_or_else(|| panic!("the unit doesn't say {key}"));
    assert_eq!(lines.next(), None, "the unit says {key} twice");
    said
}

/// Its command line, with the configuration that it names and an address that is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_command_line_starts_a_node_and_its_signals_are_obeyed() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "node_id = 1\nsingle_node = true\nmembers = [{{ id = 1, address = \"127.0.0.1:{}\" }}]\ndata_dir = {:?}",
        port(),
        directory.path().join("data")
    );
    let config = file(directory.path(), "seshat.toml", &text);
    let address = format!("127.0.0.1:{}", port());
    let command = said("ExecStart")
        .replace("/etc/seshat/seshat.toml", &config)
        .replace("127.0.0.1:7479", &address);
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/seshat"));
    let mut node = Program::start(words);
    node.says(&format!("for clients at {address}")).await;
    node.says("forms the cluster").await;
    assert_eq!(said("ExecReload"), "/bin/kill -HUP $MAINPID");
    node.signal("HUP").await;
    node.says("node 1 has no other certificates than before").await;
    assert_eq!(said("KillSignal"), "SIGTERM");
    node.signal("TERM").await;
    assert_eq!(node.ended().await.code, Some(0));
}

/// What needs a person isn't tried again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_leaves_alone_what_the_program_says_needs_a_person() {
    let help = run(["serve", "--help"]).await.out;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let needs = ["wrong usage", "lost its memory", "is another node's", "is damaged"];
    let codes: Vec<&str> = codes
        .lines()
        .filter(|line| needs.iter().any(|words| line.contains(words)))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(codes.join(" "), said("RestartPreventExitStatus"), "{help}");
}

/// Where there is a systemd, it knows every key.
#[test]
fn systemd_understands_it() {
    let directory = tempfile::tempdir().unwrap();
    let unit = UNIT.replace("/usr/local/bin/seshat", env!("CARGO_BIN_EXE_seshat"));
    let unit = file(directory.path(), "seshat.service", &unit);
    let Ok(verified) = Command::new("systemd-analyze").args(["verify", &unit]).output() else {
        println!("there is no systemd to ask");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    // It may have something to say of the machine's other units.
    let of_it: Vec<_> = said.lines().filter(|line| line.contains("seshat.service")).collect();
    assert!(of_it.is_empty(), "{of_it:#?}");
}
