//! Readers beside the writer: what they read was written, is in order, and is all that was there
//! the whole time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::join;
use crate::check::{Check, check};
use crate::driver::Driver;
use crate::driver::seen::Entry;
use crate::driver::store::Reader;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Id, Item, Step};
use crate::outcome::Verdict;
use crate::poll::poll_times;
use crate::story;
use crate::subject::Subject;
use crate::words::BoxError;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "concurrency/readers-beside-append", Must, [3, 11, 45, 59], needs: [Log],
            promise: "Readers see whole entries in order while others are appended.",
            consequence: "A leader sends a follower garbage, or panics.",
            relies: [READERS, REPLICATE],
            limit: 20,
            run: beside_append,
        ),
        check!(
            "concurrency/readers-beside-purge", Must, [3, 17, 45, 59], needs: [Log],
            promise: "Readers see whole entries in order while older ones are purged.",
            consequence: "A leader that compacts its log sends a follower garbage, or panics.",
            relies: [READERS, REPLICATE],
            limit: 20,
            run: beside_purge,
        ),
        check!(
            "concurrency/readers-beside-truncate", Must, [3, 15, 45, 59], needs: [Log],
            promise: "Readers see whole entries in order while the end of the log is truncated and written anew.",
            consequence: "A leader that was deposed sends a follower a mixture of two logs.",
            relies: [READERS, REPLICATE],
            limit: 20,
            run: beside_truncate,
        ),
    ]
}

/// What writer and readers know of each other.
struct Shared {
    driver: Arc<dyn Driver>,
    /// Each entry that was ever there, by its id as text: its fingerprint, and the id before it. By
    /// log matching (Raft paper, 5.3) an entry has the same one before it in every log.
    written: Mutex<HashMap<String, Written>>,
    /// Entries below it may be purged: moved before the purge begins.
    low: AtomicU64,
    /// Entries below it are there to stay, until purged: moved after they were appended.
    high: AtomicU64,
    /// The end of what was ever there, where entries are truncated.
    end: AtomicU64,
    /// Whether the writer is done.
    done: AtomicU64,
    /// Where each reader's present read begins; `IDLE` between reads. openraft doesn't purge what
    /// a replication task is reading.
    reading: [AtomicU64; READERS],
}

/// An entry's fingerprint, and the id before it.
type Written = (Vec<u8>, Option<String>);

const READERS: usize = 4;

/// What a reader that reads nothing has for the beginning of its read.
const IDLE: u64 = u64::MAX;

impl Shared {
    fn new(driver: &Arc<dyn Driver>) -> Self {
        Self {
            driver: Arc::clone(driver),
            written: Mutex::default(),
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
            end: AtomicU64::new(0),
            done: AtomicU64::new(0),
            reading: [const { AtomicU64::new(IDLE) }; READERS],
        }
    }

    fn wrote(&self, last: Option<Id>, items: &[Item], entries: &[Entry]) {
        let text = |id: Id| self.driver.id(id).to_string();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = last.map(text);
        for (item, entry) in items.iter().zip(entries) {
            let id = text(item.id);
            let before = before.replace(id.clone());
            written.insert(id, (self.driver.fingerprint(entry), before));
        }
    }

    /// What is wrong with the entries read for a range that began at `from`.
    fn wrong(&self, got: &[Entry], from: u64, high: u64, to: u64) -> Option<Failure> {
        let low = self.low.load(Ordering::SeqCst).max(from);
        let high = high.min(to);
        let indexes: Vec<u64> = got.iter().map(Entry::index).collect();
        let joined = indexes.windows(2).all(|w| matches!(w, [a, b] if *b == a + 1));
        if !joined {
            let what = "a reader beside a writer got entries that are not consecutive";
            return Some(Failure::broken(what, "consecutive indexes", format!("{indexes:?}")));
        }
        let there = |index: u64| indexes.binary_search(&index).is_ok();
        if let Some(missing) = (low..high).find(|index| !there(*index)) {
            let what = format!("a reader beside a writer missed the entry at {missing}");
            let got = format!("{:?} to {:?}", indexes.first(), indexes.last());
            return Some(Failure::broken(what, format!("{low} to {}", high - 1), got));
        }
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut previous: Option<String> = None;
        for entry in got {
            let id = entry.id().to_string();
            let Some((fingerprint, before)) = written.get(&id) else {
                let what = format!("a reader beside a writer got an entry {id} that nobody wrote");
                return Some(Failure::broken(what, "an entry that was appended", "another"));
            };
            if *fingerprint != self.driver.fingerprint(entry) {
                let what =
                    format!("a reader beside a writer got another entry {id} than was written");
                return Some(Failure::broken(what, "what was appended", "something else"));
            }
            if previous.is_some() && previous != *before {
                let what = format!("a reader beside a writer got a mixture of two logs at {id}");
                return Some(Failure::broken(
                    what,
                    format!("{before:?} before it"),
                    format!("{previous:?}"),
                ));
            }
            previous = Some(id);
        }
        None
    }
}

/// Reads until the writer is done. Gives how many reads it made.
async fn read(
    shared: Arc<Shared>,
    mut reader: Box<dyn Reader>,
    place: u64,
) -> Result<u64, Failure> {
    let mut reads = 0;
    let Some(reading) = shared.reading.get(place as usize) else { return Ok(0) };
    loop {
        let done = shared.done.load(Ordering::SeqCst) == 1;
        let high = shared.high.load(Ordering::SeqCst);
        let low = shared.low.load(Ordering::SeqCst);
        if low < high {
            let from = low + (reads * 7 + place * 13) % (high - low);
            // Beyond `high` only where entries come and go: a leader that was deposed has
            // replication tasks that read there for a moment.
            let end = high.max(shared.end.load(Ordering::SeqCst));
            let to = (from + 1 + (reads * 5) % 40).min(end);
            reading.store(from, Ordering::SeqCst);
            // A purge that began before that was seen isn't waited for.
            if shared.low.load(Ordering::SeqCst) <= from {
                let read = reader.read(from..to).await;
                match read {
                    Ok(got) => match shared.wrong(&got, from, high, to) {
                        Some(failure) => return Err(failure),
                        None => reads += 1,
                    },
                    // What isn't there to stay may be gone: that a store says so by an error is
                    // for `log/range` to judge.
                    Err(_) if to > high => {}
                    Err(error) => return Err(Failure::error("a read beside a writer", error)),
                }
            }
            reading.store(IDLE, Ordering::SeqCst);
        }
        if done && reads > 0 {
            return Ok(reads);
        }
        tokio::task::yield_now().await;
    }
}

/// Four readers beside what `write` does.
async fn beside(lab: &Lab, write: impl AsyncFn(&mut Subject<'_>, &Shared) -> Verdict) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    let shared = Arc::new(Shared::new(&lab.driver));
    let mut tasks = Vec::new();
    for place in 0..READERS as u64 {
        let making = subject.log.reader();
        let reader = lab.call("get_log_reader", making).await?;
        tasks.push(tokio::spawn(read(Arc::clone(&shared), reader, place)));
    }
    let outcome = write(&mut subject, &shared).await;
    shared.done.store(1, Ordering::SeqCst);
    for task in tasks {
        let reads = join(lab, "a reader beside a writer", task).await??;
        lab.assert(reads > 0, || Failure::broken("a reader read nothing", "a read", "none"))?;
    }
    outcome?;
    subject.verify_log().await
}

/// Appends; entries of a term that stays are there to stay.
async fn append(
    subject: &mut Subject<'_>,
    shared: &Shared,
    term: u64,
    count: u64,
    stays: bool,
) -> Verdict {
    let next = subject.model.log.next_index();
    let items = story::entries(term, 1, next, next + count);
    let entries = subject.entries(&items)?;
    shared.wrote(subject.model.log.last(), &items, &entries);
    let step = Step::Append(items);
    subject.lab.record.step(step.to_string());
    subject.lab.call("append", subject.log.append(entries)).await?;
    subject.follow(&step)?;
    if stays {
        shared.high.store(next + count, Ordering::SeqCst);
    } else {
        shared.end.fetch_max(next + count, Ordering::SeqCst);
    }
    tokio::task::yield_now().await;
    Ok(())
}

/// A store on which leader 1 wrote what stays and leader 2 what doesn't, and what readers know.
async fn scene(lab: &Lab) -> Result<(Subject<'_>, Shared), Failure> {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    let shared = Shared::new(&lab.driver);
    append(&mut subject, &shared, 1, 20, true).await?;
    subject.perform(story::leader(2, 1)).await?;
    append(&mut subject, &shared, 2, 12, false).await?;
    Ok((subject, shared))
}

/// A read that was polled so many times, then what changes the log, then the rest of the read; and
/// the other way round.
async fn amid(lab: &Lab) -> Verdict {
    for polls in 0..lab.budget.pick(8, 12, 64) {
        let (mut subject, shared) = scene(lab).await?;
        let Some(mut reader) = subject.reader.take() else { return Ok(()) };
        lab.record.step(format!("read 15..32, polled {polls} times"));
        let mut read = reader.read(15..32);
        let early = poll_times(read.as_mut(), polls).await;
        subject.run([Step::Truncate(21), story::leader(3, 1)]).await?;
        append(&mut subject, &shared, 3, 12, false).await?;
        let got = match early {
            Some(got) => got,
            None => lab.answer("a read", read.as_mut()).await?,
        };
        judge(&shared, got)?;

        let (mut subject, shared) = scene(lab).await?;
        let Some(mut reader) = subject.reader.take() else { return Ok(()) };
        lab.record.step(format!("truncate 21, polled {polls} times; read 15..32"));
        let id = lab.driver.id(story::id(2, 1, 21));
        let mut truncate = subject.log.truncate(id);
        let done = poll_times(truncate.as_mut(), polls).await;
        let mut read = reader.read(15..32);
        let early = tokio::time::timeout(Duration::from_millis(50), read.as_mut()).await;
        if done.is_none() {
            lab.call("truncate", truncate.as_mut()).await?;
        }
        let got = match early {
            Ok(got) => got,
            Err(_) => lab.answer("a read", read.as_mut()).await?,
        };
        judge(&shared, got)?;
        lab.record.case();
    }
    Ok(())
}

fn judge(shared: &Shared, got: Result<Vec<Entry>, BoxError>) -> Verdict {
    // What isn't there to stay may be gone, and a store may say so.
    let Ok(got) = got else { return Ok(()) };
    shared.wrong(&got, 15, 20, 32).map_or(Ok(()), Err)
}

async fn beside_append(lab: &Lab) -> Verdict {
    let rounds = lab.budget.pick(150, 600, 20_000);
    beside(lab, async |subject, shared| {
        for round in 0..rounds {
            if subject.lab.enough() {
                break;
            }
            append(subject, shared, 1, 1 + round % 7, true).await?;
        }
        Ok(())
    })
    .await
}

async fn beside_purge(lab: &Lab) -> Verdict {
    let rounds = lab.budget.pick(80, 300, 10_000);
    beside(lab, async |subject, shared| {
        for round in 0..rounds {
            if subject.lab.enough() {
                break;
            }
            append(subject, shared, 1, 2 + round % 9, true).await?;
            if round % 4 == 3 {
                let upto = subject.model.log.next_index() - 5;
                let count = upto as usize + 1 - subject.model.applied;
                subject.run([Step::Commit(upto), Step::Apply(count), Step::Build]).await?;
                shared.low.store(upto + 1, Ordering::SeqCst);
                let reads_it = |from: &AtomicU64| from.load(Ordering::SeqCst) <= upto;
                let deadline = Instant::now() + lab.patience();
                while shared.reading.iter().any(reads_it) && Instant::now() < deadline {
                    tokio::task::yield_now().await;
                }
                subject.perform(Step::Purge(story::id(1, 1, upto))).await?;
            }
        }
        Ok(())
    })
    .await
}

async fn beside_truncate(lab: &Lab) -> Verdict {
    amid(lab).await?;
    let rounds = lab.budget.pick(100, 400, 10_000);
    beside(lab, async |subject, shared| {
        append(subject, shared, 1, 20, true).await?;
        for round in 0..rounds {
            if subject.lab.enough() {
                break;
            }
            let term = 2 + round;
            subject.perform(story::leader(term, 1)).await?;
            append(subject, shared, term, 3 + round % 11, false).await?;
            let last = subject.model.log.next_index();
            let from = 20 + round % (last - 20);
            subject.perform(Step::Truncate(from)).await?;
        }
        Ok(())
    })
    .await
}
