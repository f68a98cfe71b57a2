//! Family `suite`: openraft's own suite, a check for each of its functions.

use crate::backend::suite::SUITE;
use crate::check::Check;
use crate::failure::Failure;
use crate::spec::{Edition, Level, Need, Spec, limit};

/// Functions whose first append is not where the log ends, which openraft itself never does.
const ILLEGAL: [&str; 9] = [
    "get_initial_state_membership_from_log_and_sm",
    "last_membership_in_log",
    "last_membership_in_log_multi_step",
    "get_membership_from_log_and_empty_sm",
    "get_membership_from_log_le_sm_last_applied",
    "get_membership_from_log_gt_sm_last_applied_1",
    "get_membership_from_log_gt_sm_last_applied_2",
    "get_initial_state_last_log_lt_sm",
    "get_initial_state_re_apply_committed",
];

pub(crate) fn checks() -> Vec<Check> {
    SUITE.iter().map(|(name, id)| check(name, id)).collect()
}

fn check(name: &'static str, id: &'static str) -> Check {
    let legal = !ILLEGAL.contains(&name);
    let spec = Spec {
        id,
        level: if legal { Level::Must } else { Level::May },
        requirements: &[],
        promise: if legal {
            "The store passes this function of openraft's own suite."
        } else {
            "The store passes this function of openraft's own suite, which makes a call that openraft never makes: a strict store may refuse it."
        },
        consequence: if legal {
            "openraft's authors hold that no cluster should run on such a store."
        } else {
            "None: openraft appends where the log ends, and nowhere else."
        },
        needs: &[Need::Suite],
        limit: limit(&[]),
        since: Edition(1),
    };
    Check {
        spec,
        run: Box::new(move |lab| {
            Box::pin(async move {
                let dir = lab.directory()?;
                let Some(running) = lab.driver.suite(name, &dir) else {
                    lab.inconclusive("the suite has no such function");
                    return Ok(());
                };
                lab.record.step(format!("openraft::testing::Suite::{name}"));
                let outcome = running.await;
                lab.record.case();
                outcome.map_err(|error| Failure::error(name, error))
            })
        }),
    }
}
