//! A node that stops in the middle of a step.

use super::{Model, Step};

impl Model {
    /// The step was under way when the node stopped, as it does when its store answers with an
    /// error: the log may be as before it or after it, and anything on the way. What it did to the
    /// state machine is read off the store.
    pub fn stop(&mut self, step: &Step) {
        let mut done = self.clone();
        let after = match step {
            Step::Append(items) | Step::Begin(items) => self.log.prefixes(items),
            _ if done.perform(step).is_ok() => done.survivors,
            _ => Vec::new(),
        };
        self.survivors.extend(after);
        if let Step::Commit(index) = step {
            self.committed.extend(self.log.get(*index).map(|item| item.id));
        }
    }
}
