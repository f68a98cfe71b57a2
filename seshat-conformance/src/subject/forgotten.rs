//! Stores that hold nothing at all when they are opened again: most often one in memory whose author
//! has not said so.

use super::Subject;
use crate::failure::{Failure, Kind};
use crate::model::LogModel;
use crate::words::Halves;

const HINT: &str = "nothing at all outlived the restart: a store that is to forget says so in \
                    `Backend::capabilities` (`log_survives_restart`, `machine_keeps`); one in \
                    memory keeps what is to last in a map by directory";

impl Subject<'_> {
    /// A failure after a restart, and what may be the cause of it.
    pub(super) async fn hinted(&mut self, mut failure: Failure) -> Failure {
        // What is asked from here on is no part of the failure.
        failure.asked = failure.asked.or_else(|| self.lab.record.asked());
        // After an error, a panic or a hang it is better not to ask again.
        if failure.kind == Kind::Broken && self.owes_something() && self.is_empty().await {
            failure.got.push('\n');
            failure.got.push_str(HINT);
        }
        failure
    }

    fn owes_something(&self) -> bool {
        let capabilities = self.lab.driver.capabilities();
        match capabilities.halves {
            Halves::Machine => {
                *self.model.applied_after_restart(capabilities.machine_keeps).start() > 0
            }
            Halves::Both | Halves::Log => self.model.log != LogModel::default(),
        }
    }

    /// Whether the halves under test look as if they were fresh.
    async fn is_empty(&mut self) -> bool {
        let lab = self.lab;
        let halves = lab.driver.capabilities().halves;
        let log = async {
            let state = lab.call("get_log_state", self.log.state()).await?;
            let vote = lab.call("read_vote", self.log.vote()).await?;
            let fresh = state.purged.is_none() && state.last.is_none();
            Ok::<_, Failure>(fresh && vote.is_none())
        };
        let machine = async {
            let state = lab.call("applied_state", self.machine.applied()).await?;
            Ok::<_, Failure>(state.0.is_none())
        };
        let log = halves == Halves::Machine || log.await.unwrap_or(false);
        log && (halves == Halves::Log || machine.await.unwrap_or(false))
    }
}
