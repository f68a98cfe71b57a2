//! What a rule asks for, as Prometheus evaluates it: of each function what it does, and nothing else than these.

use std::collections::BTreeMap;

use super::history::{History, Labels, STEP};

/// A metric, and the labels that it must have.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) labels: Labels,
}

/// A value by the labels of its series.
type Vector = BTreeMap<Labels, f64>;

/// Comparisons, all of which must be true of the same labels.
#[derive(Debug)]
pub(super) struct Expression(Vec<Comparison>);

#[derive(Debug)]
struct Comparison {
    shape: Shape,
    compares: fn(&f64, &f64) -> bool,
    with: f64,
}

#[derive(Debug)]
enum Shape {
    Level(Selector),
    Difference(Selector, Selector),
    Over(Function, Range),
    /// Of the rate of a histogram's buckets.
    Quantile(f64, Range),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Increase,
    Rate,
    Changes,
}

/// So many seconds of samples.
#[derive(Debug)]
struct Range {
    of: Selector,
    window: f64,
}

impl Expression {
    pub(super) fn of(text: &str) -> Self {
        Self(text.split(" and ").map(Comparison::of).collect())
    }

    /// The metrics that it needs, and whether it looks at how each grows.
    pub(super) fn selectors(&self) -> Vec<(&Selector, bool)> {
        self.0.iter().flat_map(Comparison::selectors).collect()
    }

    /// Over how many seconds it looks back.
    pub(super) fn window(&self) -> f64 {
        let windows = self.0.iter().map(|comparison| match &comparison.shape {
            Shape::Level(_) | Shape::Difference(..) => 0.0,
            Shape::Over(_, range) | Shape::Quantile(_, range) => range.window,
        });
        windows.fold(0.0, f64::max)
    }

    /// Whether one event is enough where none has to last.
    pub(super) fn counts(&self) -> bool {
        let changes = |it: &Comparison| matches!(it.shape, Shape::Over(Function::Changes, _));
        !self.0.iter().any(changes)
    }

    /// Of which series it is true at a scrape.
    pub(super) fn at(&self, history: &History, at: usize) -> Vec<Labels> {
        let mut all = self.0.iter().map(|comparison| comparison.at(history, at));
        let first = all.next().unwrap_or_default();
        let rest: Vec<Vector> = all.collect();
        let in_all = |labels: &Labels| rest.iter().all(|vector| vector.contains_key(labels));
        first.into_keys().filter(in_all).collect()
    }
}

impl Comparison {
    fn of(text: &str) -> Self {
        let mut parts = text.rsplitn(3, ' ');
        let with = parts.next().unwrap().parse().expect(text);
        let compares: fn(&f64, &f64) -> bool = match parts.next() {
            Some(">") => f64::gt,
            Some(">=") => f64::ge,
            Some("<") => f64::lt,
            Some("==") => f64::eq,
            other => panic!("{other:?} compares nothing in these rules: {text}"),
        };
        Self { shape: Shape::of(parts.next().expect(text)), compares, with }
    }

    fn selectors(&self) -> Vec<(&Selector, bool)> {
        match &self.shape {
            Shape::Level(of) => vec![(of, false)],
            Shape::Difference(from, less) => vec![(from, false), (less, false)],
            Shape::Over(_, Range { of, .. }) | Shape::Quantile(_, Range { of, .. }) => {
                vec![(of, true)]
            }
        }
    }

    fn at(&self, history: &History, at: usize) -> Vector {
        let mut values = self.shape.at(history, at);
        values.retain(|_, value| (self.compares)(value, &self.with));
        values
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
        let function = match function {
            "increase" => Function::Increase,
            "rate" => Function::Rate,
            "changes" => Function::Changes,
            "histogram_quantile" => {
                let (quantile, of) = arguments.split_once(", ").expect(text);
                let Self::Over(Function::Rate, range) = Self::of(of) else {
                    panic!("not of a rate: {text}")
                };
                assert!(range.of.name.ends_with("_bucket"), "{text}");
                return Self::Quantile(quantile.parse().unwrap(), range);
            }
            other => panic!("{other} is no function of these rules: {text}"),
        };
        Self::Over(function, Range::read(arguments))
    }

    fn at(&self, history: &History, at: usize) -> Vector {
        match self {
            Self::Level(of) => level(of, history, at),
            Self::Difference(from, less) => {
                let less = level(less, history, at);
                let both = level(from, history, at).into_iter();
                both.filter_map(|(labels, value)| {
                    Some((labels.clone(), value - less.get(&labels)?))
                })
                .collect()
            }
            Self::Over(function, range) => over(*function, range, history, at),
            Self::Quantile(quantile, range) => {
                let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
                for (mut labels, rate) in over(Function::Rate, range, history, at) {
                    let le = labels.remove("le").expect("a bucket").parse().unwrap();
                    histograms.entry(labels).or_default().push((le, rate));
                }
                let each = histograms.into_iter();
                each.filter_map(|(labels, it)| Some((labels, value_at(*quantile, it)?))).collect()
            }
        }
    }
}

impl Range {
    fn read(text: &str) -> Self {
        let (of, window) = text.strip_suffix(']').expect(text).split_once('[').expect(text);
        Self { of: Selector::read(of), window: seconds(window) }
    }
}

/// Of "5m" or "1h".
pub(super) fn seconds(text: &str) -> f64 {
    let (count, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        other => panic!("{other} is no unit of these rules: {text}"),
    };
    let count: u32 = count.parse().expect(text);
    assert!(count > 0, "{text}");
    f64::from(count * unit)
}

impl Selector {
    fn read(text: &str) -> Self {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let (name, inner) = match text.split_once('{') {
            Some((name, inner)) => (name, inner.strip_suffix('}').expect(text)),
            None => (text, ""),
        };
        assert!(is_word(name), "{text:?}");
        let labels = inner.split(", ").filter(|label| !label.is_empty()).map(|label| {
            let (name, value) = label.split_once('=').expect(text);
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            assert!(is_word(name) && value.is_some_and(is_word), "not of these rules: {text}");
            (name.to_owned(), value.unwrap_or_default().to_owned())
        });
        Self { name: name.to_owned(), labels: labels.collect() }
    }

    fn has(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(name, is)| labels.get(name) == Some(is))
    }
}

/// What the latest scrape says.
fn level(of: &Selector, history: &History, at: usize) -> Vector {
    let series = history.series(&of.name).filter(|(labels, _)| of.has(labels));
    series.filter_map(|(labels, samples)| Some((labels.clone(), (*samples.get(at)?)?))).collect()
}

/// Of series that have two samples in the window.
fn over(function: Function, Range { of, window }: &Range, history: &History, at: usize) -> Vector {
    let first = (at + 1).saturating_sub((window / STEP) as usize);
    let series = history.series(&of.name).filter(|(labels, _)| of.has(labels));
    let value = |(labels, samples): (&Labels, &[Option<f64>])| {
        let within = (first..=at).filter_map(|at| Some((at as f64 * STEP, (*samples.get(at)?)?)));
        let within: Vec<(f64, f64)> = within.collect();
        let value = match function {
            Function::Changes => {
                let pairs = within.windows(2);
                Some(pairs.filter(|pair| pair[0].1 != pair[1].1).count() as f64)
            }
            Function::Increase => increase(&within, *window, at as f64 * STEP),
            Function::Rate => {
                increase(&within, *window, at as f64 * STEP).map(|grown| grown / window)
            }
        };
        Some((labels.clone(), value?))
    };
    series.filter_map(value).collect()
}

/// Of a counter, which begins at 0 again where it falls. As Prometheus has it: what lies between the samples and the
/// window's ends is guessed from them.
fn increase(samples: &[(f64, f64)], window: f64, now: f64) -> Option<f64> {
    let [(from, first), .., (to, last)] = samples else { return None };
    let falls = samples.windows(2).filter(|pair| pair[1].1 < pair[0].1);
    let grown = last - first + falls.map(|pair| pair[0].1).sum::<f64>();
    let sampled = to - from;
    let between = sampled / (samples.len() - 1) as f64;
    let mut before = from - (now - window);
    if grown > 0.0 && *first >= 0.0 {
        // It was never below 0.
        before = before.min(sampled * first / grown);
    }
    let guessed = |gap: f64| if gap < between * 1.1 { gap } else { between / 2.0 };
    Some(grown * (sampled + guessed(before) + guessed(now - to)) / sampled)
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

/// What `promtool test rules` says of the same samples.
#[rstest::rstest]
#[case::all_of_the_window(&[(15.0, 10.0), (30.0, 10.0), (45.0, 13.0), (60.0, 13.0)], 60.0, Some(4.0))]
#[case::from_zero(&[(15.0, 0.0), (30.0, 0.0), (45.0, 3.0), (60.0, 3.0)], 60.0, Some(3.0))]
#[case::begun_late(&[(45.0, 10.0), (60.0, 13.0)], 60.0, Some(4.5))]
#[case::begun_again(&[(15.0, 10.0), (30.0, 12.0), (45.0, 1.0), (60.0, 1.0)], 60.0, Some(4.0))]
#[case::one_sample(&[(60.0, 10.0)], 60.0, None)]
fn an_increase_is_what_prometheus_has(
    #[case] samples: &[(f64, f64)],
    #[case] now: f64,
    #[case] expected: Option<f64>,
) {
    assert_eq!(increase(samples, 60.0, now), expected);
}
