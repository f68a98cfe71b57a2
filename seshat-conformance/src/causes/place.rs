//! [`Place`]: where a failure lies, and [`Subject`]: what a check is about. Both in the words of
//! steps and calls.

use std::collections::BTreeSet;

use crate::failure::{Failure, Kind};

/// What of a store a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Vote,
    Log,
    Callback,
    Machine,
    Snapshot,
    Committed,
}

/// Where a failure lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Whose answer was wrong; `None` for calls that ask all of the store, as a start does.
    pub(super) part: Option<Part>,
    /// What was done last before; `None` right after a fresh store was opened.
    pub(super) step: Option<&'static str>,
    /// The kinds of step that led there, each once.
    pub(super) steps: BTreeSet<&'static str>,
    /// A panic says little of where it comes from: the next call may meet it.
    panics: bool,
    /// What a check that is about this place has in its id.
    words: BTreeSet<&'static str>,
}

/// How steps begin.
const STEPS: [&str; 14] = [
    "vote", "append", "truncate", "purge", "commit", "apply", "build", "install", "receive",
    "restart", "cut", "kill", "close", "open",
];

/// A call of a store: how its name begins, what it belongs to, what it is about, and whether it
/// changes something.
struct Call(&'static str, Option<Part>, &'static str, bool);

/// Those whose names begin alike: the longer first.
const CALLS: [Call; 22] = [
    Call("open", None, "restart", true),
    Call("close", None, "restart", true),
    Call("save_vote", Some(Part::Vote), "vote", true),
    Call("read_vote", Some(Part::Vote), "vote", false),
    Call("save_committed", Some(Part::Committed), "committed", true),
    Call("read_committed", Some(Part::Committed), "committed", false),
    // Which of the two it was can't be told: that is for `callback` to try.
    Call("append with its callback", Some(Part::Log), "", true),
    Call("append", Some(Part::Log), "append", true),
    Call("callback", Some(Part::Callback), "callback", false),
    Call("truncate", Some(Part::Log), "truncate", true),
    Call("purge", Some(Part::Log), "purge", true),
    Call("get_log_state", Some(Part::Log), "state", false),
    Call("get_log_reader", Some(Part::Log), "readers", false),
    Call("limited_get_log_entries", Some(Part::Log), RANGE, false),
    Call("apply", Some(Part::Machine), "apply", true),
    Call("applied_state", Some(Part::Machine), "applied", false),
    Call("digest", Some(Part::Machine), "contents", false),
    Call("get_snapshot_builder", Some(Part::Snapshot), "build", true),
    Call("build_snapshot", Some(Part::Snapshot), "build", true),
    Call("get_current_snapshot", Some(Part::Snapshot), "current", false),
    Call("begin_receiving_snapshot", Some(Part::Snapshot), "receive", true),
    Call("install_snapshot", Some(Part::Snapshot), "install", true),
];

/// What reads of a certain range are about; a read of the whole log asks about the step before it.
const RANGE: &str = "range";

impl Place {
    pub(super) fn of(failure: &Failure) -> Self {
        let asked = failure.asked.as_deref().unwrap_or_default();
        let known = |step: &String| {
            let verb = STEPS.into_iter().find(|verb| begins_with(step, verb));
            verb.map(|verb| match verb {
                // By a check that closes and opens by itself.
                "close" | "open" => "restart",
                "kill" => "cut",
                verb => verb,
            })
        };
        let done: Vec<&'static str> = failure.steps.iter().filter_map(known).collect();
        let step = done.last().copied();
        let call = CALLS.iter().find(|Call(name, ..)| asked.starts_with(name));
        let mut words = BTreeSet::new();
        // A call that doesn't even return speaks for itself; an answer speaks of the step before.
        let itself = call.is_some_and(|Call(.., changes)| *changes);
        if failure.kind == Kind::Broken || !itself {
            words.extend(step);
        }
        let read = asked.starts_with("try_get_log_entries");
        words.extend(call.map(|Call(_, _, word, _)| *word));
        if read && asked.contains(['.', '(']) {
            words.insert(RANGE);
        }
        if words.contains(RANGE) {
            words = BTreeSet::from([RANGE]);
        }
        let part = call.and_then(|Call(_, part, ..)| *part).or(read.then_some(Part::Log));
        let part = part.or(asked.contains("snapshot").then_some(Part::Snapshot));
        let mut steps: BTreeSet<&'static str> = done.into_iter().collect();
        // What is cut off from power is started again. What is installed was applied and built, if on
        // another node, and openraft purges what it covers.
        if steps.contains("cut") {
            steps.insert("restart");
        }
        if steps.contains("install") {
            steps.extend(["apply", "build", "purge"]);
        }
        if part == Some(Part::Snapshot) {
            steps.insert("build");
        }
        // openraft applies what is committed when it starts.
        if steps.contains("restart") && steps.contains("commit") {
            steps.insert("apply");
        }
        Self { part, step, steps, words, panics: failure.kind == Kind::Panic }
    }

    /// How much it relies on: the kinds of step of its half of the store. The other half's are there
    /// for the history to be one that openraft makes.
    pub(super) fn size(&self) -> usize {
        const LOG: [&str; 5] = ["vote", "append", "truncate", "purge", "commit"];
        const MACHINE: [&str; 4] = ["apply", "build", "install", "receive"];
        let others: &[&str] = match self.part {
            None => &[],
            Some(Part::Machine | Part::Snapshot) => &LOG,
            Some(Part::Vote | Part::Log | Part::Callback | Part::Committed) => &MACHINE,
        };
        self.steps.iter().filter(|step| !others.contains(step)).count()
    }

    /// Whether a certain range was read: of a log that is right as a whole, one hopes.
    pub(super) fn is_range(&self) -> bool {
        self.words.contains(RANGE)
    }

    /// Whether one is wrong where the other is: the same part, or the two that are made of each
    /// other, after a history that holds the other's last step.
    pub(super) fn lies_behind(&self, other: &Self) -> bool {
        let made_of = |part: Part| match part {
            Part::Snapshot => Part::Machine,
            part => part,
        };
        let parts = self.part.zip(other.part);
        let same = parts.is_none_or(|(one, other)| made_of(one) == made_of(other));
        (same || (self.panics && other.panics))
            && self.step.is_none_or(|step| other.steps.contains(step))
    }
}

fn begins_with(step: &str, verb: &str) -> bool {
    step.strip_prefix(verb)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// What a check is about, by its id.
pub(super) struct About {
    words: BTreeSet<&'static str>,
    parts: BTreeSet<Part>,
    /// Whatever its part answers wrongly is its own: nothing there is told apart by steps.
    whole_part: bool,
}

/// Words of ids: what they mean in those of a [`Place`], and the part that they name.
const WORDS: [(&str, &[&str], Option<Part>); 28] = [
    ("log", &[], Some(Part::Log)),
    ("append", &["append"], Some(Part::Log)),
    ("truncate", &["truncate"], Some(Part::Log)),
    ("purge", &["purge"], Some(Part::Log)),
    ("purged", &["purge"], Some(Part::Log)),
    ("range", &["range"], Some(Part::Log)),
    ("readers", &["readers"], Some(Part::Log)),
    ("state", &["state"], None),
    ("fresh", &["state", "readers", "vote", "committed"], None),
    ("callback", &["callback"], Some(Part::Callback)),
    ("vote", &["vote"], Some(Part::Vote)),
    ("committed", &["committed", "commit"], Some(Part::Committed)),
    ("machine", &["apply", "applied"], Some(Part::Machine)),
    ("apply", &["apply"], Some(Part::Machine)),
    ("applied", &["applied"], Some(Part::Machine)),
    ("contents", &["contents"], Some(Part::Machine)),
    ("replies", &["apply"], Some(Part::Machine)),
    ("membership", &["applied"], Some(Part::Machine)),
    ("snapshot", &[], Some(Part::Snapshot)),
    ("build", &["build"], Some(Part::Snapshot)),
    ("current", &["current"], Some(Part::Snapshot)),
    ("handle", &["current"], Some(Part::Snapshot)),
    ("receive", &["receive"], Some(Part::Snapshot)),
    ("install", &["install"], Some(Part::Snapshot)),
    ("power", &["cut"], None),
    ("reopen", &["restart"], None),
    ("crash", &["cut"], None),
    ("disk", &["restart", "cut"], None),
];

/// Families that try many things at once: what fails there is another's, where another fails.
const OF_EVERYTHING: [&str; 4] = ["suite", "model", "cluster", "concurrency"];

impl About {
    pub(super) fn of(id: &str) -> Self {
        let mut about = Self { words: BTreeSet::new(), parts: BTreeSet::new(), whole_part: false };
        let family = id.split('/').next().unwrap_or_default();
        if OF_EVERYTHING.contains(&family) {
            return about;
        }
        for word in id.split(['/', '-']) {
            let Some((_, words, part)) = WORDS.iter().find(|(known, ..)| *known == word) else {
                continue;
            };
            about.words.extend(*words);
            about.parts.extend(part);
        }
        // A family that is named for a part is about that one alone.
        if let Some((_, _, Some(part))) = WORDS.iter().find(|(known, ..)| *known == family) {
            about.parts = BTreeSet::from([*part]);
            about.whole_part = !matches!(part, Part::Log | Part::Snapshot);
        }
        // A history is about all of its half.
        if id.contains("/images/") || id.contains("/posix/") {
            match about.parts.contains(&Part::Log) {
                true => about.parts.extend([Part::Vote, Part::Committed]),
                false => about.parts.extend([Part::Machine, Part::Snapshot]),
            }
        }
        // Nothing was done yet that would tell one part from another.
        if id.ends_with("/fresh") && about.parts.contains(&Part::Log) {
            about.parts.clear();
        }
        // A snapshot is seen in the state that it makes.
        if about.parts.contains(&Part::Snapshot) {
            about.parts.insert(Part::Machine);
        }
        about
    }

    /// Whether the check is about that place; else it met what another is about.
    pub(super) fn fits(&self, place: &Place) -> bool {
        let own = |part: Part| self.parts.contains(&part);
        if place.part.is_some_and(|part| !self.parts.is_empty() && !own(part)) {
            return false;
        }
        // A restart in between makes another check's of it.
        let again = place.step.filter(|step| ["restart", "cut"].contains(step));
        if again.is_some_and(|step| !self.words.contains(step)) {
            return false;
        }
        !self.words.is_disjoint(&place.words) || (self.whole_part && place.part.is_some_and(own))
    }
}
