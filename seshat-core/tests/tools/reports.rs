//! What the commands print of a whole directory, word by word.

use crate::directory::{LAST, PURGED, made};
use crate::program::{masked, on, seshat};

#[tokio::test]
async fn inspect() {
    let dir = made().await;
    let said = on(dir.path(), &["inspect"]);
    insta::assert_snapshot!(masked(&said.out, dir.path()));
}

#[tokio::test]
async fn verify() {
    let dir = made().await;
    let said = on(dir.path(), &["verify"]);
    insta::assert_snapshot!(masked(&said.out, dir.path()));
}

/// For machines: it is JSON, with what the text has.
#[tokio::test]
async fn json() {
    let dir = made().await;
    for command in ["inspect", "verify"] {
        let said = on(dir.path(), &[command, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(json["verdict"], "whole");
        assert_eq!(json["in_use"], false);
        assert_eq!(json["identity"]["cluster"], "seshat");
        assert_eq!(json["identity"]["node"], 1);
        assert_eq!(json["faults"], serde_json::json!([]));
        let group = &json["groups"][0];
        assert_eq!(group["purged"], serde_json::json!({"index": PURGED, "term": 1, "node": 1}));
        assert_eq!(group["committed"]["index"], LAST);
        assert_eq!(group["last"], serde_json::json!({"index": LAST, "term": 2, "node": 1}));
        assert_eq!(group["entries"], serde_json::json!({"from": PURGED + 1, "to": LAST}));
        assert_eq!(group["terms"][1]["entries"], serde_json::json!({"from": 20, "to": LAST}));
        assert_eq!(group["vote"], serde_json::json!({"term": 2, "node": 1, "leads": true}));
        let snapshot = &json["snapshots"][1];
        assert_eq!((&snapshot["whole"], &snapshot["current"]), (&true.into(), &true.into()));
        assert_eq!(snapshot["last"]["index"], 24);
        assert_eq!(snapshot["membership"]["voters"], serde_json::json!([[1, 2, 3]]));
        assert_eq!(snapshot["membership"]["members"][2]["address"], "node-3:7379");
    }
}

/// All that an operator is told of how a command ends.
#[test]
fn help() {
    let said = seshat(["--help"]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!(said.out);
}

/// Every command is known to each shell; what bash is given it can read.
#[test]
fn completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = seshat(["completions", shell]);
        assert_eq!((said.code, &*said.error), (0, ""));
        for word in ["serve", "client", "transfer", "salvage", "listen-clients"] {
            assert!(said.out.contains(word), "{shell} lacks {word}");
        }
    }
    // Where there is no bash, there is nobody to read it.
    let bash = seshat(["completions", "bash"]).out;
    if let Ok(read) = std::process::Command::new("bash").args(["-nc", &bash]).status() {
        assert!(read.success(), "{bash}");
    }
    assert_eq!(seshat(["completions", "tcsh"]).code, 64);
}
