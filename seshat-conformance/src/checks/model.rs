//! Family `model`: random legal histories against the oracle. What fails is shrunk to its
//! shortest history, which `replay` runs again.

pub(crate) mod in_flight;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::check::{Check, check};
use crate::failure::{self, Failure};
use crate::history::{self, Choice, Kind};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::subject::Subject;
use crate::words::Keeps;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "model/log", Must, [1, 4, 6, 8, 9, 11, 15, 17, 40], needs: [Log],
            promise: "Whatever is done to the log and in which order, it shows what was done.",
            consequence: "A node's log is not what it has acknowledged.",
            relies: [APPEND, TRUNCATE, PURGE, SAVE_VOTE],
            limit: 60,
            run: log,
        ),
        check!(
            "model/store", Must, [1, 4, 6, 8, 15, 17, 19, 21, 29, 30, 34], needs: [],
            promise: "Whatever is done to log and state machine and in which order, they show what was done.",
            consequence: "A replica diverges, or stops.",
            relies: [APPEND, TRUNCATE, PURGE, APPLY, INSTALLED, BUILT],
            limit: 60,
            run: store,
        ),
        check!(
            "model/restarts", Must, [25, 26, 37, 51, 56, 62, 63], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Whatever is done, with restarts anywhere, the store shows what was done.",
            consequence: "A node that starts again isn't the one that stopped.",
            relies: [START_VOTE, START_LOG, START_APPLIED, START_REAPPLY, START_LOG_IDS, START_SNAPSHOT],
            limit: 60,
            run: restarts,
        ),
        check!(
            "model/power", Must, [7, 12, 25, 26, 48, 51], needs: [LogSurvivesRestart, MachineSurvivesRestart, CutPower],
            promise: "Whatever is done, with power cuts anywhere, what was acknowledged is there.",
            consequence: "Acknowledged entries or votes are lost: a cluster loses committed data.",
            relies: [START_VOTE, START_LOG, START_APPLIED, APPEND, SAVE_VOTE],
            limit: 60,
            run: power,
        ),
    ]
}

const LOG: &[Kind] = &[
    Kind::Vote,
    Kind::Elect,
    Kind::Append,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Truncate,
    Kind::Commit,
    Kind::PurgeAll,
    Kind::ApplyAll,
    Kind::Purge,
];

const STORE: &[Kind] = &[
    Kind::Append,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Commit,
    Kind::Apply,
    Kind::ApplyAll,
    Kind::Purge,
    Kind::PurgeAll,
    Kind::Build,
    Kind::Install,
    Kind::InstallOwn,
    Kind::InstallOnly,
];

const RESTARTS: &[Kind] = &[
    Kind::Vote,
    Kind::Append,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Truncate,
    Kind::Commit,
    Kind::Apply,
    Kind::ApplyAll,
    Kind::Purge,
    Kind::PurgeAll,
    Kind::Build,
    Kind::Install,
    Kind::InstallOwn,
    Kind::InstallOnly,
    Kind::Restart,
    Kind::Restart,
    Kind::Restart,
    Kind::Restart,
];

const POWER: &[Kind] = &[
    Kind::Vote,
    Kind::Append,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Truncate,
    Kind::Commit,
    Kind::Apply,
    Kind::ApplyAll,
    Kind::Purge,
    Kind::PurgeAll,
    Kind::Build,
    Kind::Install,
    Kind::InstallOwn,
    Kind::InstallOnly,
    Kind::Restart,
    Kind::CutPower,
    Kind::CutPower,
    Kind::CutPower,
    Kind::CutPower,
];

async fn log(lab: &Lab) -> Verdict {
    random(lab, LOG)
}

async fn store(lab: &Lab) -> Verdict {
    random(lab, STORE)
}

async fn restarts(lab: &Lab) -> Verdict {
    random(lab, RESTARTS)
}

async fn power(lab: &Lab) -> Verdict {
    random(lab, POWER)
}

fn choice(kinds: &'static [Kind]) -> impl Strategy<Value = Choice> {
    (proptest::sample::select(kinds), 0_u16..32, 0_u16..8).prop_map(|(kind, much, which)| Choice {
        kind,
        much,
        which,
    })
}

/// Histories of these kinds. The first failure ends it, shrunk.
fn random(lab: &Lab, kinds: &'static [Kind]) -> Verdict {
    let birth = lab.block_on(Birth::of(lab))?;
    let config = Config {
        cases: lab.budget.pick(30, 120, 5_000),
        max_shrink_time: 4_000,
        max_shrink_iters: 600,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    for (place, byte) in seed.iter_mut().zip(lab.seed.to_le_bytes()) {
        *place = byte;
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let length = lab.budget.pick(1..24, 1..40, 1..80_usize);
    let histories = proptest::collection::vec(choice(kinds), length);
    // Shrinking ends at a failure that was seen; the last one seen is not always that one.
    let seen: RefCell<Option<Failure>> = RefCell::new(None);
    let outcome = TestRunner::new_with_rng(config, rng).run(&histories, |choices| {
        if seen.borrow().is_none() && lab.enough() {
            return Ok(());
        }
        let outcome = caught(lab, &choices, &birth);
        if let Err(untold) = outcome.as_ref()
            && untold.kind == failure::Kind::Untold
        {
            lab.inconclusive(untold.what.clone());
            return Ok(());
        }
        outcome.map_err(|failure| {
            let reason = failure.what.clone();
            let mut seen = seen.borrow_mut();
            let shorter = |old: &Failure| failure.steps.len() <= old.steps.len();
            if seen.as_ref().is_none_or(shorter) {
                *seen = Some(failure);
            }
            TestCaseError::fail(reason)
        })
    });
    birth.beside(match (outcome, seen.into_inner()) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(failure)) => Err(failure),
        (Err(error), None) => Err(Failure::error("making random histories", error)),
    })
}

/// What a fresh store shows that is wrong, and what it shows when it is opened again. Taken as read
/// in every history, which otherwise would all end there, and said once.
pub(crate) struct Birth(Vec<Failure>);

impl Birth {
    /// Looks at a fresh store.
    ///
    /// # Errors
    /// It can't be looked at.
    pub(crate) async fn of(lab: &Lab) -> Result<Self, Failure> {
        let mut subject = Subject::fresh(lab).await?;
        let mut flaws = subject.flaws().await?;
        let keeps = lab.driver.capabilities();
        if !flaws.is_empty() && keeps.log_survives_restart && keeps.machine_keeps != Keeps::Nothing
        {
            flaws.extend(subject.perform(Step::Restart).await.err());
        }
        Ok(Self(flaws))
    }

    fn knows(&self, failure: &Failure) -> bool {
        self.0.contains(failure)
    }

    /// A verdict that was found with these flaws taken as read.
    pub(crate) fn beside(&self, verdict: Verdict) -> Verdict {
        let Some(first) = self.0.first() else { return verdict };
        let Err(mut failure) = verdict else {
            let steps = vec!["# a fresh store".to_owned()];
            return Err(Failure { steps, ..first.clone() });
        };
        failure.got.push_str("\nbeside it, and taken as read, of a fresh store: ");
        failure.got.push_str(&first.what);
        Err(failure)
    }
}

/// One history. A panic of the store is a failure like any other, with its steps.
fn caught(lab: &Lab, choices: &[Choice], birth: &Birth) -> Verdict {
    let run = lab.caught(history(lab, choices, birth));
    run.map_err(|failure| match failure.kind {
        failure::Kind::Panic => {
            let steps = lab.record.steps();
            let asked = failure.asked.or_else(|| lab.record.asked());
            Failure { history: Some(steps.join("\n")), steps, asked, ..failure }
        }
        _ => failure,
    })
}

/// One history, looked at after every choice.
async fn history(lab: &Lab, choices: &[Choice], birth: &Birth) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    let outcome = follow(&mut subject, choices, birth).await;
    outcome.map_err(|mut failure| {
        failure.steps = lab.record.steps();
        failure.history = Some(failure.steps.join("\n"));
        failure.asked = failure.asked.or_else(|| lab.record.asked());
        failure
    })
}

async fn follow(subject: &mut Subject<'_>, choices: &[Choice], birth: &Birth) -> Verdict {
    for choice in choices {
        for step in history::steps(&subject.model, *choice) {
            if !performed(subject, step, birth).await? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Performs a step and looks. `false` if a flaw that is known ends the history here: what a
/// restart left undone, the oracle can't follow.
async fn performed(subject: &mut Subject<'_>, step: Step, birth: &Birth) -> Result<bool, Failure> {
    match subject.perform(step).await {
        Err(failure) if birth.knows(&failure) => return Ok(false),
        other => other?,
    }
    subject.verify_beside(&birth.0).await?;
    Ok(true)
}

/// Performs a recorded history, lines numbered, on a fresh store, looking after every step.
///
/// # Errors
/// The store fails it; or the history isn't legal.
pub(crate) async fn replay(lab: &Lab, steps: &[(usize, Step)], birth: &Birth) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for (line, step) in steps {
        // Not known before: what is legal after a restart depends on what the store kept.
        if let Err(error) = subject.model.check(step) {
            let what = format!("line {line}: {step}: {error}");
            return Err(Failure::new(failure::Kind::Kit, what, "", ""));
        }
        if !performed(&mut subject, step.clone(), birth).await? {
            return Ok(());
        }
    }
    Ok(())
}
