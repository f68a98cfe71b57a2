//! Each rule by name, and that what is honest passes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::EffectiveMembership;
use rstest::rstest;

use super::answer::{Acknowledged, Asker, Sent};
use super::*;
use crate::types::{
    AppendEntriesResponse, LeaderId, Membership, Node, SnapshotResponse, StoredMembership,
    VoteResponse,
};

const ME: NodeId = 1;

/// Of node 2.
fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 2), index)
}

fn leads(term: u64) -> Vote {
    Vote::new_committed(term, 2)
}

fn membership(configs: usize) -> Membership {
    let nodes = BTreeMap::from([(1, Node::default()), (2, Node::default())]);
    Membership::new(vec![[1, 2].into(); configs], nodes)
}

fn blank(log_id: LogId) -> Entry {
    Entry { log_id, payload: EntryPayload::Blank }
}

/// Of the leader of term 5.
fn request(
    prev: Option<LogId>,
    ids: &[LogId],
    leader_commit: Option<LogId>,
) -> AppendEntriesRequest {
    let entries = ids.iter().copied().map(blank).collect();
    AppendEntriesRequest { vote: leads(5), prev_log_id: prev, entries, leader_commit }
}

#[rstest]
#[case::nothing(request(None, &[], None))]
#[case::first(request(None, &[id(0, 0), id(5, 1)], Some(id(0, 0))))]
#[case::more(request(Some(id(3, 7)), &[id(3, 8), id(4, 9), id(5, 10)], Some(id(3, 8))))]
#[case::committed_before(request(Some(id(3, 7)), &[id(4, 8)], Some(id(2, 3))))]
#[case::committed_beyond(request(Some(id(3, 7)), &[id(4, 8)], Some(id(5, 300))))]
#[case::heartbeat(request(Some(id(3, 7)), &[], Some(id(3, 7))))]
fn an_honest_leader_passes(#[case] request: AppendEntriesRequest) {
    assert_eq!(append(ME, &request), Ok(()));
}

#[rstest]
#[case::candidate(
    AppendEntriesRequest { vote: Vote::new(5, 2), ..request(None, &[], None) },
    "T5-N2:uncommitted is not another leader's"
)]
#[case::own(
    AppendEntriesRequest { vote: Vote::new_committed(5, 1), ..request(None, &[], None) },
    "T5-N1:committed is not another leader's"
)]
#[case::own_with_entries(
    AppendEntriesRequest { vote: Vote::new_committed(5, 1), ..request(None, &[id(4, 0)], None) },
    "T5-N1:committed is not another leader's"
)]
#[case::own_that_asks_and_leads(
    AppendEntriesRequest { vote: Vote::new_committed(5, 1), ..request(Some(id(5, NOWHERE)), &[], None) },
    "T5-N1:committed is not another leader's"
)]
#[case::candidate_that_commits(
    AppendEntriesRequest {
        vote: Vote::new(5, 2), ..request(Some(id(5, NOWHERE)), &[], Some(id(3, 3)))
    },
    "T5-N2:uncommitted is not another leader's"
)]
#[case::gap(request(Some(id(3, 7)), &[id(3, 9)], None), "T3-N2-9 does not follow: expected index 8")]
#[case::back(request(None, &[id(5, 0), id(5, 0)], None), "T5-N2-0 does not follow: expected index 1")]
#[case::not_from_the_start(request(None, &[id(5, 1)], None), "expected index 0")]
#[case::descends(request(Some(id(4, 7)), &[id(3, 8)], None), "T3-N2-8 has an older leader than T4-N2-7")]
#[case::descends_within(
    request(None, &[id(4, 0), id(3, 1)], None), "T3-N2-1 has an older leader than T4-N2-0"
)]
#[case::newer(request(None, &[id(6, 0)], None), "T6-N2-0 is newer than the vote")]
#[case::newer_prev(request(Some(id(6, 3)), &[], None), "T6-N2-3 is newer than the vote")]
#[case::newer_commit(request(None, &[], Some(id(6, 3))), "T6-N2-3 is newer than the vote")]
#[case::far(request(Some(id(5, MAX_INDEX + 1)), &[], None), "no log gets beyond index")]
#[case::far_commit(request(Some(id(5, 3)), &[], Some(id(5, u64::MAX - 1))), "no log gets beyond index")]
#[case::commits_another(
    request(Some(id(3, 7)), &[id(4, 8)], Some(id(3, 8))), "T3-N2-8 is said to be committed, where the log has T4-N2-8"
)]
#[case::commits_another_prev(request(Some(id(3, 7)), &[], Some(id(2, 7))), "where the log has T3-N2-7")]
#[case::commits_an_older_one_beyond(
    request(Some(id(3, 7)), &[], Some(id(2, 9))), "where the log has T3-N2-7"
)]
#[case::commits_a_newer_one_before(
    request(Some(id(3, 7)), &[], Some(id(4, 5))), "where the log has T3-N2-7"
)]
fn no_leader_says(#[case] request: AppendEntriesRequest, #[case] words: &str) {
    let reason = append(ME, &request).unwrap_err().to_string();
    assert!(reason.contains(words), "{reason:?} lacks {words:?}");
}

#[rstest]
#[case(0)]
#[case(3)]
fn a_membership_that_is_none(#[case] configs: usize) {
    let payload = EntryPayload::Membership(membership(configs));
    let mut request = request(None, &[id(5, 0)], None);
    request.entries[0].payload = payload;
    assert_eq!(append(ME, &request), Err(Implausible::Configs { at: id(5, 0), configs }));
}

/// As `node/handover.rs` does.
#[rstest]
#[case::of_another(Vote::new(5, 2))]
#[case::of_its_own(Vote::new(5, 1))]
fn a_vote_may_be_asked_for_by_a_conflict(#[case] vote: Vote) {
    let nowhere = Some(LogId::new(vote.leader_id, NOWHERE));
    let request = AppendEntriesRequest { vote, ..request(nowhere, &[], None) };
    assert_eq!(append(ME, &request), Ok(()));
}

#[rstest]
#[case::candidate(Vote::new(5, 2), Some(id(4, 9)), None)]
#[case::elected_by_others(Vote::new_committed(5, 1), None, None)]
#[case::own(Vote::new(5, 1), None, Some("none to ask node 1 for"))]
#[case::elected(Vote::new_committed(5, 2), None, Some("none to ask node 1 for"))]
#[case::newer(Vote::new(5, 2), Some(id(6, 9)), Some("newer than the vote"))]
fn requests_for_a_vote(
    #[case] asked: Vote,
    #[case] last: Option<LogId>,
    #[case] refused: Option<&str>,
) {
    let end = vote(ME, &VoteRequest::new(asked, last)).map_err(|reason| reason.to_string());
    match refused {
        None => assert_eq!(end, Ok(())),
        Some(words) => assert!(end.as_ref().is_err_and(|end| end.contains(words)), "{end:?}"),
    }
}

/// Whatever term passes, one more does as soon as an election can have been held.
#[test]
fn no_term_is_the_last() {
    for millis in [0, 1, 1_800_000_000_000, 1 << 60] {
        let now = Terms::at(Duration::from_millis(millis));
        let soon = Terms::at(Duration::from_millis(millis + 1));
        let vote = |term| Vote::new(term, 2);
        assert_eq!(now.judge(vote(1 << 40)), Ok(()), "long-lived clusters pass");
        let highest = LEEWAY + millis;
        assert_eq!(now.judge(vote(highest)), Ok(()));
        let reason = Implausible::Term { got: highest + 1, max: highest };
        assert_eq!(now.judge(vote(highest + 1)), Err(reason));
        assert_eq!(soon.judge(vote(highest + 1)), Ok(()));
    }
    assert!(Terms::at(Duration::MAX).judge(Vote::new(u64::MAX - 1, 2)).is_err());
}

fn meta(last: Option<LogId>, at: Option<LogId>, configs: usize) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: last,
        last_membership: StoredMembership::new(at, membership(configs)),
        snapshot_id: "some".to_owned(),
    }
}

#[rstest]
#[case::honest(meta(Some(id(5, 9)), Some(id(3, 4)), 1), None)]
#[case::no_membership(meta(Some(id(5, 9)), None, 0), None)]
#[case::newer(meta(Some(id(6, 9)), Some(id(3, 4)), 1), Some("newer than the vote"))]
#[case::far(meta(Some(id(5, MAX_INDEX + 1)), Some(id(3, 4)), 1), Some("no log gets beyond"))]
#[case::membership_beyond(
    meta(Some(id(5, 9)), Some(id(5, 10)), 1),
    Some("can't hold the membership")
)]
#[case::membership_newer(
    meta(Some(id(4, 9)), Some(id(5, 3)), 1),
    Some("can't hold the membership")
)]
#[case::membership_of_none(meta(Some(id(5, 9)), None, 1), Some("can't hold the membership"))]
#[case::three_configs(meta(Some(id(5, 9)), Some(id(3, 4)), 3), Some("can't hold the membership"))]
fn snapshots(#[case] meta: SnapshotMeta, #[case] refused: Option<&str>) {
    let end = snapshot(ME, leads(5), &meta).map_err(|reason| reason.to_string());
    match refused {
        None => assert_eq!(end, Ok(())),
        Some(words) => assert!(end.as_ref().is_err_and(|end| end.contains(words)), "{end:?}"),
    }
}

/// A node that follows the leader of term 5, with entries 0 to 3 of term 1, 4 to 6 of term 2, 7 of term
/// 4; up to 5 is committed. Memberships are 0 and `effective`.
fn told(membership_at: u64, effective: u64) -> Told {
    let membership = EffectiveMembership::new(Some(known(membership_at)), membership(1));
    let mut told = Told::default();
    let first = Facts {
        vote: leads(4),
        committed: None,
        membership: Arc::new(EffectiveMembership::default()),
        effective: None,
        last: None,
    };
    told.learn(first);
    let ids: Vec<LogId> = (0..8).map(known).collect();
    let mut told = told.taken(&request(None, &ids, Some(known(5))));
    told.learn(Facts {
        vote: leads(5),
        committed: Some(known(5)),
        membership: Arc::new(membership),
        effective: Some(known(effective)),
        last: Some(known(7)),
    });
    told
}

/// Entry `index` of it.
fn known(index: u64) -> LogId {
    let term = match index {
        0..4 => 1,
        4..7 => 2,
        _ => 4,
    };
    id(term, index)
}

#[rstest]
#[case::goes_on(Some(known(7)), &[id(5, 8)], None)]
#[case::again(Some(known(4)), &[known(5), known(6)], None)]
#[case::replaces_what_is_not_committed(Some(known(5)), &[id(3, 6), id(5, 7)], None)]
#[case::unknown_to_it(Some(id(5, 9)), &[id(5, 10)], None)]
#[case::deep(None, &[known(0), known(1)], None)]
#[case::another_there(Some(known(4)), &[id(3, 5)], Some(id(3, 5)))]
#[case::another_prev(Some(id(3, 5)), &[id(5, 6)], Some(id(3, 5)))]
#[case::newer_before(Some(id(3, 2)), &[], Some(id(3, 2)))]
#[case::older_behind(Some(id(1, 5)), &[id(1, 6)], Some(id(1, 5)))]
fn what_is_committed_stays(
    #[case] prev: Option<LogId>,
    #[case] ids: &[LogId],
    #[case] refused: Option<LogId>,
) {
    let end = told(0, 0).judge(&mut request(prev, ids, None));
    let contradicts = |got| Err(Implausible::Contradicts { got, expected: known(5) });
    let expected = refused.map_or(Ok(()), contradicts);
    assert_eq!(end, expected);
}

/// openraft takes the last membership but one for committed, and never undoes it.
#[test]
fn a_membership_that_another_follows_stays() {
    let mut other = request(Some(known(5)), &[id(3, 6)], None);
    let refused = Implausible::Contradicts { got: id(3, 6), expected: known(6) };
    assert_eq!(told(6, 7).judge(&mut other), Err(refused));
    assert_eq!(told(0, 7).judge(&mut other), Ok(()));
}

#[rstest]
#[case::of_an_entry_sent(Some(known(7)), &[id(5, 8), id(5, 9)], id(5, 8), Ok(Some(id(5, 8))))]
#[case::no_further_than_it_reaches(Some(known(7)), &[id(5, 8)], id(5, 99), Ok(Some(id(5, 8))))]
#[case::of_one_before(Some(known(7)), &[], known(6), Ok(Some(known(6))))]
#[case::no_news(Some(known(7)), &[], known(3), Ok(None))]
#[case::wrong_where_it_is_no_news(Some(known(7)), &[], id(3, 4), Ok(None))]
#[case::of_one_that_is_not_there(
    Some(known(7)), &[], id(3, 6), Err(Implausible::Committed { got: id(3, 6), expected: known(6) })
)]
fn what_is_committed_is_what_the_log_has(
    #[case] prev: Option<LogId>,
    #[case] ids: &[LogId],
    #[case] got: LogId,
    #[case] expected: Result<Option<LogId>, Implausible>,
) {
    let mut request = request(prev, ids, Some(got));
    let end = told(0, 0).judge(&mut request).map(|()| request.leader_commit);
    assert_eq!(end, expected);
}

/// Without a question to openraft.
#[test]
fn what_is_said_as_usual_is_kept_up_with() {
    let mut told = told(0, 0);
    for index in 8..100 {
        let mut next = request(told_last(&told), &[id(5, index)], Some(id(5, 300)));
        told.judge(&mut next).unwrap();
        told = told.taken(&next);
        assert!(told.follows(leads(5)));
        assert_eq!(told.committed(), Some((leads(5), Some(id(5, index)))));
    }
    assert!(!told.clone().deposed().follows(leads(5)));
    assert!(told.clone().conflicted(Some(id(5, 200))).follows(leads(5)), "beyond the end");
    assert!(!told.conflicted(Some(id(5, 50))).follows(leads(5)), "the log may be shorter");
}

fn told_last(told: &Told) -> Option<LogId> {
    let (_, committed) = told.committed().unwrap();
    committed.map(|committed| if committed.index < 7 { known(7) } else { committed })
}

#[rstest]
#[case::honest(Some(id(5, 9)), Ok(None))]
#[case::of_what_is_there(Some(known(7)), Ok(None))]
#[case::old(Some(known(4)), Ok(None))]
#[case::lower_and_newer(Some(id(5, 3)), Err(()))]
#[case::higher_and_older(Some(id(1, 9)), Err(()))]
#[case::another(Some(id(3, 7)), Ok(Some(7)))]
#[case::older_than_what_it_covers(Some(id(3, 9)), Ok(Some(7)))]
fn a_snapshot_contradicts(#[case] last: Option<LogId>, #[case] expected: Result<Option<u64>, ()>) {
    let end = told(0, 0).judge_snapshot(&meta(last, Some(known(0)), 1)).map_err(|_| ());
    assert_eq!(end, expected);
}

#[test]
fn a_snapshot_with_another_membership_of_the_same_entry() {
    let meta = meta(Some(known(6)), Some(known(0)), 2);
    let reason = Implausible::OtherMembership { at: known(0) };
    assert_eq!(told(0, 7).judge_snapshot(&meta), Err(reason));
    assert_eq!(told(0, 0).judge_snapshot(&meta), Ok(None), "it replaces all of them");
}

fn asker() -> Asker {
    Asker { me: ME, terms: Terms::at(Duration::ZERO) }
}

/// As the leader of term 5, to a node that acknowledged entry 8.
#[rstest]
#[case::success(AppendEntriesResponse::Success, true)]
#[case::some(
    AppendEntriesResponse::PartialSuccess(Some(LogId::new(LeaderId::new(5, 1), 10))),
    true
)]
#[case::all(AppendEntriesResponse::PartialSuccess(Some(LogId::new(LeaderId::new(5, 1), 11))), true)]
#[case::none_of_them(
    AppendEntriesResponse::PartialSuccess(Some(LogId::new(LeaderId::new(5, 1), 9))),
    false
)]
#[case::nothing(AppendEntriesResponse::PartialSuccess(None), false)]
#[case::too_many(
    AppendEntriesResponse::PartialSuccess(Some(LogId::new(LeaderId::new(5, 1), 12))),
    false
)]
#[case::others(
    AppendEntriesResponse::PartialSuccess(Some(LogId::new(LeaderId::new(4, 1), 10))),
    false
)]
#[case::higher(AppendEntriesResponse::HigherVote(Vote::new(6, 2)), true)]
#[case::not_higher(AppendEntriesResponse::HigherVote(Vote::new(4, 2)), false)]
#[case::own(AppendEntriesResponse::HigherVote(Vote::new_committed(6, 1)), false)]
#[case::implausible(AppendEntriesResponse::HigherVote(Vote::new(u64::MAX - 1, 2)), false)]
#[case::conflict(AppendEntriesResponse::Conflict, true)]
fn answers_to_entries(#[case] answer: AppendEntriesResponse, #[case] passes: bool) {
    let own = |index| LogId::new(LeaderId::new(5, 1), index);
    let vote = Vote::new_committed(5, 1);
    let mut acknowledged = Acknowledged::default();
    acknowledged.note(vote, Some(own(8)));
    let request = AppendEntriesRequest { vote, ..request(Some(own(9)), &[own(10), own(11)], None) };
    let end = acknowledged.judge(asker(), &Sent::of(&request), &answer);
    assert_eq!(end.is_ok(), passes, "{end:?}");
}

/// Or openraft would begin its search before what it takes for known.
#[rstest]
#[case::before_anything(None, None, false)]
#[case::acknowledged(Some(8), Some(8), false)]
#[case::acknowledged_and_more(Some(8), Some(3), false)]
#[case::not_yet(Some(8), Some(9), true)]
#[case::by_another_leader(None, Some(3), true)]
fn conflicts(#[case] acknowledged: Option<u64>, #[case] prev: Option<u64>, #[case] passes: bool) {
    let own = |index| LogId::new(LeaderId::new(5, 1), index);
    let vote = Vote::new_committed(5, 1);
    let mut before = Acknowledged::default();
    before.note(Vote::new_committed(4, 1), Some(own(8)));
    if let Some(index) = acknowledged {
        before.note(vote, Some(own(index)));
    }
    let request = AppendEntriesRequest { vote, ..request(prev.map(own), &[], None) };
    let end = before.judge(asker(), &Sent::of(&request), &AppendEntriesResponse::Conflict);
    assert_eq!(end.is_ok(), passes, "{end:?}");
}

#[rstest]
#[case::granted(Vote::new(5, 1), true)]
#[case::has_another(Vote::new_committed(5, 2), true)]
#[case::is_behind(Vote::new(3, 1), true)]
#[case::own(Vote::new(6, 1), false)]
#[case::implausible(Vote::new(u64::MAX - 1, 2), false)]
fn answers_to_a_candidate(#[case] got: Vote, #[case] passes: bool) {
    let asked = VoteRequest::new(Vote::new(5, 1), None);
    let answer = VoteResponse::new(got, None, got == asked.vote);
    assert_eq!(asker().vote(&asked, &answer).is_ok(), passes);
    let newer = VoteResponse::new(got, Some(id(9, 3)), false);
    assert!(asker().vote(&asked, &newer).is_err(), "an entry that is newer than the vote");
}

#[rstest]
#[case::taken(Vote::new_committed(5, 1), true)]
#[case::has_it_already(Vote::new_committed(4, 2), true)]
#[case::deposed(Vote::new_committed(6, 2), true)]
#[case::own(Vote::new_committed(6, 1), false)]
#[case::implausible(Vote::new(u64::MAX - 1, 2), false)]
fn answers_to_a_snapshot(#[case] got: Vote, #[case] passes: bool) {
    let end = asker().snapshot(Vote::new_committed(5, 1), &SnapshotResponse::new(got));
    assert_eq!(end.is_ok(), passes);
}
