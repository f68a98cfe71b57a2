//! The configuration with every key commented, `config/seshat.toml`, and those of the three nodes beside it.

use rstest::rstest;
use seshat_core::config::{ConfigError, NodeConfig};

const SAMPLE: &str = include_str!("../../config/seshat.toml");

/// Keys without a default: what stands there is an example.
const EXAMPLES: [&str; 7] =
    ["data_dir", "metrics_address", "max_format", "[grpc.tls]", "ca =", "cert =", "key ="];

/// With each optional key for which that is so in force.
fn in_force(wanted: impl Fn(&str) -> bool) -> String {
    let lines = SAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(key)
            if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') && wanted(key) =>
        {
            key
        }
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The keys that there are in a table, by what is said of one that there isn't.
fn keys(table: &str) -> Vec<String> {
    let text = match table {
        "" => "stranger = 1".to_owned(),
        "members" => "[[members]]\nstranger = 1".to_owned(),
        table => format!("[{table}]\nstranger = 1"),
    };
    let Err(ConfigError::Toml(error)) = NodeConfig::from_toml(&text) else {
        unreachable!("there is no such key")
    };
    let error = error.to_string();
    let known = error.split_once("expected ").map(|(_, known)| known).unwrap_or_default();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn as_it_stands_and_with_every_key_in_force_it_is_a_configuration() {
    let bare = NodeConfig::from_toml(SAMPLE).unwrap();
    let full = NodeConfig::from_toml(&in_force(|_| true)).unwrap();
    assert!(full.grpc().tls.is_some() && full.data_dir().is_some() && full.max_format().is_some());
    assert_eq!(bare.members(), full.members());
}

/// What stands there is the default.
#[test]
fn each_optional_key_has_its_default() {
    let with_defaults = in_force(|key| {
        let example = EXAMPLES.iter().any(|example| key.starts_with(example));
        !example && !key.starts_with("mutual")
    });
    let expected = NodeConfig::builder(1)
        .member(1, "10.0.0.1")
        .member(2, "10.0.0.2")
        .member(3, "10.0.0.3")
        .build()
        .unwrap();
    assert_eq!(NodeConfig::from_toml(&with_defaults).unwrap(), expected);
    // That of a table without a default.
    let tls = |mutual: bool| {
        let full = in_force(|key| mutual || !key.starts_with("mutual"));
        NodeConfig::from_toml(&full).unwrap()
    };
    assert_eq!(tls(true), tls(false));
}

#[rstest]
#[case::all("")]
#[case::members("members")]
#[case::batch("batch")]
#[case::snapshot("snapshot")]
#[case::limits("limits")]
#[case::grpc("grpc")]
#[case::tls("grpc.tls")]
fn every_key_that_there_is_stands_in_it(#[case] table: &str) {
    let keys = keys(table);
    assert!(keys.len() > 1, "{keys:?}");
    let (mut heading, mut stands) = (String::new(), Vec::new());
    for line in in_force(|_| true).lines() {
        if line.starts_with('[') {
            heading = line.trim_matches(['[', ']']).to_owned();
            let (parent, name) = heading.rsplit_once('.').unwrap_or(("", &heading));
            stands.extend((parent == table).then(|| name.to_owned()));
        } else if heading == table {
            stands.extend(line.split_once(" = ").map(|(key, _)| key.to_owned()));
        }
    }
    let missing: Vec<_> = keys.iter().filter(|key| !stands.contains(key)).collect();
    assert!(missing.is_empty(), "config/seshat.toml lacks {missing:?} of [{table}]");
}

#[rstest]
#[case(1, include_str!("../../config/node1.toml"))]
#[case(2, include_str!("../../config/node2.toml"))]
#[case(3, include_str!("../../config/node3.toml"))]
fn the_three_nodes_differ_in_who_they_are(#[case] id: u64, #[case] text: &str) {
    let config = NodeConfig::from_toml(text).unwrap();
    assert_eq!(config.node_id(), id);
    assert_eq!(config.data_dir().unwrap().to_str(), Some(&*format!("data/node{id}")));
    let first = NodeConfig::from_toml(include_str!("../../config/node1.toml")).unwrap();
    assert_eq!(config.members(), first.members());
}
