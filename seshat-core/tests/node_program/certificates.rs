//! A cluster and its clients with certificates.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::authority::Authority;
use crate::cluster::Cluster;
use crate::program::{Ended, run};

/// What certificates are for, by the names of their files.
const NAMES: [(&str, &[&str]); 7] = [
    ("node-1", &["node-1.seshat", "127.0.0.1"]),
    ("node-2", &["node-2.seshat", "127.0.0.1"]),
    ("node-3", &["node-3.seshat", "127.0.0.1"]),
    ("client.read", &["client.read.seshat"]),
    ("client.write", &["client.write.seshat"]),
    ("client.admin", &["client.admin.seshat"]),
    ("nobody", &["somebody.example"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_do_what_their_certificates_say() {
    let authority = Authority::new();
    for (file, names) in NAMES {
        let tls = authority.certify(names);
        std::fs::rename(tls.cert, authority.path(&format!("{file}.pem"))).unwrap();
        std::fs::rename(tls.key, authority.path(&format!("{file}.key"))).unwrap();
    }
    serves_by_role(authority.path("").as_path()).await;
}

/// The recipe of `config`, and what it adds later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipe_works() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("there is no openssl to try the recipe with");
        return;
    }
    let directory = TempDir::new().unwrap();
    let certificates = directory.path().join("certificates");
    let made = |more: &[&str]| {
        let mut shell = Command::new("sh");
        shell.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/config/certificates.sh"));
        let made = shell.arg(&certificates).arg("seshat").args(more).output().unwrap();
        assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
        std::fs::read(certificates.join("node-1.pem")).unwrap()
    };
    let first = made(&[]);
    assert_eq!(made(&["nobody=DNS:somebody.example", "node-1=DNS:other"]), first, "made again");
    serves_by_role(&certificates).await;
}

async fn serves_by_role(certificates: &Path) {
    let cluster = Cluster::start_encrypted(certificates).await;
    let path = |name: String| certificates.join(name).into_os_string().into_string().unwrap();
    let ask = async |who: &str, command: &[&str]| -> Ended {
        let mut arguments = vec!["client".to_owned(), "--ca".to_owned(), path("ca.pem".to_owned())];
        for id in crate::cluster::IDS {
            arguments.extend(["--to".to_owned(), cluster.for_clients(id).to_owned()]);
        }
        if !who.is_empty() {
            arguments.extend(["--cert".to_owned(), path(format!("{who}.pem"))]);
            arguments.extend(["--key".to_owned(), path(format!("{who}.key"))]);
        }
        if who.is_empty() {
            arguments.extend(["--timeout".to_owned(), "1".to_owned()]);
        }
        arguments.extend(command.iter().map(ToString::to_string));
        run(arguments).await
    };
    let does = async |who: &str, command: &[&str]| {
        let ended = ask(who, command).await;
        assert_eq!(ended.code, Some(0), "{who} {command:?}: {ended:#?}");
        ended.out
    };
    let may_not = async |who: &str, command: &[&str], words: &str| {
        let ended = ask(who, command).await;
        assert_eq!(ended.code, Some(1), "{who} {command:?}: {ended:#?}");
        assert!(ended.err.contains(words), "{who} {command:?}: {ended:#?}");
    };

    assert_eq!(does("client.write", &["set", "key", "value"]).await, "OK\n");
    assert_eq!(does("client.read", &["get", "key"]).await, "value\n");
    let words = "client.read.seshat may not propose: it takes client.write.seshat";
    may_not("client.read", &["set", "key", "other"], words).await;
    may_not("client.read", &["del", "key"], words).await;
    assert_eq!(does("client.write", &["get", "key"]).await, "value\n");
    let words = "client.write.seshat may not remove a member: it takes client.admin.seshat";
    may_not("client.write", &["remove", "3"], words).await;
    let words = "client.write.seshat may not add a member: it takes client.admin.seshat";
    may_not("client.write", &["add", "4", "127.0.0.1:1"], words).await;
    let words = "client.write.seshat may not transfer leadership: it takes client.admin.seshat";
    may_not("client.write", &["transfer", "2"], words).await;
    let snapshot = ask("client.write", &["snapshot"]).await;
    let words = "client.write.seshat may not ask for a snapshot: it takes client.admin.seshat";
    assert_eq!((snapshot.code, snapshot.out.matches(words).count()), (Some(1), 3), "{snapshot:#?}");
    for seen in ["members", "partitions", "health"] {
        does("client.read", &[seen]).await;
    }
    assert_eq!(does("client.admin", &["transfer", "2"]).await, "node 2 leads\n");
    let added = does("client.admin", &["add", "1", cluster.address(1)]).await;
    assert!(added.starts_with("members: 1 at "), "{added}");
    assert_eq!(does("client.admin", &["set", "key", "admin's"]).await, "OK\n");
    let status = does("client.read", &["status"]).await;
    assert_eq!(status.matches(" voter ").count(), 3, "{status}");
    // Who has no role, and who is nobody.
    let words = "a certificate without a role in cluster \"seshat\" may not read";
    may_not("nobody", &["get", "key"], words).await;
    may_not("node-1", &["get", "key"], words).await;
    may_not("", &["get", "key"], "nothing was done within 1s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_reads_its_certificates_again() {
    let authority = Authority::new();
    for (file, names) in NAMES {
        let tls = authority.certify(names);
        std::fs::rename(tls.cert, authority.path(&format!("{file}.pem"))).unwrap();
        std::fs::rename(tls.key, authority.path(&format!("{file}.key"))).unwrap();
    }
    let mut cluster = Cluster::start_encrypted(&authority.path("")).await;
    let mut node = cluster.take(1);
    node.signal("HUP").await;
    node.says("node 1 has no other certificates than before").await;
    std::fs::write(authority.path("node-1.key"), "noise").unwrap();
    node.signal("HUP").await;
    node.says("node 1 keeps its certificates: grpc.tls.key").await;
    let client = cluster.client();
    client.set("key", "value").await.unwrap();
}
