//! What the store shows, against what the oracle says it must.

use std::time::{Duration, Instant};

use super::{Fields, Origin, Subject, log_id};
use crate::driver::seen::{Entry, LogId, LogState, Membership};
use crate::driver::store::Reader;
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{Id, Item, LogModel, Payload};

/// What is looked at by itself, in this order.
#[derive(Debug, Clone, Copy)]
enum Part {
    Log,
    Vote,
    Committed,
    Applied,
    CurrentSnapshot,
}

impl Part {
    const ALL: [Self; 5] =
        [Self::Log, Self::Vote, Self::Committed, Self::Applied, Self::CurrentSnapshot];
}

impl Subject<'_> {
    /// All that is wrong with what the store shows, a failure for each part; none of them knows
    /// of the others.
    ///
    /// # Errors
    /// A call hung, so that it is better not to ask again.
    pub(crate) async fn flaws(&mut self) -> Result<Vec<Failure>, Failure> {
        let mut flaws = Vec::new();
        for part in Part::ALL {
            match self.verify_part(part).await {
                Err(failure) if matches!(failure.kind, Kind::Broken | Kind::Error) => {
                    flaws.push(failure);
                }
                other => other?,
            }
        }
        Ok(flaws)
    }

    /// Everything the store shows, but for answers that are known to be wrong.
    pub(crate) async fn verify_beside(&mut self, known: &[Failure]) -> Result<(), Failure> {
        for part in Part::ALL {
            match self.verify_part(part).await {
                Err(failure) if known.contains(&failure) => {}
                other => other?,
            }
        }
        Ok(())
    }

    async fn verify_part(&mut self, part: Part) -> Result<(), Failure> {
        match part {
            Part::Log => self.verify_log().await,
            Part::Vote => self.verify_vote().await,
            Part::Committed => self.verify_saved().await.map(drop),
            Part::Applied => self.verify_applied().await,
            Part::CurrentSnapshot => self.verify_current_snapshot().await,
        }
    }

    /// Everything the store shows.
    pub(crate) async fn verify(&mut self) -> Result<(), Failure> {
        self.verify_beside(&[]).await
    }

    /// Everything that the log store shows. For promises of which the state machine has no part.
    pub(crate) async fn verify_log_half(&mut self) -> Result<(), Failure> {
        self.verify_log().await?;
        self.verify_vote().await?;
        self.verify_saved().await.map(drop)
    }

    /// Everything that the state machine shows. Likewise for promises without a log.
    pub(crate) async fn verify_machine_half(&mut self) -> Result<(), Failure> {
        self.verify_applied().await?;
        self.verify_current_snapshot().await
    }

    /// First and last, and every entry: by the store, by the old reader and by a new one.
    pub(crate) async fn verify_log(&mut self) -> Result<(), Failure> {
        let model = self.model.log.clone();
        self.verify_log_state(&model).await?;
        self.verify_entries(&model).await
    }

    pub(crate) async fn verify_log_state(&mut self, model: &LogModel) -> Result<(), Failure> {
        let state = self.lab.call("get_log_state", self.log.state()).await?;
        self.lab.assert(self.lab.is_state_of(&state, model), || {
            let expected = state_of(self.lab, model);
            Failure::broken("get_log_state is wrong", show(&expected), show(&state))
        })
    }

    async fn verify_entries(&mut self, model: &LogModel) -> Result<(), Failure> {
        let lab = self.lab;
        // What openraft itself reads: other ranges have a check of their own, so that a store
        // which fails on those doesn't fail everywhere.
        let (Some(first), Some(last)) = (model.items.first(), model.items.last()) else {
            return self.verify_nothing_else(model).await;
        };
        let all = first.id.index..last.id.index + 1;
        let expected = lab.expected(&model.items)?;
        let read = self.log.read(all.clone());
        let by_store = lab.call("try_get_log_entries", read).await?;
        lab.are("reading the whole log by the store", &by_store, &expected)?;

        let read = self.reader.read(all.clone());
        let by_old = lab.call("try_get_log_entries by an old reader", read).await?;
        lab.are("reading the whole log by a reader made at opening", &by_old, &expected)?;

        let making = self.log.reader();
        let mut reader = lab.call("get_log_reader", making).await?;
        let read = reader.read(all);
        let by_new = lab.call("try_get_log_entries by a new reader", read).await?;
        lab.are("reading the whole log by a reader made just now", &by_new, &expected)?;
        self.verify_nothing_else(model).await
    }

    /// No entry that was truncated is readable. What was purged may be, for a moment: see
    /// [`Self::verify_purged`].
    async fn verify_nothing_else(&mut self, model: &LogModel) -> Result<(), Failure> {
        let next = model.next_index();
        self.verify_gone(next..next.saturating_add(64)).await
    }

    /// No entry that was purged is readable. A store may purge behind the caller's back: openraft's
    /// own suite gives it a second.
    pub(crate) async fn verify_purged(&mut self) -> Result<(), Failure> {
        let first = self.model.log.first_index();
        let range = first.saturating_sub(64)..first;
        let deadline = Instant::now() + Duration::from_millis(1_500);
        loop {
            match self.verify_gone(range.clone()).await {
                Err(_) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Nothing in the range is readable, by the old reader and by a new one. That a store answers
    /// such a read with an error or a panic is for `log/range` to say.
    async fn verify_gone(&mut self, range: std::ops::Range<u64>) -> Result<(), Failure> {
        if range.is_empty() {
            return Ok(());
        }
        let lab = self.lab;
        let making = self.log.reader();
        let new = lab.call("get_log_reader", making).await?;
        let (_, left) = self.read_gone(new, range.clone()).await;
        lab.none_left(&left, &range)?;
        if let Some(old) = self.reader.take() {
            let (old, left) = self.read_gone(old, range.clone()).await;
            let making = self.log.reader();
            self.reader.put(match old {
                Some(old) => old,
                None => lab.call("get_log_reader", making).await?,
            });
            lab.none_left(&left, &range)?;
        }
        Ok(())
    }

    /// Gives the reader back, if it lived through it, and what it read.
    async fn read_gone(
        &self,
        mut reader: Box<dyn Reader>,
        range: std::ops::Range<u64>,
    ) -> (Option<Box<dyn Reader>>, Vec<Entry>) {
        let read = tokio::spawn(async move {
            let read = reader.read(range).await;
            (reader, read)
        });
        match tokio::time::timeout(self.lab.patience(), read).await {
            Ok(Ok((reader, read))) => (Some(reader), read.unwrap_or_default()),
            _ => {
                self.lab.record.forgive_panics();
                (None, Vec::new())
            }
        }
    }

    pub(crate) async fn verify_vote(&mut self) -> Result<(), Failure> {
        let vote = self.lab.call("read_vote", self.log.vote()).await?;
        let expected = self.model.log.vote.map(|b| self.lab.driver.vote(Some(b)));
        // A fresh store may show nothing or openraft's default.
        let fresh = expected.is_none() && vote == Some(self.lab.driver.vote(None));
        self.lab.assert(fresh || vote == expected, || {
            Failure::broken("read_vote is wrong", format!("{expected:?}"), format!("{vote:?}"))
        })
    }

    /// A committed id that was saved, or none: what openraft can start on. Gives it.
    pub(crate) async fn verify_saved(&mut self) -> Result<Option<LogId>, Failure> {
        let got = self.lab.call("read_committed", self.log.committed()).await?;
        let saved = self.model.committed.iter().rev().map(|id| log_id(self.lab, Some(*id)));
        let allowed: Vec<_> = saved.chain([None]).collect();
        self.lab.assert(allowed.contains(&got), || {
            let what = "read_committed gives an id that was never saved";
            Failure::broken(what, format!("{:?}, or None", allowed.first()), format!("{got:?}"))
        })?;
        Ok(got)
    }

    /// The last one saved, or nothing at all ever: it is optional.
    pub(crate) async fn verify_committed(&mut self) -> Result<(), Failure> {
        let got = self.lab.call("read_committed", self.log.committed()).await?;
        let expected = log_id(self.lab, self.model.committed.last().copied());
        if expected.is_some() && self.committed_kept.is_none() {
            self.note_committed(got.is_some());
        }
        let expected = if self.committed_kept == Some(false) { None } else { expected };
        self.lab.assert(got == expected, || {
            let what = "read_committed is neither the last id saved nor always None";
            Failure::broken(what, format!("{expected:?}"), format!("{got:?}"))
        })
    }

    /// Whether the store keeps the committed id, as far as is known.
    pub(crate) fn committed_kept(&self) -> Option<bool> {
        self.committed_kept
    }

    /// What is known from now on, until something is saved again.
    pub(crate) fn note_committed(&mut self, kept: bool) {
        self.committed_kept = (!self.model.committed.is_empty()).then_some(kept);
    }

    /// Last applied, membership, and what the state machine holds.
    pub(crate) async fn verify_applied(&mut self) -> Result<(), Failure> {
        let state = self.lab.call("applied_state", self.machine.applied()).await?;
        let expected = log_id(self.lab, self.model.applied_id());
        let members = self.verify_membership(&state.1, self.model.applied);
        if state.0 != expected {
            let right = match members {
                Ok(()) => state.1.clone(),
                Err(_) => self.lab.driver.membership(self.model.membership_at(self.model.applied)),
            };
            let fields = Fields::default().and("last_applied", &state.0, &expected);
            let fields = fields.and("last_membership", &state.1, &right);
            return self.lab.fields("applied_state is not that of what was applied", fields);
        }
        members?;
        self.verify_contents(self.model.applied).await
    }

    /// The membership that was applied last, or one that is still in the log behind it (R20).
    pub(crate) fn verify_membership(
        &self,
        got: &Membership,
        applied: usize,
    ) -> Result<(), Failure> {
        let expected = self.lab.driver.membership(self.model.membership_at(applied));
        let ahead = self.model.log.items.iter().filter(|item| item.id.index >= applied as u64);
        let mut ahead = ahead.filter_map(|item| match &item.payload {
            Payload::Members(m) => Some(self.lab.driver.membership(Some((item.id, m)))),
            _ => None,
        });
        self.lab.assert(*got == expected || ahead.any(|stored| stored == *got), || {
            let what = "applied_state gives another membership";
            Failure::broken(what, format!("{expected:?}"), format!("{got:?}"))
        })
    }

    /// What the state machine holds, by digest, where the author gives one.
    pub(crate) async fn verify_contents(&mut self, applied: usize) -> Result<(), Failure> {
        let digesting = self.machine.digest();
        let Some(got) = self.lab.call("digest", digesting).await? else { return Ok(()) };
        let Some(expected) = self.expected_contents(applied).await? else { return Ok(()) };
        self.lab.assert(got == expected, || {
            let what = format!("the state is not that of the first {applied} entries");
            Failure::broken(what, text(&expected), text(&got))
        })
    }

    /// What the state must be after the first `applied` entries: as the author says, else as
    /// another state machine has it that applied them one by one.
    pub(crate) async fn expected_contents(
        &mut self,
        applied: usize,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let commands = self.model.commands_at(applied);
        if let Some(expected) = self.lab.driver.expected_digest(&commands) {
            return Ok(Some(expected));
        }
        let truth: Vec<Item> = self.model.truth.iter().take(applied).cloned().collect();
        let mut twin = match self.twin.take() {
            Some(twin) if twin.precedes(&truth) => twin,
            _ => Origin::new(self.lab).await?,
        };
        twin.apply(&truth).await?;
        let digest = twin.digest().await?;
        self.twin = Some(twin);
        Ok(digest)
    }

    /// The one that was built or installed last.
    pub(crate) async fn verify_current_snapshot(&mut self) -> Result<(), Failure> {
        let current = self.machine.current();
        let current = self.lab.call("get_current_snapshot", current).await?;
        let got = current.map(|snapshot| snapshot.meta);
        let expected = match &self.meta {
            Some(meta) => Some(meta.clone()),
            None if self.model.snapshot.is_none() => None,
            None => return Ok(()),
        };
        let what = "get_current_snapshot gives another than was built or installed last";
        match (&got, &expected) {
            (Some(got), Some(expected)) => self.lab.fields(what, Fields::of_meta(got, expected)),
            _ => self.lab.equal(what, &got, &expected),
        }
    }
}

/// What `get_log_state` must give.
fn state_of(lab: &Lab, model: &LogModel) -> LogState {
    LogState { purged: log_id(lab, model.purged), last: log_id(lab, model.last()) }
}

impl Lab {
    /// Whether that is what `get_log_state` may give. A log that has nothing but its marker may
    /// also say that it has no last entry here: the check `log/state/all-purged` is about that,
    /// and it would hide all else.
    pub(crate) fn is_state_of(&self, state: &LogState, model: &LogModel) -> bool {
        let expected = state_of(self, model);
        let silent = LogState { last: None, ..expected.clone() };
        *state == expected || (model.items.is_empty() && *state == silent)
    }

    fn none_left(&self, left: &[Entry], range: &std::ops::Range<u64>) -> Result<(), Failure> {
        self.assert(left.is_empty(), || {
            let ids: Vec<_> = left.iter().map(|entry| entry.id()).collect();
            let what = format!("entries that are gone can be read ({range:?})");
            Failure::broken(what, "none", list(&ids))
        })
    }

    /// Exactly what `get_log_state` must give.
    pub(crate) fn exact_state(&self, state: &LogState, model: &LogModel) -> Result<(), Failure> {
        let expected = state_of(self, model);
        self.assert(*state == expected, || {
            let what = "get_log_state of a log that has nothing but its purge marker";
            Failure::broken(what, show(&expected), show(state))
        })
    }

    /// Entries are these items: ids, kinds and every bit of the payload.
    pub(crate) fn same(
        &self,
        doing: &str,
        got: &[Entry],
        expected: &[Item],
    ) -> Result<(), Failure> {
        self.are(doing, got, &self.expected(expected)?)
    }

    /// What entries of these items must be.
    fn expected(&self, items: &[Item]) -> Result<Vec<Expected>, Failure> {
        let entries = self.entries(items)?;
        let expected = items.iter().zip(&entries).map(|(item, entry)| {
            self.record.tick();
            Expected { at: item.id, id: entry.id(), print: self.driver.fingerprint(entry) }
        });
        Ok(expected.collect())
    }

    fn are(&self, doing: &str, got: &[Entry], expected: &[Expected]) -> Result<(), Failure> {
        let same_ids = || got.iter().zip(expected).all(|(got, expected)| got.id() == expected.id);
        self.assert(got.len() == expected.len() && same_ids(), || {
            let ids: Vec<_> = got.iter().map(Entry::id).collect();
            let right: Vec<_> = expected.iter().map(|expected| expected.id.clone()).collect();
            let also =
                if self.payloads_differ(got, expected) { ", and other payloads" } else { "" };
            Failure::broken(format!("{doing} gave other entries{also}"), list(&right), list(&ids))
        })?;
        for (got, Expected { at, print, .. }) in got.iter().zip(expected) {
            let found = self.driver.fingerprint(got);
            self.assert(found == *print, || {
                let what = format!("{doing}: the entry {at} is not what was appended");
                Failure::broken(what, text(print), text(&found))
            })?;
        }
        Ok(())
    }
}

impl Lab {
    /// Whether, besides ids, what entries carry is another thing, place by place.
    fn payloads_differ(&self, got: &[Entry], expected: &[Expected]) -> bool {
        let differs = |(got, expected): (&Entry, &Expected)| {
            let placed = self.driver.moved(got, &expected.id);
            placed.is_some_and(|entry| self.driver.fingerprint(&entry) != expected.print)
        };
        got.len() == expected.len() && got.iter().zip(expected).any(differs)
    }
}

/// What an entry must be.
struct Expected {
    at: Id,
    id: LogId,
    print: Vec<u8>,
}

fn show(state: &LogState) -> String {
    format!("last purged {:?}, last {:?}", state.purged, state.last)
}

/// Ids, the middle of a long list left out.
fn list<T: std::fmt::Display>(ids: &[T]) -> String {
    let shown = |part: &[T]| part.iter().map(T::to_string).collect::<Vec<_>>().join(" ");
    match ids {
        [] => "none".to_owned(),
        [head @ .., _] if ids.len() > 24 => {
            let (first, rest) = head.split_at(12.min(head.len()));
            let last = ids.get(ids.len() - 8..).unwrap_or(rest);
            format!("{} ... {} ({} in all)", shown(first), shown(last), ids.len())
        }
        _ => shown(ids),
    }
}

/// Bytes for a person: as text where they are text, shortened.
pub(crate) fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 200;
    let head = bytes.get(..SHOWN).unwrap_or(bytes);
    let mut text = head.escape_ascii().to_string();
    if bytes.len() > SHOWN {
        text.push_str(&format!("... ({} bytes)", bytes.len()));
    }
    text
}
