//! The oracle's own tests: its rules as a table, its language both ways, and that histories made
//! by choice are legal.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::history::{self, Choice, Kind};
use crate::story;

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    const KINDS: [Kind; 19] = [
        Kind::Vote,
        Kind::Elect,
        Kind::Append,
        Kind::Begin,
        Kind::Flush,
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
    ];
    let choice = (proptest::sample::select(&KINDS[..]), 0_u16..64, 0_u16..8)
        .prop_map(|(kind, much, which)| Choice { kind, much, which });
    proptest::collection::vec(choice, 1..60)
}

/// Every rule of a log that must hold after any history.
fn assert_sound(model: &Model) {
    let log = &model.log;
    let mut expected = log.first_index();
    for item in &log.items {
        assert_eq!(item.id.index, expected, "no hole");
        expected += 1;
    }
    assert_eq!(log.next_index(), expected);
    assert!(log.purged <= log.last());
    assert!(log.purged.is_none_or(|id| count_of(id) <= model.applied), "purged after applied");
    assert!(model.applied <= model.truth.len());
    for (index, item) in model.truth.iter().enumerate() {
        assert_eq!(item.id.index, index as u64, "the truth has no hole");
    }
    let terms: Vec<_> = log.items.iter().map(|item| (item.id.term, item.id.node)).collect();
    assert!(terms.is_sorted(), "leaders never go back");
}

#[test]
fn a_history_is_read_as_it_is_printed() {
    let printed = "  shortest     vote t1.n2 committed\n\n               # a note\n               \
                   append t0.n0.i0 members 1,2,3 all 1,2,3\n  steps        build\n";
    let steps = Step::parse_numbered(printed).unwrap();
    let read: Vec<_> = steps.iter().map(|(line, step)| format!("{line} {step}")).collect();
    assert_eq!(
        read,
        ["1 vote t1.n2 committed", "4 append t0.n0.i0 members 1,2,3 all 1,2,3", "5 build"]
    );
    let wrong = Step::parse_history("build\nshortest\n").unwrap_err();
    assert_eq!((wrong.line, &*wrong.text), (2, "shortest"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the choices, each step is legal when its turn comes, and prints and parses.
    #[test]
    fn histories_by_choice_are_legal(choices in choices()) {
        let mut model = Model::new();
        for choice in choices {
            for step in history::steps(&model, choice) {
                prop_assert_eq!(Step::parse(&step.to_string()), Some(step.clone()));
                prop_assert_eq!(model.perform(&step), Ok(()), "{}", step);
                assert_sound(&model);
            }
        }
    }

    /// No line makes the parser panic.
    #[test]
    fn any_text_parses_or_does_not(text in ".{0,80}") {
        let _ = Step::parse_history(&text);
    }
}

/// After leaders of terms 1, 2 and 4 have written twelve entries, of which six are applied and in
/// a snapshot, and four purged.
fn used() -> Model {
    let mut model = Model::new();
    let mut steps = story::applied_of(12, 6);
    steps.extend([Step::Build, Step::Purge(story::id_of(12, 3))]);
    for step in steps {
        model.perform(&step).unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    model
}

#[rstest]
#[case::vote_back("vote t3.n1")]
#[case::vote_uncommitted("vote t4.n3")]
#[case::append_gap("append t4.n3.i13 blank")]
#[case::append_again("append t4.n3.i11 blank")]
#[case::append_older_leader("append t2.n1.i12 blank")]
#[case::append_without_vote("append t9.n1.i12 blank")]
#[case::append_hole("append t4.n3.i12 blank | t4.n3.i14 blank")]
#[case::begin_gap("begin t4.n3.i13 blank")]
#[case::flush_nothing("flush")]
#[case::truncate_committed("truncate 5")]
#[case::truncate_purged("truncate 2")]
#[case::truncate_absent("truncate 12")]
#[case::purge_not_applied("purge t2.n1.i7")]
#[case::purge_other_term("purge t3.n1.i5")]
#[case::commit_absent("commit 12")]
#[case::commit_back("commit 3")]
#[case::apply_not_committed("apply 1")]
#[case::apply_nothing("apply 0")]
#[case::install_behind("install ")]
#[case::install_gap("install t9.n1.i8 blank")]
#[case::install_over_conflict("install t9.n1.i6 blank | t9.n1.i7 blank")]
fn what_openraft_never_does_is_refused(#[case] line: &str) {
    let step = Step::parse(line).unwrap_or_else(|| panic!("{line} is no step"));
    let mut model = used();
    let before = model.clone();
    assert!(model.perform(&step).is_err(), "{line} was taken");
    assert_eq!(model, before, "a refused step changes nothing");
}

#[rstest]
#[case("vote t4.n3 committed")]
#[case("vote t5.n1")]
#[case("append t4.n3.i12 blank | t4.n3.i13 c7.large:99")]
#[case("begin t4.n3.i12 blank | t4.n3.i13 c7")]
#[case("truncate 6")]
#[case("purge t2.n1.i5")]
#[case("purge t1.n2.i3")]
#[case("commit 11")]
#[case("build")]
#[case(
    "install t9.n1.i6 blank | t9.n1.i7 c1.refused | t9.n1.i8 c1 | t9.n1.i9 c2 | t9.n1.i10 c3 | t9.n1.i11 c4 | t9.n1.i12 members 1;1,2 all 1,2,9"
)]
#[case("restart")]
#[case("cut power")]
fn what_openraft_does_is_taken(#[case] line: &str) {
    let step = Step::parse(line).unwrap_or_else(|| panic!("{line} is no step"));
    assert_eq!(step.to_string(), line);
    let mut model = used();
    assert_eq!(model.perform(&step), Ok(()), "{line}");
}

#[rstest]
#[case("vote t4", 1)]
#[case("# a comment\n\nbuild\nbuild now", 4)]
#[case("append t1.n1.i0", 1)]
#[case("apply -1", 1)]
#[case("cut", 1)]
#[case("build\nflush now", 2)]
fn what_is_no_step_is_named_with_its_line(#[case] text: &str, #[case] line: usize) {
    let error = Step::parse_history(text).expect_err("no history");
    assert_eq!(error.line, line);
    assert!(error.to_string().contains("is no step"), "{error}");
}

/// A power cut may take back what was not acknowledged, and nothing else.
#[test]
fn survivors_are_the_logs_since_the_last_acknowledged_write() {
    let mut model = used();
    let count = |model: &Model| model.survivors.len();
    model.perform(&Step::Vote(Ballot { term: 5, node: 1, committed: true })).expect("legal");
    assert_eq!(count(&model), 1);
    model.perform(&Step::Truncate(10)).expect("legal");
    model.perform(&Step::Truncate(8)).expect("legal");
    let lasts: Vec<_> = model.survivors.iter().map(|log| log.last().map(|id| id.index)).collect();
    assert_eq!(lasts, [11, 10, 9, 9, 8, 7, 7].map(Some), "each entry by itself, from the end");
    model.perform(&Step::Append(story::entries(5, 1, 8, 9))).expect("legal");
    assert_eq!(count(&model), 1);
}

/// Of what is in flight a power cut leaves any part from the front, until a write behind it is
/// acknowledged.
#[test]
fn what_was_begun_may_survive_in_part_until_it_is_flushed() {
    let lasts = |model: &Model| -> Vec<u64> {
        model.survivors.iter().filter_map(|log| log.last()).map(|id| id.index).collect()
    };
    let leader = Step::Vote(Ballot { term: 5, node: 1, committed: true });
    let begun = || {
        let mut model = used();
        for step in [
            leader.clone(),
            Step::Begin(story::entries(5, 1, 12, 14)),
            Step::Begin(story::entries(5, 1, 14, 15)),
        ] {
            model.perform(&step).expect("legal");
        }
        model
    };
    assert_eq!(lasts(&begun()), [11, 12, 13, 14]);
    let vote = Step::Vote(Ballot { term: 6, node: 2, committed: true });
    let append = Step::Append(story::entries(5, 1, 15, 16));
    for (acknowledged, last) in [(Step::Flush, 14), (vote, 14), (append, 15)] {
        let mut model = begun();
        model.perform(&acknowledged).expect("legal");
        assert_eq!(lasts(&model), [last], "{acknowledged}");
    }
}

#[rstest]
#[case::commit("commit 6")]
#[case::install("install t5.n1.i6 c5006")]
#[case::restart("restart")]
fn what_is_in_flight_is_flushed_first(#[case] line: &str) {
    let step = Step::parse(line).unwrap_or_else(|| panic!("{line} is no step"));
    let mut model = used();
    let leader = Step::Vote(Ballot { term: 5, node: 1, committed: true });
    let begin = Step::Begin(story::entries(5, 1, 12, 14));
    for step in [Step::Truncate(6), leader, Step::Begin(story::entries(5, 1, 6, 12)), begin] {
        model.perform(&step).expect("legal");
    }
    assert!(model.perform(&step).is_err(), "{line} was taken amid a flight");
    model.perform(&Step::Flush).expect("legal");
    assert_eq!(model.perform(&step), Ok(()), "{line}");
}

#[test]
fn a_log_holds_another_if_it_lacks_nothing_that_was_shown() {
    let items = story::entries(1, 1, 0, 6);
    let log = |from: usize, to: usize| LogModel {
        vote: Some(Ballot { term: 1, node: 1, committed: true }),
        purged: from.checked_sub(1).map(|last| items[last].id),
        items: items[from..to].to_vec(),
    };
    // A truncation and a purge that are undone, and a purge that went on.
    for (other, shown) in [((0, 6), (0, 4)), ((0, 6), (3, 6)), ((3, 6), (0, 6)), ((6, 6), (0, 6))] {
        assert!(log(other.0, other.1).holds(&log(shown.0, shown.1)), "{other:?} {shown:?}");
    }
    for (other, shown) in [((0, 5), (0, 6)), ((0, 2), (3, 6)), ((0, 0), (0, 1))] {
        assert!(!log(other.0, other.1).holds(&log(shown.0, shown.1)), "{other:?} {shown:?}");
    }
    assert!(!LogModel { vote: None, ..log(0, 6) }.holds(&log(0, 6)), "without the vote");
    let mut overwritten = log(0, 6);
    overwritten.items[5] = story::entry(2, 2, 5);
    assert!(!overwritten.holds(&log(0, 6)), "another entry in the place of one that was shown");
}

/// Where a log may end after a step that was under way.
#[rstest]
#[case(Step::Append(story::entries(4, 3, 6, 9)), &[6, 7, 8, 9])]
#[case(Step::Truncate(4), &[4, 5, 6])]
#[case(story::leader(7, 2), &[6])]
#[case(Step::Apply(1), &[6])]
fn of_a_step_that_was_stopped_anything_may_be_there(#[case] step: Step, #[case] ends: &[u64]) {
    let mut model = Model::new();
    for step in story::applied_of(6, 2).into_iter().chain([Step::Commit(3)]) {
        model.perform(&step).unwrap();
    }
    let before = model.clone();
    model.stop(&step);
    let mut found: Vec<u64> = model.survivors.iter().map(LogModel::next_index).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ends);
    let votes: BTreeSet<_> = model.survivors.iter().map(|log| log.vote).collect();
    assert_eq!(votes.len() > 1, matches!(step, Step::Vote(_)), "the old one and the new one");
    assert_eq!(
        (model.log, model.applied),
        (before.log, before.applied),
        "nothing is taken for done"
    );
}

#[test]
fn a_commit_that_was_stopped_may_be_read_back() {
    let mut model = Model::new();
    for step in story::applied_of(6, 2) {
        model.perform(&step).unwrap();
    }
    model.stop(&Step::Commit(4));
    assert_eq!(model.committed, [story::id_of(6, 1), story::id_of(6, 4)]);
}
