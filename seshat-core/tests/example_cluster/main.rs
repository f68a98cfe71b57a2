//! The `cluster` example, run as a program: exit codes, what it prints, and that its end-to-end
//! check holds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rstest::rstest;

// Its numbers can be checked without a run.
mod json;
#[allow(dead_code, reason = "only a part of it is tested here")]
#[path = "../../examples/cluster/report.rs"]
mod report;
mod summary;

use json::Json;

const DEADLINE: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    // target/<profile>/deps/this-test
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(format!("cluster{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: run `cargo build -p seshat-core --example cluster` first",
        program.display()
    );
    program
}

/// What a run left behind.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn assert_code(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
    }

    #[track_caller]
    fn assert_good(&self) {
        self.assert_code(0);
        assert!(self.err.is_empty(), "{self:#?}");
        assert!(self.out.contains("\ndigests agree\n"), "{self:#?}");
        assert!(self.out.contains("\nstate matches the commands\n"), "{self:#?}");
    }

    /// The rest of the line that begins with `label`.
    #[track_caller]
    fn line(&self, label: &str) -> &str {
        let rest = self.out.lines().find_map(|line| line.strip_prefix(label));
        rest.unwrap_or_else(|| panic!("no line {label:?}: {self:#?}")).trim()
    }

    /// Of all nodes, in order.
    #[track_caller]
    fn digests(&self) -> Vec<&str> {
        let last_words = self.out.lines().filter_map(|line| line.split_whitespace().last());
        let digests: Vec<&str> = last_words
            .filter(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .collect();
        assert_eq!(digests.len(), 3, "{self:#?}");
        digests
    }
}

/// A run under way, its output read as it comes.
struct Running {
    child: Child,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
    started: Instant,
}

fn read_on(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Running {
    let mut child = command(arguments).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A program that doesn't read its input closes the pipe.
    thread::spawn(move || stdin.write_all(&input));
    let out = read_on(child.stdout.take().unwrap());
    let err = read_on(child.stderr.take().unwrap());
    Running { child, out, err, started: Instant::now() }
}

impl Running {
    fn wait(mut self) -> Ended {
        let mut status = None;
        while status.is_none() && self.started.elapsed() < DEADLINE {
            status = self.child.try_wait().unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        if status.is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        let (out, err) = (self.out.join().unwrap(), self.err.join().unwrap());
        let status = status.unwrap_or_else(|| panic!("late after {DEADLINE:?}: {out}\n{err}"));
        Ended { status, out, err }
    }
}

fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Ended {
    start(arguments, input).wait()
}

/// A file of its own for a test, gone with it.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, contents: &[u8]) -> Self {
        let name = format!("seshat-example-cluster-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, contents).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn cut(contents: &mut Vec<u8>, unwanted: &[u8]) {
    let at = contents.windows(unwanted.len()).position(|window| window == unwanted);
    at.map(|at| contents.drain(at..at + unwanted.len()));
}

/// A fixture without the commands that name an empty key, which the reader takes and a cluster
/// doesn't.
fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/commands");
    let mut contents = fs::read(fixtures.join(name)).unwrap();
    cut(&mut contents, b"SET \"\" \"an empty key\"\n");
    cut(&mut contents, b"DEL double empty \"\" \"binary\\x00key\"\n");
    cut(&mut contents, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\nan empty key\r\n");
    cut(
        &mut contents,
        b"*5\r\n$3\r\nDEL\r\n$6\r\ndouble\r\n$5\r\nempty\r\n$0\r\n\r\n$10\r\nbinary\x00key\r\n",
    );
    contents
}

/// How many commands a fixture in text holds.
fn count(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
}

#[test]
fn text_resp_and_standard_input_give_the_same_state_with_and_without_a_kill() {
    let text = TempFile::new("small.txt", &fixture("small.txt"));
    let resp = TempFile::new("small.resp", &fixture("small.resp"));
    let runs = [
        start([text.path()], b""),
        start([resp.path(), "--window", "7"], b""),
        start(["-"], &fixture("small.txt")),
        start(["--no-kill", "-"], &fixture("small.resp")),
    ];
    let ended = runs.map(Running::wait);
    let [text, resp, _, unharmed] = &ended;
    for ended in &ended {
        ended.assert_good();
        assert_eq!(ended.digests(), text.digests(), "{ended:#?}");
    }
    let commands = count(&fixture("small.txt"));
    let quarter = commands / 4;
    assert_eq!(text.line("commands"), format!("{commands}, at most {quarter} in flight"));
    assert_eq!(resp.line("commands"), format!("{commands}, at most 7 in flight"));

    assert!(text.line("killed").starts_with("leader "), "{text:#?}");
    let half = format!(", after {} commands", commands / 2);
    assert!(text.line("killed").ends_with(&half), "{text:#?}");
    let (before, after) = text.line("leader").split_once(", ").unwrap();
    assert_ne!(before.replace("before", "after"), after, "{text:#?}");
    assert!(text.line("gap in service").ends_with('s'), "{text:#?}");

    assert_eq!(unharmed.line("killed"), "none");
    assert_eq!(unharmed.line("proposed again"), "0");
}

#[rstest]
#[case::nothing("", 0)]
#[case::blank_lines("\n \n", 0)]
#[case::one("SET k v", 1)]
#[case::two("SET k v\nDEL k\n", 2)]
fn a_short_file_is_a_file(#[case] input: &str, #[case] commands: usize) {
    let ended = run(["-"], input.as_bytes());
    ended.assert_good();
    assert!(ended.line("commands").starts_with(&format!("{commands}, ")), "{ended:#?}");
}

/// Nothing of a report: no node was started.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, named: &[&str]) {
    ended.assert_code(code);
    assert!(ended.out.is_empty(), "{ended:#?}");
    for named in named {
        assert!(ended.err.contains(named), "{named:?} is not named: {ended:#?}");
    }
}

#[rstest]
#[case::text("SET a 1\nSET b 2\nSET c\nSET d 4\n", "line 3: SET takes 2 arguments, got 1")]
#[case::resp("*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n", "command 2 at byte 20: unknown")]
#[case::cut_off("*2\r\n$3\r\nDEL\r\n$1\r\n", "the end of the stream")]
#[case::beyond_limits(
    format!("SET a 1\n\nDEL a {}\n", "k".repeat(70_000)),
    "line 3: key has 70000 bytes"
)]
fn a_faulty_command_is_named_and_nothing_is_applied(#[case] input: String, #[case] fault: &str) {
    let piped = run(["-", "--logs"], input.as_bytes());
    assert_refused(&piped, 1, &["standard input: ", fault, "nothing was applied"]);
    assert!(!piped.err.contains("node started"), "{piped:#?}");

    let file = TempFile::new(&fault.replace(|c: char| !c.is_alphanumeric(), "-"), input.as_bytes());
    assert_refused(&run([file.path()], b""), 1, &[file.path(), fault, "nothing was applied"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    assert_refused(&run(["/no/such/file"], b""), 1, &["cannot open /no/such/file: "]);
    let directory = std::env::temp_dir();
    assert_refused(&run([&directory], b""), 1, &[directory.to_str().unwrap()]);
}

#[rstest]
#[case::nothing(&[], "FILE is missing")]
#[case::unknown_option(&["--kill", "-"], "unknown option \"--kill\"")]
#[case::two_files(&["a", "b"], "only one FILE")]
#[case::no_number(&["-", "--window"], "--window needs a number")]
#[case::zero(&["-", "--window", "0"], "--window needs a number from 1 on")]
#[case::twice(&["-", "--window", "1", "--window", "1"], "--window is given twice")]
fn wrong_usage_is_explained(#[case] arguments: &[&str], #[case] fault: &str) {
    assert_refused(&run(arguments, b""), 2, &[fault, "usage: cluster [OPTIONS] FILE"]);
}

#[test]
fn help_goes_to_standard_output() {
    let ended = run(["--help"], b"");
    ended.assert_code(0);
    assert!(ended.out.starts_with("usage: cluster [OPTIONS] FILE\n"), "{ended:#?}");
    assert!(ended.err.is_empty(), "{ended:#?}");
}

#[test]
fn a_report_in_json_says_the_same() {
    let input = fixture("small.txt");
    let ended = run(["--json", "-"], &input);
    ended.assert_code(0);
    let report = Json::parse(&ended.out);
    assert_eq!(report.get("commands"), count(&input).to_string());
    assert_eq!(report.get("digests_agree"), "true");
    assert_eq!(report.get("state_matches"), "true");
    assert_eq!(report.get("kill.acknowledged"), (count(&input) / 2).to_string());
    assert_eq!(report.get("kill.leader"), report.get("leader_before"));
    assert_ne!(report.get("leader_after"), report.get("leader_before"));
    for node in 0..3 {
        assert_eq!(report.get(&format!("nodes.{node}.id")), (node + 1).to_string());
        assert_eq!(report.get(&format!("nodes.{node}.digest")), report.get("expected_digest"));
    }
}

#[test]
fn logs_are_json_lines_and_tell_of_the_election_after_the_kill() {
    let ended = run(["--logs", "-"], &fixture("small.txt"));
    ended.assert_code(0);
    for line in ended.err.lines() {
        Json::parse(line);
    }
    assert!(ended.err.contains("leadership changed"), "{ended:#?}");
    assert!(ended.err.contains("node stopped"), "{ended:#?}");
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let mut child = command(["--no-kill", "-"]).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"SET k v\n").unwrap();
    let err = read_on(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(err.join().unwrap(), "");
}

/// With logs on, so that there is something to wait for before the signal.
#[cfg(unix)]
#[test]
fn an_interrupt_says_how_far_it_got() {
    use std::io::{BufRead, BufReader};
    let file = TempFile::new("interrupt", &b"SET key value\n".repeat(500_000));
    // One at a time takes long.
    let mut child = command([file.path(), "--logs", "--window", "1"]).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("leadership changed") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0, "it ended before it was interrupted");
    }
    thread::sleep(Duration::from_millis(500));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());

    let out = read_on(child.stdout.take().unwrap());
    let running = Running { child, out, err: read_on(err), started: Instant::now() };
    let ended = running.wait();
    ended.assert_code(130);
    assert!(ended.out.is_empty(), "{ended:#?}");
    let said = ended.err.lines().last().unwrap();
    assert!(said.starts_with("cluster: interrupted: "), "{ended:#?}");
    assert!(said.contains(" of 500000 commands were acknowledged"), "{ended:#?}");
}
