//! The checks, one file a family.

pub(crate) mod suite;
