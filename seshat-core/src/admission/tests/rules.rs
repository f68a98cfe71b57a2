//! What is heard, what is concluded, and in which order.

use rstest::rstest;

use super::*;
use crate::types::{LeaderId, LogId, Vote};

const OTHERS: [NodeId; 2] = [2, 3];

fn applicant() -> Applicant {
    Applicant::new(OTHERS.into(), false)
}

fn leadership(term: u64, node: NodeId) -> Leadership {
    let committed = LogId::new(LeaderId::new(term, node), 7);
    Leadership { vote: Vote::new_committed(term, node), committed }
}

/// A member that has heard of the asker too late, as its own first process.
const KNOWS: StandingResponse = StandingResponse {
    formed: true,
    member: true,
    confirmed: false,
    heard: false,
    leadership: None,
    incarnation: 1,
    reads: 2,
    writes: 1,
};
const HEARD: StandingResponse = StandingResponse { heard: true, ..KNOWS };

fn leads(leadership: Leadership, answer: StandingResponse) -> StandingResponse {
    StandingResponse { confirmed: true, leadership: Some(leadership), ..answer }
}

fn removed(leadership: Leadership) -> StandingResponse {
    StandingResponse { member: false, ..leads(leadership, KNOWS) }
}

/// An applicant that everybody heard of in the last round already, and that heard of everybody.
fn known() -> Applicant {
    let mut applicant = applicant();
    for id in OTHERS {
        applicant.hear(id, id, false);
    }
    assert_eq!(applicant.conclude(&[(2, HEARD), (3, HEARD)]), Verdict::AskAgain);
    applicant
}

#[test]
fn a_leader_decides_whatever_others_say() {
    let (old, new) = (leadership(4, 2), leadership(5, 3));
    let waits = Verdict::Waits(Probation { leadership: new });
    for other in [KNOWS, HEARD, removed(old), leads(old, HEARD)] {
        assert_eq!(applicant().conclude(&[(2, other), (3, removed(new))]), waits);
        let lost = applicant().conclude(&[(2, other), (3, leads(new, KNOWS))]);
        assert_eq!(lost, Verdict::LostMemory { asked: 3 });
    }
    assert_eq!(applicant().conclude(&[(3, removed(new)), (2, leads(old, KNOWS))]), waits);
}

/// Only a leader's word counts, as everywhere, and the newest leader's.
#[test]
fn a_leader_that_writes_what_the_node_cannot_read_is_told_of() {
    let (old, new) = (leadership(4, 2), leadership(5, 3));
    let writes = |writes, answer| StandingResponse { writes, ..answer };
    let leads = |term| leads(term, KNOWS);
    assert_eq!(newer(&[(2, writes(3, leads(old)))], 2), Some((2, 3)));
    assert_eq!(newer(&[(2, writes(3, removed(old)))], 2), Some((2, 3)));
    assert_eq!(newer(&[(2, writes(2, leads(old)))], 2), None);
    assert_eq!(newer(&[(2, writes(3, HEARD))], 2), None);
    let both = [(2, writes(3, leads(old))), (3, writes(2, leads(new)))];
    assert_eq!(newer(&both, 2), None);
}

/// A founder that was paused until it was removed doesn't form the old cluster again.
#[test]
fn a_leader_comes_before_the_founders() {
    let leadership = leadership(4, 3);
    let answer = StandingResponse { heard: true, ..removed(leadership) };
    let mut paused = known();
    assert_eq!(
        paused.conclude(&[(2, HEARD), (3, answer)]),
        Verdict::Waits(Probation { leadership })
    );
    assert!(!paused.has_heard(2, 2), "it is no founder any more, nor a witness");
}

#[test]
fn everybody_twice_in_a_row_from_one_process() {
    let both = [(2, HEARD), (3, HEARD)];
    assert_eq!(known().conclude(&both), Verdict::Founds);
    let restarted = StandingResponse { incarnation: 2, ..HEARD };
    for between in [[(2, HEARD), (3, KNOWS)], [(2, HEARD), (3, restarted)]] {
        let mut applicant = known();
        assert_eq!(applicant.conclude(&between), Verdict::AskAgain);
        assert_eq!(applicant.conclude(&both), Verdict::AskAgain);
        assert_eq!(applicant.conclude(&both), Verdict::Founds);
    }
    let mut deaf = applicant();
    deaf.hear(2, 2, false);
    for _ in 0..3 {
        assert_eq!(deaf.conclude(&both), Verdict::AskAgain, "3 would not be told the same");
    }
    let mut joins = Applicant::new(OTHERS.into(), true);
    for _ in 0..3 {
        assert_eq!(joins.conclude(&both), Verdict::AskAgain, "it is no founder");
    }
}

/// The leader heard of it once, then of so many who said they were it that it forgot.
#[test]
fn what_a_leader_said_once_stays_true() {
    let leadership = leadership(4, 3);
    let late = Verdict::IsLate(Probation { leadership });
    assert_eq!(applicant().conclude(&[(3, leads(leadership, HEARD))]), late);
    assert_eq!(known().conclude(&[(2, KNOWS), (3, leads(leadership, KNOWS))]), late);
}

#[rstest]
#[case::of_another_version(StandingResponse { leadership: None, ..removed(leadership(4, 3)) })]
#[case::not_confirmed(StandingResponse { confirmed: false, ..removed(leadership(4, 3)) })]
#[case::by_anothers_vote(removed(leadership(4, 2)))]
#[case::as_a_candidate(removed(Leadership { vote: Vote::new(4, 3), ..leadership(4, 3) }))]
#[case::with_nothing_of_its_own(removed(Leadership {
    committed: leadership(3, 3).committed,
    ..leadership(4, 3)
}))]
fn who_does_not_lead_decides_nothing(#[case] answer: StandingResponse) {
    assert_eq!(applicant().conclude(&[(3, answer)]), Verdict::AskAgain);
}

/// At the index of its leader's last entry there is that one or nothing.
#[rstest]
#[case::nothing(None, false)]
#[case::less(Some(6), false)]
#[case::that_entry(Some(7), true)]
#[case::more(Some(8), true)]
fn a_probation_ends_with_the_leaders_last_entry(#[case] last: Option<u64>, #[case] over: bool) {
    let probation = Probation { leadership: leadership(4, 3) };
    assert_eq!(probation.is_over(last), over);
}

/// Neither of an id that the configuration doesn't name, nor of more than a few processes of one
/// that it does; and nobody is displaced while they are few.
#[test]
fn strangers_take_no_memory_and_no_place() {
    let mut applicant = applicant();
    for stranger in 4..100 {
        assert!(!applicant.hear(stranger, 1, false));
        assert!(!applicant.has_heard(stranger, 1));
    }
    assert!(applicant.hear(2, 0, false));
    let woken = (1..100).filter(|incarnation| applicant.hear(2, *incarnation, false)).count();
    assert_eq!(woken, PROCESSES - 1);
    assert_eq!(applicant.heard.len(), 1);
    assert_eq!(applicant.heard[&2].len(), PROCESSES);
    assert!(applicant.has_heard(2, 99) && !applicant.has_heard(2, 0));

    let mut few = Applicant::new(OTHERS.into(), false);
    (0..8).for_each(|incarnation| assert!(few.hear(2, incarnation, false)));
    assert!(few.has_heard(2, 0), "a stranger with its id has displaced nobody");
    assert!(!few.hear(2, 0, false), "which is no news");
    assert!(!few.hear(3, 1, true), "too late");
    assert!(!few.has_heard(3, 1));
}
