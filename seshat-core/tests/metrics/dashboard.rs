//! The dashboard that ships with the crate: what it asks for.

use std::collections::BTreeSet;

use serde_json::Value;

const DASHBOARD: &str = include_str!("../../operations/dashboard.json");

/// What one query asks for: metrics, and the labels that it uses of all of them.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) expr: String,
    pub(crate) names: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
}

pub(crate) fn queries() -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| query(text(target, "expr"), text(target, "legendFormat"))).collect()
}

fn text<'a>(target: &'a Value, key: &str) -> &'a str {
    target[key].as_str().unwrap_or_else(|| panic!("no {key}: {target}"))
}

fn query(expr: &str, legend: &str) -> Query {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expr.split(|c| !is_word(c)).filter(|word| word.starts_with("seshat_"));
    let matched = expr.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let matched = matched.flat_map(|(inner, _)| inner.split(", "));
    let matched = matched.filter_map(|label| label.split_once(['=', '!'])).map(|(name, _)| name);
    let grouped = expr.split(" by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let grouped: Vec<_> = grouped.flat_map(|(inner, _)| inner.split(", ")).collect();
    let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    let shown: Vec<_> = shown.map(|(name, _)| name).collect();
    let is_left = |name: &&str| grouped.is_empty() || grouped.contains(name);
    assert!(shown.iter().all(is_left), "{legend} shows what is summed up: {expr}");
    let of_buckets = expr.contains("histogram_quantile(") == expr.contains("_bucket");
    assert!(of_buckets && (!expr.contains("_bucket") || grouped.contains(&"le")), "{expr}");
    let labels = matched.chain(grouped).chain(shown).map(str::to_owned).collect();
    Query { expr: expr.to_owned(), names: words.map(str::to_owned).collect(), labels }
}

#[test]
fn a_query_names_what_it_needs() {
    let it = query(
        r#"histogram_quantile(0.5, sum by (instance, le, peer) (rate(seshat_a_bucket{job="$job", of!="b"}[5m]))) - seshat_c"#,
        "{{instance}} to {{peer}}",
    );
    let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(it.names, all(&["seshat_a_bucket", "seshat_c"]));
    assert_eq!(it.labels, all(&["instance", "le", "job", "of", "peer"]));
}

#[test]
#[should_panic(expected = "{{peer}} shows what is summed up: sum by (instance) (seshat_a)")]
fn a_legend_names_what_is_left() {
    query("sum by (instance) (seshat_a)", "{{peer}}");
}
