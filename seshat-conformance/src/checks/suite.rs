//! Family `suite`: openraft's own suite, a check for each of its functions.

use crate::backend::Backend;
use crate::backend::suite::{SUITE, Suite};
use crate::check::{Check, Edition, Level, Need, Spec, limit};
use crate::failure::Failure;

pub(crate) fn checks<B: Backend>() -> Vec<Check<B>> {
    SUITE.iter().map(|(name, id)| check(name, id)).collect()
}

fn check<B: Backend>(name: &'static str, id: &'static str) -> Check<B> {
    let spec = Spec {
        id,
        level: Level::Must,
        requirements: &[],
        promise: "The store passes this function of openraft's own suite.",
        consequence: "openraft's authors hold that no cluster should run on such a store.",
        needs: &[Need::Suite],
        limit: limit(&[]),
        since: Edition(1),
    };
    Check {
        spec,
        run: Box::new(move |lab| {
            Box::pin(async move {
                let dir = lab.directory()?;
                let Some(function) = B::Suite::function(name) else {
                    lab.inconclusive("the suite has no such function");
                    return Ok(());
                };
                lab.record.step(format!("openraft::testing::Suite::{name}"));
                let outcome = function(&lab.backend, &dir).await;
                lab.record.case();
                outcome.map_err(|error| Failure::error(name, error))
            })
        }),
    }
}
