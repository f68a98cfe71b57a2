//! What the benchmark's source looks for beside it.

#[path = "../../../../seshat-core/benches/common/data.rs"]
pub(crate) mod data;
#[path = "../../../../seshat-core/benches/common/measure.rs"]
pub(crate) mod measure;
pub(crate) mod naive;
#[path = "../../../../seshat-core/benches/common/table.rs"]
pub(crate) mod table;
