//! [`Process`]: a child under way, its answers, and what else it said.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{iter, thread};

use super::Echo;
use super::halt::{Halt, kill};
use super::wire::{BEAT, MARK};

/// How often a silent child is asked whether it lives: one that forked may be gone while its
/// output stays open.
const PULSE: Duration = Duration::from_millis(100);
/// What a child may take to leave by itself, once it has nothing more to do.
const LEAVE: Duration = Duration::from_secs(1);
/// Lines of a child's own output that are kept for the report of its end.
const LAST_WORDS: usize = 8;

type Words = Arc<Mutex<VecDeque<String>>>;

pub(super) struct Process {
    child: Arc<Mutex<Child>>,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    words: Words,
}

/// What came of waiting for an answer.
pub(super) enum Heard {
    Answer(String),
    Ended(Option<ExitStatus>),
    Nothing,
}

impl Process {
    pub(super) fn start(
        program: &Path,
        arguments: &[&str],
        halt: &Halt,
        echo: Option<Echo>,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        apart(&mut command);
        let mut child = command.spawn()?;
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        halt.mind(&child);
        let (words, (tell, answers)) = (Words::default(), mpsc::channel());
        let keep = Keep { words: Arc::clone(&words), echo };
        let other = keep.clone();
        if let Some(output) = output {
            thread::spawn(move || {
                each_line(output, |line| match line.strip_prefix(MARK) {
                    // Nobody listens any more once the child is given up.
                    Some(answer) => drop(tell.send(answer.to_owned())),
                    None => keep.line(line),
                });
            });
        }
        if let Some(errors) = errors {
            thread::spawn(move || each_line(errors, |line| other.line(line)));
        }
        Ok(Self { child, input, answers, words })
    }

    /// Gives the child something to do.
    pub(super) fn tell(&mut self, line: &str) -> io::Result<()> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{line}")?;
        input.flush()
    }

    /// Waits for its answer, its end, or until it has been silent for so long.
    pub(super) fn hear(&mut self, silence: Duration) -> Heard {
        let mut heard = Instant::now();
        while heard.elapsed() < silence {
            match self.answers.recv_timeout(PULSE) {
                Ok(beat) if beat == BEAT => heard = Instant::now(),
                Ok(answer) => return Heard::Answer(answer),
                Err(RecvTimeoutError::Timeout) if self.ended().is_none() => {}
                Err(_) => {
                    self.kill();
                    // It may have answered in its last moment.
                    let said = iter::from_fn(|| self.answers.recv_timeout(PULSE).ok());
                    let answer = said.into_iter().find(|said| said != BEAT);
                    return answer.map_or_else(|| Heard::Ended(self.ended()), Heard::Answer);
                }
            }
        }
        Heard::Nothing
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// Ends it and waits until it is gone. Harmless if it is.
    pub(super) fn kill(&self) {
        kill(&self.child);
        drop(self.child.lock().unwrap_or_else(PoisonError::into_inner).wait());
    }

    /// The last lines that it wrote of its own since it was told something.
    pub(super) fn last_words(&self) -> Vec<String> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Process {
    /// Lets it leave by itself, so that what runs at the end of a process runs.
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = Instant::now() + LEAVE;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }
}

/// Ctrl-C is the parent's to answer, who ends its children.
fn apart(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(command, 0x0000_0200);
    #[cfg(not(any(unix, windows)))]
    let _ = command;
}

#[derive(Clone)]
struct Keep {
    words: Words,
    echo: Option<Echo>,
}

impl Keep {
    fn line(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if let Some(echo) = &self.echo {
            echo(line);
        }
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.push_back(line.to_owned());
        if words.len() > LAST_WORDS {
            words.pop_front();
        }
    }
}

fn each_line(source: impl Read, mut take: impl FnMut(&str)) {
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    while source.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        line.clear();
    }
}
