//! One line on standard error that says what is under way, on a terminal.

use std::io::{self, IsTerminal, Write};

use crate::runner::Progress as Event;

/// A line longer than that may wrap, and then can't be wiped.
const WIDTH: usize = 78;

pub(super) struct Progress {
    shown: bool,
    running: Vec<&'static str>,
    done: usize,
    of: Option<usize>,
    failed: usize,
}

impl Progress {
    pub(super) fn new(jobs: usize) -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            running: Vec::with_capacity(jobs),
            done: 0,
            of: None,
            failed: 0,
        }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { spec, of } => {
                self.running.push(spec.id);
                self.of = Some(*of);
            }
            Event::Finished { result, done, .. } => {
                self.running.retain(|id| *id != result.spec.id);
                self.done = *done;
                self.failed +=
                    usize::from(matches!(result.outcome, crate::outcome::Outcome::Failed(_)));
            }
        }
        self.draw();
    }

    fn draw(&self) {
        if !self.shown {
            return;
        }
        let of = self.of.unwrap_or_default();
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let line = format!("[{}/{of}{failed}] {}", self.done, self.running.join("  "));
        let line: String = line.chars().take(WIDTH).collect();
        // Nothing is lost with a line that can't be shown.
        drop(write!(io::stderr(), "\r\x1b[2K{line}"));
    }

    /// Makes room for the report.
    pub(super) fn clear(&self) {
        if self.shown {
            drop(write!(io::stderr(), "\r\x1b[2K"));
        }
    }
}
