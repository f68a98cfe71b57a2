//! What changes do to a configuration, as raft-rs has it.
//!
//! A configuration is written `voters/outgoing/learners/learners_next`, with a `*` behind it if it
//! is left by itself; a change as its transition (`a`, `i` or `e`) and a letter and a node each:
//! `v` for a voter, `l` for a learner, `r` for removed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use rstest::rstest;
use seshat_core::legacy::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
};
use seshat_core::legacy::{ChangeError, Configuration};

use super::fixtures::root;

fn ids(text: &str) -> BTreeSet<u64> {
    text.bytes().map(|digit| u64::from(digit - b'0')).collect()
}

fn configuration(text: &str) -> Configuration {
    let (sets, auto_leave) = text.strip_suffix('*').map_or((text, false), |sets| (sets, true));
    let sets: Vec<_> = sets.split('/').map(ids).collect();
    let [voters, voters_outgoing, learners, learners_next] = sets.try_into().expect("four sets");
    Configuration { voters, learners, voters_outgoing, learners_next, auto_leave }
}

fn show(configuration: &Configuration) -> String {
    let Configuration { voters, learners, voters_outgoing, learners_next, .. } = configuration;
    let sets = [voters, voters_outgoing, learners, learners_next].map(|set| {
        set.iter().fold(String::new(), |mut text, id| {
            write!(text, "{id}").unwrap();
            text
        })
    });
    sets.join("/") + if configuration.auto_leave { "*" } else { "" }
}

fn change(text: &str) -> ConfChangeV2 {
    let mut words = text.split(' ');
    let transition = match words.next() {
        Some("a") => ConfChangeTransition::Auto,
        Some("i") => ConfChangeTransition::Implicit,
        _ => ConfChangeTransition::Explicit,
    };
    let changes = words.map(|word| {
        let change_type = match &word[..1] {
            "v" => ConfChangeType::AddNode,
            "l" => ConfChangeType::AddLearnerNode,
            _ => ConfChangeType::RemoveNode,
        };
        ConfChangeSingle { change_type: change_type.into(), node_id: word[1..].parse().unwrap() }
    });
    let changes = changes.collect();
    ConfChangeV2 { transition: transition.into(), changes, context: Default::default() }
}

#[rstest]
#[case::the_first_voter("///", "a v1", "1///")]
#[case::the_first_learner_alone("1///", "a l2", "1//2/")]
#[case::a_voter("123///", "a v4", "1234///")]
#[case::a_voter_that_is_one("123///", "a v3", "123///")]
#[case::a_learner_becomes_a_voter("12//3/", "a v3", "123///")]
#[case::a_voter_becomes_a_learner("123///", "a l3", "12//3/")]
#[case::a_learner_that_is_one("1//2/", "a l2", "1//2/")]
#[case::a_voter_goes("123///", "a r3", "12///")]
#[case::a_learner_goes("1//2/", "a r2", "1///")]
#[case::nobody_goes("123///", "a r9", "123///")]
#[case::refused_by_the_application("123///", "a v0", "123///")]
#[case::several_at_once("123///", "a v4 r1", "234/123//*")]
#[case::joint_though_one_changes("123///", "i v4", "1234/123//*")]
#[case::joint_until_told("123///", "e v4", "1234/123//")]
#[case::joint_with_no_change("123///", "e", "123/123//")]
#[case::an_outgoing_voter_will_be_a_learner("123///", "e l3", "12/123//3")]
#[case::it_goes_after_all("123///", "e l3 r3", "12/123//")]
#[case::it_stays_after_all("123///", "e l3 v3", "123/123//")]
#[case::a_new_learner_needs_no_waiting("123///", "e l4 r1", "23/123/4/")]
#[case::a_learner_is_promoted_and_demoted("1//2/", "e v2 l2", "1/1/2/")]
#[case::leaves("12/123/5/3", "a", "12//35/")]
#[case::leaves_what_would_be_left("234/123//*", "a", "234///")]
fn leads_to(#[case] from: &str, #[case] step: &str, #[case] to: &str) {
    let got = configuration(from).changed_by(&change(step));
    assert_eq!(got.as_ref().map(show), Ok(to.to_owned()));
}

#[rstest]
#[case::joint_twice("12/123//", "e v4", ChangeError::AlreadyJoint)]
#[case::one_while_joint("12/123//", "a v4", ChangeError::AlreadyJoint)]
#[case::leaves_nothing("123///", "a", ChangeError::NotJoint)]
#[case::nobody_is_left("1///", "a r1", ChangeError::NoVoters)]
#[case::nobody_is_left_to_come("12///", "e r1 r2", ChangeError::NoVoters)]
#[case::joint_out_of_nothing("///", "e v1", ChangeError::NoVoters)]
#[case::learners_alone("///", "a l1", ChangeError::NoVoters)]
fn is_refused(#[case] from: &str, #[case] step: &str, #[case] error: ChangeError) {
    assert_eq!(configuration(from).changed_by(&change(step)), Err(error));
}

/// Hundreds that were made up at random, and what raft-rs itself did with them.
#[test]
fn leads_to_what_raft_rs_says() {
    let recorded = fs::read_to_string(root().join("changes.txt")).unwrap();
    let mut wrong = Vec::new();
    for line in recorded.lines() {
        let [from, step, to] = line.split(" | ").collect::<Vec<_>>().try_into().expect("three");
        let got = configuration(from).changed_by(&change(step));
        let got = got.as_ref().map_or("refused".to_owned(), show);
        if got != to {
            wrong.push(format!("{line}, not {got}"));
        }
    }
    assert!(recorded.lines().count() > 600);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn numbers_that_mean_nothing_are_refused() {
    let from = configuration("1///");
    let transition = ConfChangeV2 { transition: 3, ..change("a v2") };
    assert_eq!(from.changed_by(&transition), Err(ChangeError::Transition { got: 3 }));
    let mut kind = change("a v2");
    kind.changes[0].change_type = -1;
    assert_eq!(from.changed_by(&kind), Err(ChangeError::Type { got: -1 }));
}

#[rstest]
#[case::node_0(&[0], &[], &[], &[], false, "voters name node 0, expected ids of at least 1")]
#[case::twice(&[1], &[2, 2], &[], &[], false, "learners name node 2 twice")]
#[case::voter_and_learner(&[1], &[1], &[], &[], false, "node 1 is in learners and in voters, expected in one of them")]
#[case::outgoing_and_learner(&[1], &[2], &[2], &[], false, "node 2 is in learners and in voters_outgoing, expected in one of them")]
#[case::next_and_voter(&[1], &[], &[1], &[1], false, "node 1 is in learners_next and in voters, expected in one of them")]
#[case::next_of_nothing(&[1], &[], &[], &[2], false, "node 2 is in learners_next, expected in voters_outgoing too")]
#[case::nobody_to_come(&[], &[], &[1, 2], &[], false, "2 voters_outgoing and no voters, expected at least 1")]
#[case::nothing_to_leave(&[1], &[], &[], &[], true, "auto_leave without voters_outgoing")]
fn is_not_restored(
    #[case] voters: &[u64],
    #[case] learners: &[u64],
    #[case] outgoing: &[u64],
    #[case] next: &[u64],
    #[case] auto_leave: bool,
    #[case] error: &str,
) {
    let state = ConfState {
        voters: voters.to_vec(),
        learners: learners.to_vec(),
        voters_outgoing: outgoing.to_vec(),
        learners_next: next.to_vec(),
        auto_leave,
    };
    assert_eq!(Configuration::try_from(&state).unwrap_err().to_string(), error);
}
