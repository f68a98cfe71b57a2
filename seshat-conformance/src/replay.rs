//! A history from a file as a check, so that it runs as every other does.

use std::time::Duration;

use crate::backend::Backend;
use crate::check::{Check, Edition, Level, Spec};
use crate::checks::model;
use crate::model::Step;

/// The id of a replay, in no registry.
pub(crate) const ID: &str = "replay";

/// What is known of a replay before it runs.
pub(crate) const SPEC: Spec = Spec {
    id: ID,
    level: Level::Must,
    requirements: &[],
    promise: "After each step of the history the store shows what the oracle shows.",
    consequence: "That depends on the step: see the check that found the history.",
    needs: &[],
    limit: Duration::from_secs(60),
    since: Edition(1),
};

/// A check that replays `steps`, each with the number of its line.
pub(crate) fn check<B: Backend>(steps: Vec<(usize, Step)>) -> Check<B> {
    Check {
        spec: SPEC,
        run: Box::new(move |lab| {
            let steps = steps.clone();
            Box::pin(async move { model::replay(lab, &steps).await })
        }),
    }
}
