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
use crate::runner::Bench;

enum Event {
    Asked(String),
    Answered(io::Result<String>),
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
            drop(answered.send(Event::Answered(child.answer(&bench, &line))));
        }
    });
    for event in events {
        match event {
            Event::Asked(line) => drop(ask.send(line)),
            Event::Answered(answer) => {
                output.write_all(answer?.as_bytes())?;
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

    fn answer(&self, bench: &Bench, line: &str) -> io::Result<String> {
        match Request::read(line)? {
            Request::Trial(dir) => wire::write_answer(&bench.trial(&dir)),
            Request::Gifts(dir) => wire::write_answer(&bench.gifts(&dir)),
            Request::Check(id, dir) => wire::write_answer(&run(bench, &id, &dir)),
            Request::Replay(history, dir) => {
                let steps = Step::parse_numbered(&history).map_err(io::Error::other)?;
                let bench = self.bench(vec![replay::check(steps)]);
                wire::write_answer(&run(&bench, replay::ID, &dir))
            }
        }
    }
}

fn run(bench: &Bench, id: &str, dir: &Path) -> Ended {
    // Without a trace an abort is told without steps, which is better than not at all.
    let trace = std::fs::File::create(Trace::path(dir)).ok();
    let outcome = bench.run(id, dir, Arc::new(Record::traced(trace)));
    Ended { outcome, notes: bench.take_notes() }
}
