//! The child: runs the checks that its parent names, one after the other, and answers each with
//! its outcome. It ends when its input does.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use super::wire::{self, Ended, Orders, Request, Trace};
use crate::check::Check;
use crate::driver::Driver;
use crate::lab::Record;
use crate::model::Step;
use crate::options::Options;
use crate::registry::registry;
use crate::replay;
use crate::runner::{Asked, Bench};

enum Event {
    Asked(String),
    Answered(io::Result<String>),
    /// The check is under way, and not to be given up.
    Lives,
    InputEnded,
}

/// Serves a parent until its end. What runs then is left behind: the caller ends the process.
///
/// # Errors
/// The parent can't be understood, or no longer be reached.
pub(crate) fn serve(
    driver: Arc<dyn Driver>,
    orders: &str,
    input: impl BufRead + Send + 'static,
    output: &mut impl Write,
) -> io::Result<()> {
    let child = Child { driver, options: Orders::read(orders)? };
    let (tell, events) = mpsc::channel();
    let (ask, asked) = mpsc::channel::<String>();
    let answered = tell.clone();
    // Both threads find their channel closed only when the process is about to end.
    thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            drop(tell.send(Event::Asked(line)));
        }
        drop(tell.send(Event::InputEnded));
    });
    thread::spawn(move || {
        let bench = child.bench(registry());
        for line in asked {
            let beat = || drop(answered.send(Event::Lives));
            drop(answered.send(Event::Answered(child.answer(&bench, &line, &beat))));
        }
    });
    for event in events {
        match event {
            Event::Asked(line) => drop(ask.send(line)),
            Event::Answered(answer) => {
                output.write_all(answer?.as_bytes())?;
                output.flush()?;
            }
            Event::Lives => {
                output.write_all(wire::write_beat().as_bytes())?;
                output.flush()?;
            }
            Event::InputEnded => break,
        }
    }
    Ok(())
}

struct Child {
    driver: Arc<dyn Driver>,
    options: Options,
}

impl Child {
    fn bench(&self, checks: Vec<Check>) -> Bench {
        Bench::new(Arc::clone(&self.driver), Arc::new(checks), self.options.clone())
    }

    fn answer(&self, bench: &Bench, line: &str, beat: &dyn Fn()) -> io::Result<String> {
        match Request::read(line)? {
            Request::Trial(dir) => wire::write_answer(&bench.trial(&dir)),
            Request::Gifts(dir) => wire::write_answer(&bench.gifts(&dir)),
            Request::Check(id, dir, hanging) => {
                wire::write_answer(&run(bench, &Asked::new(&id, hanging), &dir, beat))
            }
            Request::Replay(history, dir) => {
                let steps = Step::parse_numbered(&history).map_err(io::Error::other)?;
                let bench = self.bench(vec![replay::check(steps)]);
                let asked = Asked::new(replay::ID, Vec::new());
                wire::write_answer(&run(&bench, &asked, &dir, beat))
            }
        }
    }
}

fn run(bench: &Bench, asked: &Asked<'_>, dir: &Path, beat: &dyn Fn()) -> Ended {
    // Without a trace an abort is told without steps, which is better than not at all.
    let trace = std::fs::File::create(Trace::path(dir)).ok();
    let outcome = bench.run(asked, dir, Arc::new(Record::traced(trace)), beat);
    Ended { outcome, notes: bench.take_notes() }
}
