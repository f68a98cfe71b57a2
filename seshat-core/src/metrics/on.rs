//! Handles of the facade, and a clock. Each is looked up once, where what it counts begins; a recorder that is
//! installed later isn't heard of.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use super::Label;
use super::names::{ALL, Kind, Metric, WAL_GROUP_SIZE};

/// Tells the recorder what each name means. To be called once, after it is installed.
pub fn describe() {
    for Metric { name, kind, help, .. } in ALL {
        let unit = match *name {
            name if name.ends_with("_seconds") => Unit::Seconds,
            name if name.contains("_bytes") || name == WAL_GROUP_SIZE.name => Unit::Bytes,
            _ => Unit::Count,
        };
        match kind {
            Kind::Counter => describe_counter!(*name, unit, *help),
            Kind::Gauge => describe_gauge!(*name, unit, *help),
            Kind::Histogram(_) => describe_histogram!(*name, unit, *help),
        }
    }
}

fn labels(metric: &Metric, labels: &[Label<'_>]) -> Vec<::metrics::Label> {
    debug_assert!(
        labels.iter().map(|(name, _)| *name).eq(metric.labels.iter().copied()),
        "{} has other labels",
        metric.name
    );
    labels.iter().map(|(name, value)| ::metrics::Label::new(*name, value.to_string())).collect()
}

#[derive(Debug, Clone)]
pub(crate) struct Counter(::metrics::Counter);

impl Counter {
    pub(crate) fn of(metric: &Metric, with: &[Label<'_>]) -> Self {
        Self(::metrics::counter!(metric.name, labels(metric, with)))
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.increment(count);
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Gauge(::metrics::Gauge);

impl Gauge {
    pub(crate) fn of(metric: &Metric, with: &[Label<'_>]) -> Self {
        Self(::metrics::gauge!(metric.name, labels(metric, with)))
    }

    pub(crate) fn set(&self, value: f64) {
        self.0.set(value);
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Histogram(::metrics::Histogram);

impl Histogram {
    pub(crate) fn of(metric: &Metric, with: &[Label<'_>]) -> Self {
        Self(::metrics::histogram!(metric.name, labels(metric, with)))
    }

    /// `value` may read a clock.
    pub(crate) fn record(&self, value: impl FnOnce() -> f64) {
        self.0.record(value());
    }
}

/// Since when something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// How many there are just now.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicUsize);

impl Level {
    pub(crate) fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Never below what it rose.
    pub(crate) fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something to record to, later.
pub(crate) struct Of<'a, T>(&'a T);

impl<'a, T> Of<'a, T> {
    pub(crate) fn new(it: &'a T) -> Self {
        Self(it)
    }

    pub(crate) fn with(&self, record: impl FnOnce(&T)) {
        record(self.0);
    }
}

/// The time between the end of something and the beginning of the next, under one number.
#[derive(Debug, Default)]
pub(crate) struct Pause(Option<(u64, Instant)>);

impl Pause {
    pub(crate) fn begin(&mut self, number: u64) {
        self.0 = Some((number, Instant::now()));
    }

    /// `None` if none began, or under another number.
    pub(crate) fn end(&mut self, number: u64) -> Option<Duration> {
        let (of, since) = self.0.take()?;
        (of == number).then(|| since.elapsed())
    }
}
