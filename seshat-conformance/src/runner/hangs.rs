//! Calls that hung, so that a store that hangs is told in seconds, and not once a check.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::outcome::Outcome;

/// So many checks wait for a call as long as any. What they say counts; the others are in a hurry.
const ENOUGH: u32 = 3;

/// How many checks each call hung in.
#[derive(Debug, Default)]
pub(crate) struct Hangs(Mutex<BTreeMap<String, u32>>);

impl Hangs {
    /// Takes note of how a check ended.
    pub(crate) fn note(&self, outcome: &Outcome) {
        let Outcome::Failed(failure) = outcome else { return };
        if let Some(call) = failure.hanging() {
            let mut hangs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *hangs.entry(call.to_owned()).or_default() += 1;
        }
    }

    /// Calls that are known to hang.
    pub(crate) fn known(&self) -> Vec<String> {
        let hangs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hangs.iter().filter(|(_, n)| **n >= ENOUGH).map(|(call, _)| call.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::{Failure, Kind, UNDER_WAY};

    #[test]
    fn a_call_that_hung_often_is_known() {
        let hangs = Hangs::default();
        let late = Outcome::Failed(Failure::late("append", Duration::from_secs(2)));
        hangs.note(&late);
        hangs.note(&Outcome::Failed(Failure::broken("append did not return in time", "", "")));
        hangs.note(&Outcome::Passed { cases: 1 });
        assert!(hangs.known().is_empty());
        let got = format!("still under way: append{UNDER_WAY}append");
        hangs.note(&Outcome::Failed(Failure::new(Kind::Hang, "did not end", "", got)));
        hangs.note(&late);
        assert_eq!(hangs.known(), ["append"]);
    }
}
