//! The formats of a [`Report`]: pure functions of it.

pub mod json;
mod junit;
mod markdown;
mod rerun;
mod text;
mod view;

pub use self::json::json;
pub use self::junit::junit;
pub use self::markdown::markdown;
pub(crate) use self::rerun::{cargo_test, variable};
pub use self::text::{failure as failure_text, text};
pub(crate) use self::view::excuse;
pub use crate::outcome::{CheckResult, Conclusion, Report, Rerun};

#[cfg(test)]
mod tests;
