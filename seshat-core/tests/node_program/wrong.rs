//! What is wrong is named, with its place and what to do.

use std::fmt::Write;

use crate::authority::Authority;
use crate::cluster::{self, port};
use crate::program::run;

const NODE: &str = "node_id = 1\nsingle_node = true\nmembers = [{ id = 1, address = \"ADDRESS\" }]";

#[tokio::test]
async fn wrong_input_is_named_with_its_place_and_a_way_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| cluster::file(directory.path(), name, text);
    // Taken, for as long as the test runs.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let nobody = format!("127.0.0.1:{}", port());

    let node = file("node.toml", &NODE.replace("ADDRESS", &address));
    let free = file("free.toml", &NODE.replace("ADDRESS", &format!("127.0.0.1:{}", port())));
    let not_toml = file("not.toml", "node_id = 1\nmembers = [\n");
    let unknown_key = file("key.toml", "node_id = 1\nmember = []\n");
    let invalid = file("invalid.toml", "node_id = 0\nheartbeat_ms = 0\nmembers = []\n");
    let far = file("far.toml", &NODE.replace("ADDRESS", "10.0.0.1:7379"));
    let joining =
        "node_id = 4\njoining = true\nmembers = [{ id = 1, address = \"127.0.0.1:7379\" }]";
    let joining = file("joining.toml", joining);
    let with = |line: &str, address: &str| format!("{}\n{line}", NODE.replace("ADDRESS", address));
    let here = format!("127.0.0.1:{}", port());
    let same = file("same.toml", &with(&format!("metrics_address = \"{here}\""), &here));
    let below = format!("data_dir = {:?}", directory.path().join("not.toml/data"));
    let below_a_file = file("below.toml", &with(&below, &here));
    let a_file = format!("data_dir = {:?}", directory.path().join("not.toml"));
    let a_file = file("a_file.toml", &with(&a_file, &here));
    let authority = Authority::new();
    let [mine, other] = [(); 2].map(|()| authority.certify(&["node-1.seshat", "127.0.0.1"]));
    for (name, path) in [
        ("ca.pem", &mine.ca),
        ("my.pem", &mine.cert),
        ("my.key", &mine.key),
        ("other.key", &other.key),
    ] {
        std::fs::copy(path, directory.path().join(name)).unwrap();
    }
    let path = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    let [ca, cert, key] = ["ca.pem", "my.pem", "other.key"].map(path);
    let tls = |cert: &str, key: &str| {
        let tls = format!("[grpc.tls]\nca = {ca:?}\ncert = {cert:?}\nkey = {key:?}");
        with(&tls, &here)
    };
    let misfit = file("misfit.toml", &tls(&cert, &key));
    let swapped = file("swapped.toml", &tls(&key, &cert));
    let no_certificate =
        format!("{}\n[grpc.tls]\nca = \"ca\"\ncert = \"cert\"\nkey = \"key\"", NODE);
    let no_certificate = file("tls.toml", &no_certificate.replace("ADDRESS", "127.0.0.1:7379"));

    let cases: &[&[&str]] = &[
        &["serve"],
        &["serve", "--confg", "node.toml"],
        &["serve", "--config", "no/such/file"],
        &["serve", "--config", &not_toml],
        &["serve", "--config", &unknown_key],
        &["serve", "--config", &invalid],
        &["serve", "--config", &far],
        &["serve", "--config", &no_certificate],
        &["serve", "--config", &joining],
        &["serve", "--config", &node],
        &["serve", "--config", &node, "--listen", "nowhere"],
        &["serve", "--config", &free, "--listen-clients", &address],
        &["serve", "--config", &free, "--listen-clients", "nowhere"],
        &["serve", "--config", &free, "--listen-metrics", &address],
        &["serve", "--config", &free, "--listen-metrics", "nowhere"],
        &["serve", "--config", &free, "--listen-metrics", "127.0.0.1:99999"],
        &["serve", "--config", &same],
        &["serve", "--config", &below_a_file],
        &["serve", "--config", &a_file],
        &["serve", "--config", &misfit],
        &["serve", "--config", &swapped],
        &["serve", "--config", &node, "--via", "2:127.0.0.1"],
        &["serve", "--config", &node, "--log", "xml"],
        &["client", "get", "key"],
        &["client", "--to", "no address", "get", "key"],
        &["client", "--to", &address, "put", "key", "value"],
        &["client", "--to", &address, "add", "one", "127.0.0.1:7382"],
        &["client", "--to", &address, "--timeout", "0", "get", "key"],
        &["client", "--to", &address, "--ca", "no/such/file", "get", "key"],
        &["client", "--to", &address, "--ca", &not_toml, "get", "key"],
        &["client", "--to", &address, "--ca", &ca, "--cert", &cert, "get", "key"],
        &["client", "--to", &address, "--ca", &ca, "--cert", &cert, "--key", &key, "get", "key"],
        &["client", "--to", &address, "--ca", &ca, "--cert", &key, "--key", &cert, "get", "key"],
        &["backup", "--to", &address, "--ca", &ca, "--cert", &cert, "--key", &key, "file"],
        &["client", "--to", &address, "load", "no/such/file"],
        &["client", "--to", &address, "load", "--in-flight", "0", &not_toml],
        &["client", "--to", &address, "load", "--in-flight", "4097", &not_toml],
        &["client", "--to", &address, "load", "--in-flight", "all", &not_toml],
        &["client", "--to", &nobody, "--timeout", "1", "set", "key", "value"],
        &["client", "--to", &nobody, "status"],
    ];
    let mut transcript = String::new();
    for arguments in cases {
        let ended = run(*arguments).await;
        let code = ended.code.unwrap();
        let (line, said) = (arguments.join(" "), without_numbers(&(ended.out + &ended.err)));
        writeln!(transcript, "$ seshat {line}\n{said}[{code}]\n").unwrap();
    }
    let folder = directory.path().to_str().unwrap();
    let transcript = transcript
        .replace(&format!("{folder}/"), "")
        .replace(&address, "TAKEN")
        .replace(&nobody, "NOBODY")
        .replace(&here, "HERE");
    insta::assert_snapshot!(transcript);
}

/// Without the numbers that systems give their errors, each its own.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').unwrap().1)
}

#[tokio::test]
async fn clients_are_not_served_in_plaintext_beyond_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let text = NODE.replace("ADDRESS", &format!("127.0.0.1:{}", port()));
    let config = cluster::file(directory.path(), "node.toml", &text);
    let ended = run(["serve", "--config", &config, "--listen-clients", "0.0.0.0:0"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.err.contains("clients at 0.0.0.0:"), "{ended:#?}");
    assert!(ended.err.contains("set [grpc.tls], or grpc.plaintext = true"), "{ended:#?}");
}
