//! The one ordered table of checks. Ids are unique.

use crate::check::{Check, Edition, Spec};
use crate::checks;

/// Every check there is, in the order of the report.
pub fn registry() -> Vec<Check> {
    let families: Vec<Vec<Check>> = vec![
        checks::suite::checks(),
        checks::log::checks(),
        #[cfg(feature = "storage-v2")]
        checks::callback::checks(),
        checks::vote::checks(),
        checks::committed::checks(),
        checks::machine::checks(),
        checks::snapshot::checks(),
        checks::reopen::checks(),
        checks::model::checks(),
        checks::model::in_flight::checks(),
        checks::counter_examples::checks(),
        checks::crash::checks(),
        checks::disk::checks(),
        checks::concurrency::checks(),
        checks::cluster::checks(),
        #[cfg(feature = "storage-v2")]
        checks::wire::checks(),
    ];
    families.into_iter().flatten().collect()
}

/// What is known of each, as of an edition.
pub(crate) fn specs(edition: Edition) -> Vec<Spec> {
    registry().iter().map(|check| check.spec.as_of(edition)).collect()
}

#[cfg(test)]
#[cfg(feature = "storage-v2")]
mod page;
#[cfg(test)]
#[cfg(feature = "storage-v2")]
mod tests;
