//! What Prometheus has of one node, which it scrapes every quarter of a minute.

use std::collections::BTreeMap;

use crate::scrape::Scrape;

pub(crate) type Labels = BTreeMap<String, String>;

/// Seconds between scrapes, and between looks at the rules.
pub(crate) const STEP: f64 = 15.0;

/// Samples by metric and series, of each scrape.
#[derive(Debug, Default)]
pub(crate) struct History {
    series: BTreeMap<String, BTreeMap<Labels, Vec<Option<f64>>>>,
}

/// So many scrapes of a node that is well, then of the fault, then of a node that is well again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) well: usize,
    pub(crate) ill: usize,
    pub(crate) again: usize,
}

impl Course {
    pub(crate) fn len(self) -> usize {
        self.well + self.ill + self.again
    }
}

impl History {
    /// Adds the metric as two real scrapes have it, before and in the fault: a level is what it is in each; what
    /// `grows` grows by `pace` times the difference from scrape to scrape while the fault lasts.
    pub(crate) fn add(
        &mut self,
        name: &str,
        [before, after]: [&Scrape; 2],
        grows: Option<f64>,
        course: Course,
    ) {
        let [before, after] = [before, after].map(|scrape| scrape.series(name));
        let before: BTreeMap<Labels, f64> = before.into_iter().collect();
        let after: BTreeMap<Labels, f64> = after.into_iter().collect();
        for labels in before.keys().chain(after.keys()) {
            let [was, is] = [&before, &after].map(|series| series.get(labels).copied());
            let sample = |at: usize| {
                let ill = (at + 1).saturating_sub(course.well).min(course.ill) as f64;
                match grows {
                    Some(pace) => match (was, is) {
                        (Some(was), Some(is)) => Some(was + ill * pace * (is - was)),
                        (None, Some(is)) if ill > 0.0 => Some(ill * pace * is),
                        (was, _) => was,
                    },
                    None if at >= course.well && at < course.well + course.ill => is,
                    None => was,
                }
            };
            self.put(name, labels.clone(), (0..course.len()).map(sample).collect());
        }
    }

    /// Adds one series.
    pub(crate) fn put(&mut self, name: &str, mut labels: Labels, samples: Vec<Option<f64>>) {
        // Prometheus' own.
        labels.insert("job".to_owned(), "seshat".to_owned());
        labels.insert("instance".to_owned(), "10.0.0.1:9379".to_owned());
        self.series.entry(name.to_owned()).or_default().insert(labels, samples);
    }

    pub(super) fn series(&self, name: &str) -> impl Iterator<Item = (&Labels, &[Option<f64>])> {
        let series = self.series.get(name).into_iter().flatten();
        series.map(|(labels, samples)| (labels, samples.as_slice()))
    }

    /// Scrapes.
    pub(super) fn len(&self) -> usize {
        self.series.values().flat_map(BTreeMap::values).map(Vec::len).max().unwrap_or_default()
    }
}
