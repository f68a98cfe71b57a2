//! What the benchmarks share: the naive baseline, deterministic inputs, storage in directories, measuring, tables.

pub(crate) mod data;
pub(crate) mod disk;
pub(crate) mod measure;
pub(crate) mod naive;
pub(crate) mod table;
