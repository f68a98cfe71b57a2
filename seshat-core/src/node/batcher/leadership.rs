//! Whether this node may take proposals: it leads, and a quorum was heard from within an election.
//!
//! A quorum is silent for as long as all of these say at least:
//!
//! - openraft's `millis_since_quorum_ack`: since it sent the last call that a quorum of voters has
//!   answered (`proposer/leader.rs`, `last_quorum_acked_time`). With itself for a quorum, a node has
//!   always just heard. It is `None` until a new leader's first call is answered, and is published
//!   each time openraft's loop turns: with each call's end, each proposal and each tick, so at least
//!   every one and a half heartbeat intervals.
//! - [`Ways::quorum_heard`]: since a quorum last answered anything. openraft doesn't see the answers
//!   that come later than a heartbeat interval, nor those while it sends a snapshot.
//! - how long this node has led, and listened ([`Attention`]).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::NodeConfig;
use crate::error::{NotLeader, ProposeError};
use crate::network::Ways;
use crate::types::{Raft, RaftMetrics};

pub(super) struct Leadership {
    /// Kept, since a new one takes longer than all else here.
    metrics: watch::Receiver<RaftMetrics>,
    ways: Ways,
    heartbeat: Duration,
    /// How long a quorum may be silent: the maximal election timeout.
    patience: Duration,
    attention: Mutex<Attention>,
}

impl Leadership {
    pub(super) fn new(raft: &Raft, ways: Ways, config: &NodeConfig) -> Self {
        Self {
            metrics: raft.metrics(),
            ways,
            heartbeat: config.heartbeat_interval(),
            patience: config.election_timeout_max(),
            attention: Mutex::default(),
        }
    }

    /// Whether this node leads, for all that openraft says.
    pub(super) fn leads(&self) -> Result<(), NotLeader> {
        let now = self.metrics.borrow();
        let leads = now.running_state.is_err() || now.state == ServerState::Leader;
        if leads { Ok(()) } else { Err(NotLeader::of(&now)) }
    }

    /// Why nothing may be proposed here now.
    pub(super) fn refusal(&self) -> Option<ProposeError> {
        let now = self.metrics.borrow();
        if now.running_state.is_err() {
            // openraft says so itself, and why.
            return None;
        }
        if now.state != ServerState::Leader {
            return Some(NotLeader::of(&now).into());
        }
        let acked = now.millis_since_quorum_ack.map(Duration::from_millis);
        if acked.is_some_and(|acked| acked <= self.patience) {
            return None;
        }
        let heard = self.ways.quorum_heard(now.id, now.membership_config.membership());
        let listens_since = self.attention().listens_since;
        let [heard, listens] = [heard, listens_since].map(|at| at.map(|at| at.elapsed()));
        let silent_for = silence(acked, heard, listens);
        (silent_for > self.patience).then_some(ProposeError::QuorumLost { silent_for })
    }

    /// Bytes that an entry should carry at most, as the links to the others are.
    pub(super) fn budget(&self) -> usize {
        let now = self.metrics.borrow();
        self.ways.quorum_budget(now.id, now.membership_config.membership())
    }

    /// Pays attention, for as long as it is polled.
    pub(super) async fn observe(&self, raft: &Raft) {
        let (mut server, mut metrics) = (raft.server_metrics(), raft.metrics());
        loop {
            let leads = server.borrow_and_update().state == ServerState::Leader;
            let turns = metrics.has_changed().unwrap_or(false);
            metrics.mark_unchanged();
            // Twice as long as openraft's loop ever rests.
            let (now, look_again) = (Instant::now(), 3 * self.heartbeat);
            self.attention().look(leads, turns, now, look_again);
            tokio::select! {
                changed = server.changed() => if changed.is_err() {
                    // openraft is gone. Others say so.
                    return std::future::pending().await;
                },
                () = tokio::time::sleep_until(now + look_again) => {}
            }
        }
    }

    // Every change under the lock is a single step.
    fn attention(&self) -> MutexGuard<'_, Attention> {
        self.attention.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when this node leads and would have heard a quorum. Not while it stood still itself, all of it or
/// only openraft's loop: nobody is silent then that wasn't asked.
#[derive(Debug, Default)]
struct Attention {
    listens_since: Option<Instant>,
    look_by: Option<Instant>,
}

impl Attention {
    /// Looks whether the node `leads`, and whether openraft's loop has turned since it was last looked,
    /// and intends to look again within `again`.
    fn look(&mut self, leads: bool, turns: bool, now: Instant, again: Duration) {
        let late = self.look_by.is_some_and(|by| now > by + again);
        let goes_on = self.listens_since.filter(|_| turns && !late);
        self.listens_since = leads.then(|| goes_on.unwrap_or(now));
        self.look_by = Some(now + again);
    }
}

/// How long no quorum has been heard from. What isn't known yet doesn't count; with nothing known,
/// this node leads since just now.
fn silence(
    acked: Option<Duration>,
    heard: Option<Duration>,
    listens: Option<Duration>,
) -> Duration {
    [acked, heard].into_iter().flatten().fold(listens.unwrap_or_default(), Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Duration = Duration::from_millis(300);

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[rstest::rstest]
    #[case::nothing_is_known(None, None, None, 0)]
    #[case::elected_just_now(None, None, Some(1), 1)]
    #[case::elected_and_never_heard(None, None, Some(9000), 9000)]
    #[case::acked(Some(1), Some(9000), Some(9000), 1)]
    #[case::heard_but_not_by_openraft(Some(9000), Some(1), Some(9000), 1)]
    #[case::heard_before_it_led(None, Some(9000), Some(1), 1)]
    #[case::silent(Some(2000), Some(3000), Some(4000), 2000)]
    fn a_quorum_is_silent_as_long_as_all_say(
        #[case] acked: Option<u64>,
        #[case] heard: Option<u64>,
        #[case] listens: Option<u64>,
        #[case] expected: u64,
    ) {
        let [acked, heard, listens] = [acked, heard, listens].map(|known| known.map(millis));
        assert_eq!(silence(acked, heard, listens), millis(expected));
    }

    /// Each look: when, whether it leads, whether the loop turned; since when it listens then.
    #[rstest::rstest]
    #[case::it_leads_from_then_on(&[(0, false, true, None), (300, true, true, Some(300)), (600, true, true, Some(300))])]
    #[case::another_term(&[(0, true, true, Some(0)), (300, false, true, None), (600, true, true, Some(600))])]
    #[case::the_loop_stands_still(&[(0, true, true, Some(0)), (300, true, false, Some(300)), (600, true, true, Some(300))])]
    #[case::all_of_it_does(&[(0, true, true, Some(0)), (601, true, true, Some(601)), (900, true, true, Some(601))])]
    #[case::a_little_late(&[(0, true, true, Some(0)), (600, true, true, Some(0)), (700, true, true, Some(0))])]
    fn who_stands_still_does_not_listen(#[case] looks: &[(u64, bool, bool, Option<u64>)]) {
        let start = Instant::now();
        let mut attention = Attention::default();
        for (at, leads, turns, expected) in looks {
            attention.look(*leads, *turns, start + millis(*at), AGAIN);
            let since = attention.listens_since.map(|since| since - start);
            assert_eq!(since, expected.map(millis), "at {at}");
        }
    }
}
