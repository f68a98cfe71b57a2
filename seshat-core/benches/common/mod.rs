//! What the benchmarks share: the naive baseline, deterministic inputs, measuring, tables.

pub(crate) mod data;
pub(crate) mod measure;
pub(crate) mod naive;
pub(crate) mod table;
