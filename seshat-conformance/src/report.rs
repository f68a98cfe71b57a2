//! The formats of a [`Report`]: pure functions of it. Each begins with the causes of what failed, and
//! has no line over 2,000 characters.

pub mod json;
mod junit;
mod keep;
mod markdown;
mod rerun;
mod short;
mod text;
mod view;

pub use self::json::json;
pub use self::junit::junit;
pub(crate) use self::keep::{keep, keep_one};
pub use self::markdown::markdown;
pub(crate) use self::rerun::{cargo_test, variable};
pub use self::text::{failure as failure_text, text};
pub(crate) use self::view::excuse;
pub use crate::outcome::{CheckResult, Conclusion, Report, Rerun};

#[cfg(test)]
mod tests;
