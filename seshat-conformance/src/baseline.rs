//! The known failures of a back end: each must still fail, or the run fails.

use crate::failure::{Failure, Kind};
use crate::outcome::Outcome;

/// What the outcome of a check becomes in the light of the list.
pub(crate) fn judge(known: &[String], id: &str, outcome: Outcome) -> Outcome {
    match outcome {
        outcome if !known.iter().any(|known| known == id) => outcome,
        Outcome::Failed(failure) if !failure.kind.is_beside_the_store() => {
            Outcome::KnownFailure(failure)
        }
        Outcome::Passed { cases } => Outcome::Failed(Failure::new(
            Kind::Stale,
            "no longer fails: take it off the list of known failures",
            "a failure, as the list says",
            format!("passed, {cases} cases"),
        )),
        other => other,
    }
}

/// What the list names and the registry doesn't have.
pub(crate) fn strangers(known: &[String], ids: &[&str]) -> Vec<String> {
    known.iter().filter(|id| !ids.contains(&id.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(outcome: Outcome) -> Outcome {
        super::judge(&["a/b".to_owned()], "a/b", outcome)
    }

    fn failed(kind: Kind) -> Outcome {
        Outcome::Failed(Failure::new(kind, "what", "expected", "got"))
    }

    #[test]
    fn a_failure_is_known() {
        assert!(matches!(judge(failed(Kind::Hang)), Outcome::KnownFailure(_)));
    }

    #[test]
    fn what_is_not_on_the_list_stays_as_it_is() {
        assert_eq!(super::judge(&[], "a/b", failed(Kind::Hang)), failed(Kind::Hang));
    }

    #[test]
    fn a_pass_is_stale() {
        let Outcome::Failed(failure) = judge(Outcome::Passed { cases: 3 }) else { panic!() };
        assert_eq!(failure.kind, Kind::Stale);
    }

    #[test]
    fn a_hollow_check_is_no_known_failure() {
        assert_eq!(judge(failed(Kind::Hollow)), failed(Kind::Hollow));
    }

    #[test]
    fn what_did_not_run_says_nothing() {
        let skipped = Outcome::Skipped { reason: "r".to_owned() };
        assert_eq!(judge(skipped.clone()), skipped);
    }

    #[test]
    fn strangers_are_told() {
        let known = ["a/b".to_owned(), "a/c".to_owned()];
        assert_eq!(strangers(&known, &["a/b"]), ["a/c"]);
    }
}
