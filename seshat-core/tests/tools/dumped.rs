//! Entries, as lines.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::directory::{LAST, PURGED, flip, frame_of, made, options, value};
use crate::entries::{blank, id, normal, set_get};
use crate::program::{command, on};

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_entry_is_a_line() {
    let dir = made().await;
    let said = on(dir.path(), &["dump"]);
    assert_eq!((said.code, said.error.as_str()), (0, ""));
    let all = lines(&said.out);
    let indexes: Vec<u64> = all.iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, Vec::from_iter(PURGED + 1..=LAST));
    let expected = json!({
        "index": 30, "term": 2, "node": 1,
        "operations": [{"set": "key-30", "value": value(30)}],
    });
    assert_eq!(all[17], expected);
}

/// Whatever an entry may hold.
#[tokio::test]
async fn lossless() {
    use openraft::storage::RaftLogStorageExt;
    let dir = tempfile::tempdir().unwrap();
    let mut storage = seshat_core::disk::DiskStorage::open(dir.path(), options()).unwrap();
    let get = normal(id(1, 4), [set_get("k\u{1}", "ü")]);
    let entries = (0..3).map(crate::directory::entry).chain([blank(id(1, 3)), get]);
    storage.log.blocking_append(entries).await.unwrap();
    drop(storage);
    let all = lines(&on(dir.path(), &["dump", "--json"]).out);
    assert_eq!(all[0]["membership"]["members"][0], json!({"id": 1, "address": "node-1:7379"}));
    let binary = json!({"set": {"hex": "ff00"}, "value": {"hex": "fefefe"}});
    assert_eq!(all[1]["operations"], json!([{"set": "text", "value": "a \"value\"\n"}, binary]));
    assert_eq!(all[2]["operations"], json!([{"del": ["text", "absent"]}]));
    assert_eq!(all[3], json!({"index": 3, "term": 1, "node": 1, "blank": true}));
    assert_eq!(all[4]["operations"], json!([{"set": "k\u{1}", "value": "ü", "get": true}]));
    insta::assert_snapshot!(on(dir.path(), &["dump", "--text"]).out);
}

#[tokio::test]
async fn a_range() {
    let dir = made().await;
    let said = on(dir.path(), &["dump", "--from", "20", "--to", "22"]);
    let indexes: Vec<Value> = lines(&said.out).into_iter().map(|it| it["index"].clone()).collect();
    assert_eq!(indexes, [20, 21, 22]);
    let said = on(dir.path(), &["dump", "--from", "22", "--to", "20"]);
    assert_eq!((said.code, said.out.as_str()), (64, ""));
    let said = on(dir.path(), &["dump", "--group", "7"]);
    assert_eq!(said.code, 3);
    assert!(said.error.contains("the log has no group 7; it has: 0"), "{said:?}");
}

/// What is gone is a line too, and so is whether it was certain.
#[tokio::test]
async fn a_hole_is_told() {
    let dir = made().await;
    let (file, at, _) = frame_of(dir.path(), 30);
    flip(&file, at + 70);
    let said = on(dir.path(), &["dump", "--from", "29", "--to", "31"]);
    assert_eq!(said.code, 2, "{said:?}");
    let all = lines(&said.out);
    assert_eq!(all[1], json!({"missing": {"from": 30, "to": 30}}));
    assert_eq!((&all[0]["index"], &all[2]["index"]), (&json!(29), &json!(31)));
    assert_eq!(all.iter().filter(|line| line.get("certain").is_some()).count(), 0);
}

/// Who has read enough closes the pipe; nobody complains.
#[tokio::test]
async fn a_closed_pipe_is_no_failure() {
    let dir = made().await;
    let dump = ["dump".as_ref(), dir.path().as_os_str()];
    let mut child = command(dump).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    drop(out);
    let end = child.wait_with_output().unwrap();
    assert_eq!((end.status.code(), end.stderr.as_slice()), (Some(0), &b""[..]));
}
