//! Family `suite`: openraft's own suite, a check for each of its functions.
//!
//! A Must are those whose every call openraft makes as well. The others begin a log in its middle,
//! write what no vote allows, or read what no node reads: a strict store may refuse that, and what
//! they ask for besides is asked for by the other families.

use crate::backend::suite::SUITE;
use crate::check::Check;
use crate::failure::Failure;
use crate::requirement::place::{
    BUILT, Place, REPLIES, SAVE_VOTE, START_APPLIED, START_LOG, START_MEMBERSHIP,
    START_MEMBERSHIP_IN_LOG, START_VOTE,
};
use crate::spec::{Edition, Level, Need, Past, Spec, limit};

/// Functions that make no call but such as openraft makes, and who relies on what they ask for.
const LEGAL: [(&str, &[Place]); 7] = [
    ("last_membership_in_log_initial", &[START_MEMBERSHIP_IN_LOG]),
    ("get_membership_initial", &[START_MEMBERSHIP]),
    ("get_initial_state_without_init", &[START_LOG, START_VOTE]),
    ("save_vote", &[SAVE_VOTE, START_VOTE]),
    ("snapshot_meta", &[BUILT]),
    ("apply_single", &[START_APPLIED, REPLIES]),
    ("apply_multiple", &[START_APPLIED, REPLIES]),
];

/// A call that openraft never makes.
const GAP: &str = "It appends elsewhere than where the log ends, which openraft never does.";
const UNVOTED: &str =
    "It appends entries of a term in which no vote was saved, which openraft never does.";
const UNORDERED: &str = "It applies an entry that isn't the next, which openraft never does.";
const UNWRITTEN: &str =
    "It reads a log in which nothing was ever written, which openraft never does.";

/// Functions that make one, in the order of the suite.
const ILLEGAL: [(&str, &str); 28] = [
    ("last_membership_in_log", GAP),
    ("last_membership_in_log_multi_step", GAP),
    ("get_membership_from_log_and_empty_sm", GAP),
    ("get_membership_from_empty_log_and_sm", UNORDERED),
    ("get_membership_from_log_le_sm_last_applied", GAP),
    ("get_membership_from_log_gt_sm_last_applied_1", GAP),
    ("get_membership_from_log_gt_sm_last_applied_2", GAP),
    ("get_initial_state_membership_from_log_and_sm", GAP),
    ("get_initial_state_with_state", UNORDERED),
    ("get_initial_state_last_log_gt_sm", UNORDERED),
    ("get_initial_state_last_log_lt_sm", GAP),
    ("get_initial_state_log_ids", UNVOTED),
    ("get_initial_state_re_apply_committed", GAP),
    ("get_log_entries", UNVOTED),
    ("limited_get_log_entries", UNVOTED),
    ("try_get_log_entry", UNVOTED),
    ("initial_logs", UNWRITTEN),
    ("get_log_state", UNVOTED),
    ("get_log_id", UNVOTED),
    ("last_id_in_log", UNVOTED),
    ("last_applied_state", UNORDERED),
    ("purge_logs_upto_0", UNVOTED),
    ("purge_logs_upto_5", UNVOTED),
    ("purge_logs_upto_20", UNVOTED),
    ("delete_logs_since_11", UNVOTED),
    ("delete_logs_since_0", UNVOTED),
    ("append_to_log", UNVOTED),
    ("transfer_snapshot", UNORDERED),
];

pub(crate) fn checks() -> Vec<Check> {
    SUITE.iter().map(|(name, id)| check(name, id)).collect()
}

fn check(name: &'static str, id: &'static str) -> Check {
    Check {
        spec: spec(name, id),
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

fn spec(name: &str, id: &'static str) -> Spec {
    let relies = LEGAL.into_iter().find(|legal| legal.0 == name).map(|legal| legal.1);
    let reason = ILLEGAL.into_iter().find(|illegal| illegal.0 == name).map(|illegal| illegal.1);
    // Those that begin a log in its middle were never more than advice.
    let past = Past { level: Level::Must, until: Edition(1) };
    Spec {
        id,
        level: if relies.is_some() { Level::Must } else { Level::May },
        past: reason.is_some_and(|reason| reason != GAP).then_some(past),
        requirements: &[],
        promise: match relies {
            Some(_) => "The store passes this function of openraft's own suite.",
            None => {
                "The store passes this function of openraft's own suite, which makes a call that openraft never makes: a strict store may refuse it."
            }
        },
        consequence: match relies {
            Some(_) => "openraft's authors hold that no cluster should run on such a store.",
            None => "None by that call; what else it asks for is asked for by the other families.",
        },
        relies: relies.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
        needs: &[Need::Suite],
        limit: limit(&[]),
        since: Edition(1),
    }
}
