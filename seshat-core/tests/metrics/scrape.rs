//! What a node says when it is scraped, as a parser of Prometheus' text reads it.

use std::collections::BTreeMap;
use std::time::Instant;

use prometheus_parse::{LineInfo, Sample, Value};

/// One answer to one scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) at: Instant,
    samples: Vec<Sample>,
}

impl Scrape {
    /// Reads all of it, or says which line isn't Prometheus' text.
    pub(crate) fn of(text: &str) -> Self {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let is_read =
                matches!(LineInfo::parse(line), LineInfo::Sample { .. } | LineInfo::Empty);
            assert!(is_read, "not Prometheus' text: {line:?}");
        }
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        Self {
            at: Instant::now(),
            samples: prometheus_parse::Scrape::parse(lines).unwrap().samples,
        }
    }

    /// What Prometheus adds: whether there was an answer.
    pub(crate) fn up(answers: bool) -> Self {
        Self::of(&format!("up {}\n", u8::from(answers)))
    }

    /// Every series of that name, with its labels. Of a histogram the series are the sum and the count, by
    /// their own names, and `_bucket`, with how many are no greater than `le`.
    pub(crate) fn series(&self, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let mut found = Vec::new();
        for sample in &self.samples {
            let labels: BTreeMap<_, _> = (*sample.labels).clone().into_iter().collect();
            match &sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                    if sample.metric == name {
                        found.push((labels, *value));
                    }
                }
                Value::Histogram(buckets) => {
                    let is_it = name.strip_suffix("_bucket") == Some(&sample.metric);
                    for bucket in buckets.iter().filter(|_| is_it) {
                        let mut labels = labels.clone();
                        labels.insert("le".to_owned(), bucket.less_than.to_string());
                        found.push((labels, bucket.count));
                    }
                }
                Value::Summary(_) => panic!("{} has quantiles of this node alone", sample.metric),
            }
        }
        found
    }

    /// The sum of the series that have these labels.
    pub(crate) fn sum(&self, name: &str, with: &[(&str, &str)]) -> f64 {
        let has = |labels: &BTreeMap<String, String>| {
            with.iter().all(|(name, value)| labels.get(*name).is_some_and(|is| is == value))
        };
        self.series(name).iter().filter(|(labels, _)| has(labels)).map(|(_, value)| value).sum()
    }
}
