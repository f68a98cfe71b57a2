//! The same as `on`, of nothing: no size, no code, no clock.

use std::marker::PhantomData;
use std::time::Duration;

use super::Label;
use super::names::Metric;

#[derive(Debug, Clone)]
pub(crate) struct Counter;

impl Counter {
    #[inline(always)]
    pub(crate) fn of(_: &Metric, _: &[Label<'_>]) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn add(&self, _: u64) {}
}

#[derive(Debug, Clone)]
pub(crate) struct Gauge;

impl Gauge {
    #[inline(always)]
    pub(crate) fn of(_: &Metric, _: &[Label<'_>]) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn set(&self, _: f64) {}
}

#[derive(Debug, Clone)]
pub(crate) struct Histogram;

impl Histogram {
    #[inline(always)]
    pub(crate) fn of(_: &Metric, _: &[Label<'_>]) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn record(&self, _: impl FnOnce() -> f64) {}
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch;

impl Stopwatch {
    #[inline(always)]
    pub(crate) fn start() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn seconds(self) -> f64 {
        0.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Level;

impl Level {
    #[inline(always)]
    pub(crate) fn rise(&self) {}

    #[inline(always)]
    pub(crate) fn fall(&self) {}
}

pub(crate) struct Of<'a, T>(PhantomData<&'a T>);

impl<'a, T> Of<'a, T> {
    #[inline(always)]
    pub(crate) fn new(_: &'a T) -> Self {
        Self(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn with(&self, _: impl FnOnce(&T)) {}
}

#[derive(Debug, Default)]
pub(crate) struct Pause;

impl Pause {
    #[inline(always)]
    pub(crate) fn begin(&mut self, _: u64) {}

    #[inline(always)]
    pub(crate) fn end(&mut self, _: u64) -> Option<Duration> {
        None
    }
}
