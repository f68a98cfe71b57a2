//! Who leads, as a node learns of it: an event and a count for each change.

use openraft::ServerState;
use tokio::sync::watch;

use crate::metrics;
use crate::types::{Node, NodeId, Raft};

type Reports = watch::Receiver<openraft::metrics::RaftServerMetrics<NodeId, Node>>;

/// What is told once. Who has no leader may campaign again and again, and hear of others that do: that is one
/// change.
fn change(
    state: ServerState,
    leader: Option<NodeId>,
    term: u64,
) -> Option<(ServerState, Option<NodeId>, u64)> {
    let leaderless =
        leader.is_none() && matches!(state, ServerState::Follower | ServerState::Candidate);
    (!leaderless).then_some((state, leader, term))
}

/// What was seen last. Made before openraft's clock has run for long, so that nothing is missed but what is over
/// between two looks.
pub(super) struct Leaderships {
    node_id: NodeId,
    reports: Reports,
    /// The last term in which the node stood for an election.
    stood: u64,
    meters: metrics::Leaderships,
}

impl Leaderships {
    pub(super) fn of(node_id: NodeId, raft: &Raft) -> Self {
        let reports = raft.server_metrics();
        // A vote that it stored is of an election that it stood for before.
        let stood = reports.borrow().vote.leader_id.term;
        Self { node_id, reports, stood, meters: metrics::Leaderships::new() }
    }

    /// Until the node stops.
    pub(super) async fn watch(mut self) {
        let (mut before, mut led) = (None, None);
        loop {
            {
                let now = self.reports.borrow_and_update();
                let term = now.vote.leader_id.term;
                let (state, leader) = (now.state, now.current_leader);
                let change = change(state, leader, term);
                if Some(change) != before {
                    let node_id = self.node_id;
                    tracing::info!(node_id, ?state, leader, term, "leadership changed");
                    before = Some(change);
                }
                let leads = leader.map(|leader| (leader, term));
                if leads.is_some() && leads != led {
                    self.meters.change();
                    led = leads;
                }
                if now.vote.leader_id.node_id == self.node_id && term > self.stood {
                    self.meters.stands();
                    self.stood = term;
                }
            }
            if self.reports.changed().await.is_err() {
                return;
            }
        }
    }
}
