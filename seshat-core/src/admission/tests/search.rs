//! All that can happen, in the order of how many steps it takes.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::*;

/// What a search has found.
pub(super) struct Found {
    /// How many states there are.
    pub(super) states: usize,
    /// The first fault, and the shortest way to it.
    pub(super) fault: Option<(Fault, Vec<Action>)>,
}

impl World {
    /// Goes through everything that can come of it, and stops at the first fault.
    pub(super) fn search(self) -> Found {
        let mut seen = HashSet::from([self.key()]);
        // Where each state came from, and by what.
        let mut steps: Vec<(usize, Option<Action>)> = vec![(0, None)];
        let mut next = VecDeque::from([(0, self)]);
        while let Some((from, world)) = next.pop_front() {
            for action in world.actions() {
                match world.after(action) {
                    Ok(after) => {
                        if seen.insert(after.key()) {
                            steps.push((from, Some(action)));
                            next.push_back((steps.len() - 1, after));
                        }
                    }
                    Err(fault) => {
                        let mut path = vec![action];
                        let mut at = from;
                        while let (before, Some(action)) = steps[at] {
                            path.push(action);
                            at = before;
                        }
                        path.reverse();
                        return Found { states: seen.len(), fault: Some((fault, path)) };
                    }
                }
            }
        }
        Found { states: seen.len(), fault: None }
    }

    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for node in &self.nodes {
            (node.life, node.open, node.vote, node.committed, &node.role).hash(&mut hasher);
            node.log.hash(&mut hasher);
            let applicant = &node.applicant;
            (&applicant.heard, applicant.founder, &applicant.heard_by).hash(&mut hasher);
            applicant.ever_heard_by.hash(&mut hasher);
            node.probation.map(|probation| told(probation.leadership)).hash(&mut hasher);
            for (id, answer) in &node.answers {
                let leads = answer.leadership.map(told);
                (id, answer.member, answer.heard, leads, answer.incarnation).hash(&mut hasher);
            }
        }
        (self.budget, &self.acknowledged, &self.led, self.forgot).hash(&mut hasher);
        hasher.finish()
    }
}

fn told(leadership: crate::codec::Leadership) -> (u64, u64, u64) {
    let vote = leadership.vote.leader_id;
    (vote.term, vote.node_id, leadership.committed.index)
}

/// One line a step.
pub(super) fn transcript(path: &[Action]) -> String {
    path.iter().fold(String::new(), |mut text, action| {
        let _ = match action {
            Action::Crash(id) => writeln!(text, "node {id} starts again, with nothing"),
            Action::Restart(id) => writeln!(text, "node {id} starts again, with what it kept"),
            Action::Ask(id, other) => writeln!(text, "node {id} asks node {other}, is answered"),
            Action::Conclude(id) => writeln!(text, "node {id} concludes"),
            Action::Initialize(id) => writeln!(text, "node {id} initializes the cluster"),
            Action::Campaign(id) => writeln!(text, "node {id} campaigns"),
            Action::RequestVote(id, other) => writeln!(text, "node {id} asks {other} for its vote"),
            Action::Win(id) => writeln!(text, "node {id} leads"),
            Action::Replicate(id, other, count) => {
                writeln!(text, "node {id} sends node {other} its log, {count} more")
            }
            Action::Write(id) => writeln!(text, "node {id} is given a write"),
            Action::Change(id, to) => writeln!(text, "node {id} changes the members to {to:?}"),
        };
        text
    })
}
