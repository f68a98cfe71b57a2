//! The alert rules that ship with the crate, as far as it takes to see whether one is true: each is one of four
//! simple shapes, which is checked here, and evaluated as Prometheus does from two scrapes.

use std::collections::BTreeMap;

use crate::scrape::Scrape;

const RULES: &str = include_str!("../../operations/alerts.yaml");

pub(crate) type Labels = BTreeMap<String, String>;

/// A metric, and the labels that it must have.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) labels: Labels,
}

#[derive(Debug)]
pub(crate) enum Shape {
    Level(Selector),
    Difference(Selector, Selector),
    Increase(Selector),
    Rate(Selector),
    /// Of the rate of a histogram's buckets.
    Quantile(f64, Selector),
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) alert: String,
    shape: Shape,
    compares: fn(f64, f64) -> bool,
    with: f64,
}

/// All of them. A line that isn't understood here fails.
pub(crate) fn all() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut lines = RULES.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    assert_eq!([lines.next(), lines.next()], [Some("groups:"), Some("- name: seshat")]);
    assert_eq!(lines.next(), Some("rules:"));
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let mut key = |key: &str| -> Option<&str> {
            let value = lines.peek()?.strip_prefix(key)?.strip_prefix(':')?.trim();
            lines.next();
            Some(value)
        };
        let alert = line.strip_prefix("- alert: ").expect(line).to_owned();
        let expr = key("expr").expect(&alert);
        let held = key("for");
        assert!(held.is_none_or(|held| held.ends_with('m')), "{alert}: {held:?}");
        let severity = key("labels").expect(&alert);
        assert!(matches!(severity, "{severity: page}" | "{severity: ticket}"), "{alert}");
        assert_eq!(key("annotations"), Some(""), "{alert}");
        for said in ["summary", "description"] {
            let words = key(said).and_then(|words| words.strip_prefix('"')?.strip_suffix('"'));
            assert!(words.is_some_and(|words| !words.is_empty()), "{alert}: {said}");
        }
        rules.push(Rule::of(alert, expr));
    }
    rules
}

pub(crate) fn named(alert: &str) -> Rule {
    all().into_iter().find(|rule| rule.alert == alert).expect(alert)
}

impl Rule {
    fn of(alert: String, expr: &str) -> Self {
        let mut parts = expr.rsplitn(3, ' ');
        let with = parts.next().unwrap().parse().expect(expr);
        let compares: fn(f64, f64) -> bool = match parts.next() {
            Some(">") => |is, with| is > with,
            Some("<") => |is, with| is < with,
            Some("==") => |is, with| is == with,
            other => panic!("{alert}: {other:?}"),
        };
        Self { shape: Shape::of(parts.next().expect(expr)), alert, compares, with }
    }

    /// The metrics that it needs.
    pub(crate) fn selectors(&self) -> Vec<&Selector> {
        match &self.shape {
            Shape::Level(of) | Shape::Increase(of) | Shape::Rate(of) | Shape::Quantile(_, of) => {
                vec![of]
            }
            Shape::Difference(from, less) => vec![from, less],
        }
    }

    /// Whether it is true of any series, between these two scrapes of one node.
    pub(crate) fn holds(&self, earlier: &Scrape, later: &Scrape) -> bool {
        self.values(earlier, later).into_iter().any(|value| (self.compares)(value, self.with))
    }

    fn values(&self, earlier: &Scrape, later: &Scrape) -> Vec<f64> {
        let seconds = (later.at - earlier.at).as_secs_f64();
        match &self.shape {
            Shape::Level(of) => of.of(later).into_values().collect(),
            Shape::Difference(from, less) => {
                let less = less.of(later);
                let both = from.of(later).into_iter();
                both.filter_map(|(labels, value)| Some(value - less.get(&labels)?)).collect()
            }
            Shape::Increase(of) => increase(of, earlier, later).into_values().collect(),
            Shape::Rate(of) => {
                let grown = increase(of, earlier, later);
                grown.into_values().map(|grown| grown / seconds).collect()
            }
            Shape::Quantile(quantile, of) => {
                let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
                for (mut labels, count) in increase(of, earlier, later) {
                    let le = labels.remove("le").expect("a bucket").parse().unwrap();
                    histograms.entry(labels).or_default().push((le, count));
                }
                let samples = histograms.into_values();
                samples.filter_map(|buckets| value_at(*quantile, buckets)).collect()
            }
        }
    }
}

impl Shape {
    fn of(text: &str) -> Self {
        if let Some((from, less)) = text.split_once(" - ") {
            return Self::Difference(Selector::read(from), Selector::read(less));
        }
        let Some((function, rest)) = text.split_once('(') else {
            return Self::Level(Selector::read(text));
        };
        let arguments = rest.strip_suffix(')').expect(text);
        match function {
            "increase" => Self::Increase(over_time(arguments)),
            "rate" => Self::Rate(over_time(arguments)),
            "histogram_quantile" => {
                let (quantile, of) = arguments.split_once(", ").expect(text);
                let Self::Rate(of) = Self::of(of) else { panic!("not of a rate: {text}") };
                assert!(of.name.ends_with("_bucket"), "{text}");
                Self::Quantile(quantile.parse().unwrap(), of)
            }
            other => panic!("{other} is no function of these rules: {text}"),
        }
    }
}

/// Scrapes of a test are closer together than any window.
fn over_time(text: &str) -> Selector {
    let (of, window) = text.strip_suffix(']').expect(text).split_once('[').expect(text);
    let count = window.strip_suffix(['m', 'h']).expect(text);
    assert!(count.parse::<u32>().is_ok_and(|count| count > 0), "{text}");
    Selector::read(of)
}

impl Selector {
    pub(crate) fn read(text: &str) -> Self {
        let (name, inner) = match text.split_once('{') {
            Some((name, inner)) => (name, inner.strip_suffix('}').expect(text)),
            None => (text, ""),
        };
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text:?}");
        let labels = inner.split(", ").filter(|label| !label.is_empty()).map(|label| {
            let (name, value) = label.split_once('=').expect(text);
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        Self { name: name.to_owned(), labels: labels.collect() }
    }

    fn of(&self, scrape: &Scrape) -> BTreeMap<Labels, f64> {
        let series = scrape.series(&self.name).into_iter();
        let has =
            |labels: &Labels| self.labels.iter().all(|(name, is)| labels.get(name) == Some(is));
        series.filter(|(labels, _)| has(labels)).collect()
    }
}

/// Of series that are in both: of one that begins, Prometheus sees no increase.
fn increase(of: &Selector, earlier: &Scrape, later: &Scrape) -> BTreeMap<Labels, f64> {
    let (before, after) = (of.of(earlier), of.of(later));
    let both = after.into_iter();
    both.filter_map(|(labels, value)| Some((labels.clone(), value - before.get(&labels)?)))
        .collect()
}

/// Between the bounds of its bucket as if samples were spread evenly; of the last, its lower bound.
fn value_at(quantile: f64, mut buckets: Vec<(f64, f64)>) -> Option<f64> {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.last().filter(|(le, count)| le.is_infinite() && *count > 0.0)?.1;
    let rank = quantile * all;
    let at = buckets.partition_point(|(_, count)| *count < rank);
    let (lower, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| buckets[before]);
    let (upper, count) = buckets[at];
    if upper.is_infinite() {
        return Some(lower);
    }
    Some(lower + (upper - lower) * (rank - below) / (count - below))
}

#[rstest::rstest]
#[case::in_the_middle(0.5, &[(1.0, 0.0), (2.0, 10.0), (f64::INFINITY, 10.0)], Some(1.5))]
#[case::in_the_first(0.5, &[(1.0, 10.0), (2.0, 10.0), (f64::INFINITY, 10.0)], Some(0.5))]
#[case::beyond_all(0.99, &[(1.0, 0.0), (2.0, 0.0), (f64::INFINITY, 10.0)], Some(2.0))]
#[case::of_nothing(0.99, &[(1.0, 0.0), (2.0, 0.0), (f64::INFINITY, 0.0)], None)]
fn a_quantile_is_where_prometheus_has_it(
    #[case] quantile: f64,
    #[case] buckets: &[(f64, f64)],
    #[case] expected: Option<f64>,
) {
    assert_eq!(value_at(quantile, buckets.to_vec()), expected);
}
