//! What `seshat-conformance new` writes. The sources compile here, as they are written; each run
//! names the next line to fill in.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;
use seshat_conformance::Backend;

use super::{checked, only_failure};

#[path = "../../docs/new/both.rs"]
mod both;
#[path = "../../docs/new/log.rs"]
mod log;
#[path = "../../docs/new/machine.rs"]
mod machine;

const BOTH: &str = include_str!("../../docs/new/both.rs");
const LOG: &str = include_str!("../../docs/new/log.rs");
const MACHINE: &str = include_str!("../../docs/new/machine.rs");
const PAGE: &str = include_str!("../../docs/plug-in.md");
const RAFT_STORAGE: &str = include_str!("../../docs/new/raft_storage.rs");

fn new(arguments: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seshat-conformance"));
    command.arg("new").args(arguments).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out));
    format!("{out}{err}")
}

#[rstest]
#[case("--both", BOTH)]
#[case("--log", LOG)]
#[case("--machine", MACHINE)]
#[case("--raft-storage", RAFT_STORAGE)]
fn what_is_asked_for_is_written(#[case] asked: &str, #[case] backend: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output = new(&[asked, "mine"], dir.path());
    assert!(output.status.success(), "{}", said(&output));
    let read = |name: &str| fs::read_to_string(dir.path().join("mine").join(name)).unwrap();
    assert_eq!(read("src/lib.rs"), backend);
    assert_eq!(read("src/main.rs"), include_str!("../../docs/new/main.rs"));
    assert_eq!(read("tests/conformance.rs"), include_str!("../../docs/new/conformance.rs"));
    let manifest = read("Cargo.toml");
    assert!(!manifest.contains("{KIT}") && !manifest.contains("{OPENRAFT}"), "{manifest}");
    let kit = fs::canonicalize(env!("CARGO_MANIFEST_DIR")).unwrap();
    let older = asked == "--raft-storage";
    let least = ", default-features = false, features = [\"powercut\"]";
    let features = if older { least } else { "" };
    let kit = format!("seshat-conformance = {{ path = \"{}\"{features} }}\n", kit.display());
    assert!(manifest.contains(&kit), "{manifest}");
    assert_eq!(manifest.contains("storage-v2"), !older, "{manifest}");
    assert!(manifest.contains("harness = false"), "{manifest}");
    assert!(said(&output).contains("src/lib.rs"), "{}", said(&output));
}

#[test]
fn an_empty_folder_will_do_and_the_kit_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    // The repository's own directory is as good as the kit's.
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = new(&["--log", ".", "--kit", repository.to_str().unwrap()], dir.path());
    assert!(output.status.success(), "{}", said(&output));
    let manifest = fs::read_to_string(dir.path().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("seshat-conformance\" }"), "{manifest}");
}

#[rstest]
#[case(&["--log", "."], "isn't empty, and nothing was written")]
#[case(&["--log", "x", "--kit", "."], ". is not the directory of seshat-conformance")]
#[case(&["x"], "--both|--log|--machine|--raft-storage")]
#[case(&["--log", "mine.txt"], "can't write mine.txt")]
fn nothing_is_overwritten_or_guessed(#[case] arguments: &[&str], #[case] told: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    let output = new(arguments, dir.path());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains(told), "{}", said(&output));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
    assert_eq!(fs::read_to_string(dir.path().join("mine.txt")).unwrap(), "mine");
}

/// What the failure says, without the place.
fn asks_for<B: Backend>(backend: B, method: &str, told: &str) -> String {
    let report = checked(backend, &["vote/again"]);
    let (id, failure) = only_failure(&report);
    assert_eq!(id, "backend", "{failure:#?}");
    let told = format!("`Backend::{method}` is yet to be written: {told}");
    assert!(failure.what.contains(&told), "{}", failure.what);
    let what = failure.what.trim_start_matches("no check ran: ");
    what.split(" at ").next().unwrap().to_owned()
}

#[test]
fn a_run_says_what_to_fill_in_next() {
    let said = asks_for(both::MyBackend::default(), "command", "FILL IN 2");
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat(PAGE).contains(&flat(&said)), "docs/plug-in.md doesn't say: {said}");
    asks_for(machine::MyBackend::default(), "command", "FILL IN 2");
    asks_for(log::MyBackend::default(), "open", "FILL IN 2");
}

#[rstest]
fn the_page_tells_of_each(
    #[values("--both", "--log", "--machine", "--raft-storage", "--kit")] option: &str,
) {
    assert!(PAGE.contains(&format!("`{option}")), "{option}");
}

#[test]
fn what_is_to_be_filled_in_is_counted() {
    for (text, steps) in [(BOTH, 4), (LOG, 2), (MACHINE, 4), (RAFT_STORAGE, 4)] {
        for step in 1..=steps {
            assert!(text.contains(&format!("// FILL IN {step}: ")), "{step} is missing:\n{text}");
        }
        assert!(!text.contains(&format!("FILL IN {}: ", steps + 1)), "{text}");
    }
}
