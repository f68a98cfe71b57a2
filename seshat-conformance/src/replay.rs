//! A history from a file as a check, so that it runs as every other does.

use std::time::Duration;

use crate::check::Check;
use crate::checks::model::{self, Birth};
use crate::model::Step;
use crate::spec::{Edition, Level, Need, Spec};

/// The id of a replay, in no registry.
pub(crate) const ID: &str = "replay";

/// What is known of a replay before it runs.
pub(crate) const SPEC: Spec = Spec {
    id: ID,
    level: Level::Must,
    past: None,
    requirements: &[],
    promise: "After each step of the history the store shows what the oracle shows.",
    consequence: "That depends on the step: see the check that found the history.",
    relies: &[],
    reason: "",
    needs: &[],
    limit: Duration::from_secs(60),
    since: Edition(1),
};

/// A check that replays `steps`, each with the number of its line.
pub(crate) fn check(steps: Vec<(usize, Step)>) -> Check {
    let cuts = steps.iter().any(|(_, step)| *step == Step::CutPower);
    let needs: &[Need] = if cuts { &[Need::CutPower] } else { &[] };
    Check {
        spec: Spec { needs, ..SPEC },
        run: Box::new(move |lab| {
            let steps = steps.clone();
            Box::pin(async move {
                let birth = Birth::of(lab).await?;
                birth.beside(model::replay(lab, &steps, &birth).await)
            })
        }),
    }
}
