//! [`Named`]: whom a leader has named for its successor, and speaks for until that one leads
//! (`node/handover.rs`).
//!
//! Guarantee: only the leader that this node follows names one, for the term after its own.

use crate::types::{LeaderId, NodeId, Vote};

/// The last successor that this node was told of, and by whom.
#[derive(Debug, Default)]
pub(crate) struct Named(Option<(NodeId, LeaderId)>);

impl Named {
    /// Whether node `by` may speak of `vote`, which is another node's, to this one, whose vote is `now`.
    pub(crate) fn allows(&mut self, by: NodeId, vote: Vote, now: Vote) -> bool {
        let leads = now.committed && now.leader_id.node_id == by;
        let next = now.leader_id.term.checked_add(1) == Some(vote.leader_id.term);
        if leads && next && !vote.committed {
            self.0 = Some((by, vote.leader_id));
        }
        self.0 == Some((by, vote.leader_id))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Node 1 leads in term 5.
    const LED: Vote = Vote { leader_id: LeaderId { term: 5, node_id: 1 }, committed: true };

    #[rstest]
    #[case::the_leader(1, Vote::new(6, 2), LED, true)]
    #[case::a_follower(3, Vote::new(6, 2), LED, false)]
    #[case::another_term(1, Vote::new(7, 2), LED, false)]
    #[case::its_own_term(1, Vote::new(5, 2), LED, false)]
    #[case::one_that_leads(1, Vote::new_committed(6, 2), LED, false)]
    #[case::by_a_candidate(1, Vote::new(6, 2), Vote::new(5, 1), false)]
    #[case::at_the_end_of_time(1, Vote::new(0, 2), Vote::new_committed(u64::MAX, 1), false)]
    fn who_names_whom(
        #[case] by: NodeId,
        #[case] vote: Vote,
        #[case] now: Vote,
        #[case] expected: bool,
    ) {
        assert_eq!(Named::default().allows(by, vote, now), expected);
    }

    #[test]
    fn who_has_named_one_speaks_for_that_one_alone_until_it_leads() {
        let (mut named, successor) = (Named::default(), Vote::new(6, 2));
        assert!(named.allows(1, successor, LED));
        // This node has that vote now.
        assert!(named.allows(1, successor, successor));
        assert!(named.allows(1, Vote::new_committed(6, 2), successor));
        assert!(!named.allows(3, Vote::new_committed(6, 2), successor));
        assert!(!named.allows(1, Vote::new(6, 3), successor));
        assert!(!named.allows(1, Vote::new(7, 2), successor));
    }
}
