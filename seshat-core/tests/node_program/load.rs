//! What people do with `seshat client`: mass insertion, keys read at once, pages of keys.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::cluster::{Cluster, file};
use crate::program::{Ended, run};

struct Shell<'a>(&'a Cluster);

impl Shell<'_> {
    async fn client(&self, command: &[&str]) -> Ended {
        let mut arguments = vec!["client".to_owned()];
        for id in crate::cluster::IDS {
            arguments.extend(["--to".to_owned(), self.0.for_clients(id).to_owned()]);
        }
        arguments.extend(command.iter().map(ToString::to_string));
        run(arguments).await
    }

    /// What it prints, where that goes well.
    async fn prints(&self, command: &[&str]) -> String {
        let ended = self.client(command).await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.out
    }

    async fn load(&self, path: &str) -> Ended {
        self.client(&["load", path]).await
    }
}

fn fixture(name: &str) -> String {
    format!("{}/fixtures/commands/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_loaded_and_keys_are_read() {
    let cluster = Cluster::start("").await;
    let shell = Shell(&cluster);

    // What was refused once.
    for (name, sent, expected) in [
        ("crlf-then-resp.txt", 2, "SET \"a\" \"1\"\nSET \"b\" \"2\"\n"),
        ("mixed.txt", 3, "SET \"a\" \"1\"\nSET \"b\" \"2\"\nSET \"c\" \"3\"\n"),
        ("empty-key.txt", 1, "SET \"\" \"v\"\n"),
        ("null-array.txt", 1, "SET \"a\" \"1\"\n"),
        ("empty-array.txt", 1, "SET \"a\" \"1\"\n"),
    ] {
        let ended = shell.load(&fixture(name)).await;
        let begins = format!("{sent} commands sent: {sent} set, 0 not set, 0 DEL of 0 keys, 0 not");
        assert!(ended.code == Some(0) && ended.out.starts_with(&begins), "{name}: {ended:#?}");
        assert_eq!(ended.err, "", "no progress but on a terminal");
        assert_eq!(shell.prints(&["scan"]).await, expected, "{name}");
        shell.prints(&["del", "", "a", "b", "c"]).await;
    }

    // A thousand commands, in either format, of few keys: in order, where that matters.
    let mut states = Vec::new();
    for name in ["small.txt", "small.resp"] {
        let ended = shell.load(&fixture(name)).await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.out.starts_with("1000 commands sent: "), "{ended:#?}");
        states.push(shell.prints(&["scan"]).await);
    }
    assert_eq!(states[0], states[1]);
    // As many at once as there may be, and some of them again one after the other.
    let dir = tempfile::tempdir().unwrap();
    let small = std::fs::read(fixture("small.txt")).unwrap();
    let lines: Vec<_> = small.split_inclusive(|byte| *byte == b'\n').skip(950).collect();
    let last = dir.path().join("last").into_os_string().into_string().unwrap();
    std::fs::write(&last, lines.concat()).unwrap();
    for (commands, in_flight) in [(&fixture("small.txt"), "4096"), (&last, "1")] {
        let said = shell.prints(&["load", commands, "--in-flight", in_flight]).await;
        assert!(said.contains(", 0 not done, 0 of unknown outcome; "), "{said}");
        assert_eq!(shell.prints(&["scan"]).await, states[0], "{in_flight}");
    }

    // What scan prints is what load takes, from standard input too.
    let keys = shell.prints(&["scan", "--keys"]).await;
    assert_eq!(keys.lines().count(), states[0].lines().count());
    let del = keys.lines().map(|key| format!("DEL {key}\n")).collect::<String>();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seshat"));
    command.args(["client", "--to", cluster.for_clients(cluster.leader().await), "load", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(del.as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(shell.prints(&["scan"]).await, "");
    let dumped = file(dir.path(), "dumped", &states[0]);
    assert_eq!(shell.load(&dumped).await.code, Some(0));
    assert_eq!(shell.prints(&["scan"]).await, states[0]);
    let pages = shell.prints(&["scan", "--limit", "3", "--keys"]).await;
    assert_eq!(pages, keys.lines().take(3).map(|key| format!("{key}\n")).collect::<String>());

    options(&shell).await;
    faults(&shell).await;
}

async fn options(shell: &Shell<'_>) {
    assert_eq!(shell.prints(&["set", "opt", "1", "--xx"]).await, "(nil)\n");
    assert_eq!(shell.prints(&["set", "opt", "1", "--nx", "--get"]).await, "(nil)\n");
    assert_eq!(shell.prints(&["set", "opt", "2", "--nx", "--get"]).await, "1\n");
    assert_eq!(shell.prints(&["set", "opt", "3", "--xx"]).await, "OK\n");
    assert_eq!(shell.prints(&["set", "opt", "4", "--get"]).await, "3\n");
    let both = shell.client(&["set", "opt", "5", "--nx", "--xx"]).await;
    assert_eq!(both.code, Some(2), "{both:#?}");
    for read in ["linearizable", "leader"] {
        let found = shell.prints(&["get", "--read", read, "opt", "no such key", "opt"]).await;
        assert_eq!(found, "4\n(nil)\n4\n");
    }
    let local = shell.client(&["get", "--read", "local", "opt"]).await;
    assert!(local.err.starts_with("applied ") && local.err.contains(", heard "), "{local:#?}");
    let scanned = shell.prints(&["scan", "--prefix", "opt", "--after", "op"]).await;
    assert_eq!(scanned, "SET \"opt\" \"4\"\n");
}

/// What was sent before a fault is told, and which it is.
async fn faults(shell: &Shell<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let faulty = file(dir.path(), "faulty", "SET one 1\n\nSET two 2 nx\nGET one\nSET three 3\n");
    let ended = shell.load(&faulty).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.out.starts_with("2 commands sent: 2 set, "), "{ended:#?}");
    let words = "faulty: line 4: unknown command \"GET\" (expected SET or DEL); all commands before it \
                 were sent, none behind it\n";
    assert!(ended.err.ends_with(words), "{ended:#?}");
    assert_eq!(shell.prints(&["get", "one", "two", "three"]).await, "1\n2\n(nil)\n");

    let long = "x".repeat((1 << 20) + 1);
    let refused = file(dir.path(), "refused", &format!("SET one 2\nSET two {long}\n"));
    let ended = shell.load(&refused).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.out.contains("1 set, 0 not set, 0 DEL of 0 keys, 1 not done, 0 of unknown"));
    let words = "refused: command 2 (line 2): refused by ";
    assert!(ended.err.contains(words) && ended.err.contains("max_value_bytes"), "{ended:#?}");
    assert_eq!(shell.prints(&["get", "one", "two"]).await, "2\n2\n");

    let missing = shell.load("no/such/file").await;
    assert_eq!(missing.code, Some(2), "{missing:#?}");
    assert!(missing.err.contains("no/such/file can't be opened"), "{missing:#?}");
}
