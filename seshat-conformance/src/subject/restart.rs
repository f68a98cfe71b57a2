//! Restarts and power cuts: what a store shows when it is open again.

use super::held::Held;
use super::{Subject, log_id, open};
use crate::driver::Opened;
use crate::driver::seen::{Entry, Initial, Meta};
use crate::failure::{Failure, Kind};
use crate::model::{Item, LogModel, Model, Payload, SnapshotModel, Step, count_of};
use crate::power::{Cut, Image};
use crate::words::Keeps;

/// How the store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// In order: everything is as it was.
    Orderly,
    /// By a power cut: what was not durable may be gone.
    Powerless,
}

impl<'l> Subject<'l> {
    /// Closes the store, opens it again, checks what it shows and lets openraft start on it.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        self.close().await?;
        self.open_again().await?;
        if let Err(failure) = self.verify_reopened(Closed::Orderly).await {
            return Err(self.hinted(failure).await);
        }
        self.start().await
    }

    /// Cuts the power, opens the store again, checks what it shows and lets openraft start on it.
    ///
    /// Where the disk is watched, another cut of the same moment is tried beside it.
    pub(crate) async fn cut_power(&mut self) -> Result<(), Failure> {
        let [cut, other] = self.lab.power.cuts();
        if self.disk.is_watched() && !self.disk.has_hook() {
            let image = self.disk.image()?;
            // Where nothing is at risk, every cut leaves the same.
            if !image.is_settled(other.model) {
                self.try_cut(&image, other).await?;
            }
        }
        self.lose_power_by(cut)?;
        self.open_again().await?;
        self.verify_reopened(Closed::Powerless).await?;
        self.start().await
    }

    /// Closes the store and opens it again, for checks that look by themselves.
    pub(crate) async fn reopen(&mut self) -> Result<(), Failure> {
        self.lab.record.step(Step::Restart.to_string());
        self.close().await?;
        self.open_again().await
    }

    /// Closes the store as an orderly shutdown does.
    pub(crate) async fn close(&mut self) -> Result<(), Failure> {
        drop(self.reader.take());
        let (Some(log), Some(machine)) = (self.log.take(), self.machine.take()) else {
            return Err(Failure::new(Kind::Kit, "closing a closed store", "", ""));
        };
        self.lab.call("close", self.lab.driver.close(&self.dir, log, machine)).await
    }

    /// What a cut leaves, opened in a directory of its own.
    async fn try_cut(&self, image: &Image, cut: Cut) -> Result<(), Failure> {
        let mut other = self.after_cut(image, cut).await?;
        other.verify_reopened(Closed::Powerless).await?;
        other.start().await
    }

    /// The store as a cut at an image of its disk leaves it, opened in a directory of its own.
    pub(crate) async fn after_cut(&self, image: &Image, cut: Cut) -> Result<Self, Failure> {
        let (lab, dir) = (self.lab, self.lab.place());
        let disk = lab.power.restored(&self.disk, image, cut, &dir)?;
        Subject::open_on(lab, disk, dir, self.model.clone()).await
    }

    /// Likewise as a process leaves it that is killed there.
    pub(crate) async fn after_kill(&self, image: &Image) -> Result<Self, Failure> {
        let (lab, dir) = (self.lab, self.lab.place());
        let disk = lab.power.revived(&self.disk, image, &dir)?;
        Subject::open_on(lab, disk, dir, self.model.clone()).await
    }

    /// Cuts the power and drops the store without closing it.
    pub(crate) fn lose_power(&mut self) -> Result<(), Failure> {
        let [cut, _] = self.lab.power.cuts();
        self.lose_power_by(cut)
    }

    fn lose_power_by(&mut self, cut: Cut) -> Result<(), Failure> {
        self.disk.off(cut)?;
        self.vanish();
        self.disk.on(cut)
    }

    /// Drops the store without closing it, as the end of its process does.
    pub(crate) fn vanish(&mut self) {
        drop((self.reader.take(), self.log.take(), self.machine.take()));
        self.give_up_flight();
    }

    /// Opens a closed store.
    pub(crate) async fn open_again(&mut self) -> Result<(), Failure> {
        let opened = open(self.lab, &self.dir).await?;
        self.hold(opened).await
    }

    /// Opens a closed store that was damaged: one that refuses does right, and isn't asked twice.
    pub(crate) async fn open_once(&mut self) -> Result<(), Failure> {
        let opened = self.lab.open_once(&self.dir).await?;
        self.hold(opened).await
    }

    async fn hold(&mut self, (mut log, machine): Opened) -> Result<(), Failure> {
        let lab = self.lab;
        let reader = lab.call("get_log_reader", log.reader()).await?;
        self.log = Held::new(log);
        self.machine = Held::new(machine);
        self.reader = Held::new(reader);
        Ok(())
    }

    /// What a store shows right after it was opened again. The oracle learns what was left open.
    pub(crate) async fn verify_reopened(&mut self, closed: Closed) -> Result<(), Failure> {
        self.verify_reopened_log(closed).await?;
        self.verify_reopened_machine().await
    }

    /// Likewise of the log store alone.
    pub(crate) async fn verify_reopened_log(&mut self, closed: Closed) -> Result<(), Failure> {
        self.learn_log(closed).await?;
        self.verify_log().await?;
        self.verify_vote().await?;
        self.verify_reopened_committed().await
    }

    /// The oracle is the first of `models` that the state machine may be of; the last one, which it
    /// should have been, where it is of none.
    pub(crate) async fn learn(&mut self, models: Vec<Model>) -> Result<(), Failure> {
        let lab = self.lab;
        let keeps = lab.driver.capabilities().machine_keeps;
        let (applied, _) = lab.call("applied_state", self.machine.applied()).await?;
        let is_of = |model: &&Model| {
            let mut counts = model.applied_after_restart(keeps);
            counts.any(|count| log_id(lab, model.covered_id(count)) == applied)
        };
        if let Some(model) = models.iter().find(is_of).or(models.last()) {
            self.model = model.clone();
        }
        Ok(())
    }

    /// Which of the logs that a stop may leave it is; then that is the log. A truncation or a purge
    /// may be undone by an orderly one, too, until a write behind it is acknowledged: openraft does
    /// it again.
    async fn learn_log(&mut self, closed: Closed) -> Result<(), Failure> {
        let lab = self.lab;
        let state = lab.call("get_log_state", self.log.state()).await?;
        let vote = lab.call("read_vote", self.log.vote()).await?;
        let matches = |model: &LogModel| {
            let fresh = model.vote.is_none() && vote == Some(lab.driver.vote(None));
            lab.is_state_of(&state, model)
                && (fresh || vote == model.vote.map(|b| lab.driver.vote(Some(b))))
        };
        let survivors = std::mem::take(&mut self.model.survivors);
        let found = survivors.iter().rposition(matches);
        // After an orderly stop what is looked at next says better what is wrong.
        lab.assert(found.is_some() || closed == Closed::Orderly, || {
            let said = |model: &LogModel| {
                let id = |id: Option<crate::model::Id>| {
                    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
                };
                let vote = model.vote.map(|b| format!("t{}.n{}", b.term, b.node));
                let vote = vote.unwrap_or_else(|| "none".to_owned());
                format!("purged {}, last {}, vote {vote}", id(model.purged), id(model.last()))
            };
            let expected: Vec<String> = survivors.iter().map(said).collect();
            let got =
                format!("last purged {:?}, last {:?}, vote {vote:?}", state.purged, state.last);
            let what = "the log is none that acknowledged writes allow";
            // Where the log is one of them, it is the vote that isn't.
            let log = survivors.iter().any(|model| lab.is_state_of(&state, model));
            let asked = if log { "read_vote" } else { "get_log_state" };
            let asked = Some(asked.to_owned());
            Failure { asked, ..Failure::broken(what, expected.join("; or "), got) }
        })?;
        // What it shows it has to go on showing; what it doesn't is gone as it was before.
        if let Some((shown, earlier)) = found.and_then(|at| survivors.get(..=at)?.split_last()) {
            let undone = earlier.iter().filter(|log| *log != shown && log.holds(shown));
            self.model.survivors = undone.chain([shown]).cloned().collect();
            self.model.log = shown.clone();
        }
        Ok(())
    }

    /// One that was saved, or none: whether the last survives is for `committed/reopen` to say.
    async fn verify_reopened_committed(&mut self) -> Result<(), Failure> {
        let got = self.verify_saved().await?;
        if let Some(got) = &got {
            self.model.committed.retain(|id| !got.is_before(&self.lab.driver.id(*id)));
        }
        self.note_committed(got.is_some());
        Ok(())
    }

    /// After an install that was cut off: if the state says that it was done, it was.
    pub(crate) async fn learn_install(
        &mut self,
        meta: &Meta,
        truth: Vec<Item>,
    ) -> Result<(), Failure> {
        let (applied, _) = self.lab.call("applied_state", self.machine.applied()).await?;
        if applied == meta.last {
            self.model.applied = truth.len();
            self.model.snapshot = Some(SnapshotModel { covers: truth.len() });
            self.model.truth = truth;
        }
        Ok(())
    }

    /// After a step that was under way when the node stopped: what it did to the state machine, if
    /// anything.
    pub(crate) async fn learn_step(&mut self, step: &Step) -> Result<(), Failure> {
        let before = self.model.applied;
        let (items, first) = match step {
            Step::Apply(count) => {
                let from = before as u64;
                (self.model.log.range(from, from + *count as u64), before + 1)
            }
            Step::Install(items) => (items.clone(), before + items.len()),
            _ => return Ok(()),
        };
        let mut done = self.model.clone();
        done.truth.truncate(before);
        done.truth.extend(items);
        let (applied, _) = self.lab.call("applied_state", self.machine.applied()).await?;
        let is_it = |count: &usize| log_id(self.lab, done.covered_id(*count)) == applied;
        let Some(count) = (first..=done.truth.len()).find(is_it) else { return Ok(()) };
        done.truth.truncate(count);
        done.applied = count;
        if matches!(step, Step::Install(_)) {
            done.snapshot = Some(SnapshotModel { covers: count });
        }
        self.model = done;
        Ok(())
    }

    /// After an apply that was cut off: none, some or all of `items` are applied.
    pub(crate) async fn learn_applied(&mut self, items: Vec<Item>) -> Result<(), Failure> {
        let lab = self.lab;
        let before = self.model.applied;
        self.model.truth.truncate(before);
        self.model.truth.extend(items);
        let (applied, _) = lab.call("applied_state", self.machine.applied()).await?;
        let is_it = |count: &usize| log_id(lab, self.model.covered_id(*count)) == applied;
        let found = (before..=self.model.truth.len()).find(is_it);
        lab.assert(found.is_some(), || {
            let what = "after an apply that was cut off, applied_state is none of those it may be";
            let expected = format!("{:?} or later", log_id(lab, self.model.covered_id(before)));
            Failure::broken(what, expected, format!("{applied:?}"))
        })?;
        self.model.applied = found.unwrap_or(before);
        self.model.truth.truncate(self.model.applied);
        Ok(())
    }

    /// State, membership and snapshot are of one moment, not older than what must survive.
    pub(crate) async fn verify_reopened_machine(&mut self) -> Result<(), Failure> {
        let lab = self.lab;
        let keeps = lab.driver.capabilities().machine_keeps;
        let (applied, membership) = lab.call("applied_state", self.machine.applied()).await?;
        let allowed = self.model.applied_after_restart(keeps);
        let found =
            allowed.clone().rev().find(|n| log_id(lab, self.model.covered_id(*n)) == applied);
        lab.assert(found.is_some(), || {
            let oldest = log_id(lab, self.model.covered_id(*allowed.start()));
            let newest = log_id(lab, self.model.applied_id());
            let what = "after a restart, applied_state is not what must survive";
            Failure::broken(what, format!("{oldest:?} to {newest:?}"), format!("{applied:?}"))
        })?;
        let found = found.unwrap_or_default();
        lab.assert(found as u64 >= self.model.log.first_index(), || {
            let what = "after a restart, the state is older than the entries that were purged";
            let expected = format!("{:?} or later", log_id(lab, self.model.log.purged));
            Failure::broken(what, expected, format!("{applied:?}"))
        })?;
        self.model.applied = found;
        self.verify_membership(&membership, found)?;
        self.verify_contents(found).await?;
        self.verify_reopened_snapshot(keeps).await
    }

    /// The snapshot that survives is one of this node's, and not ahead of the state.
    async fn verify_reopened_snapshot(&mut self, keeps: Keeps) -> Result<(), Failure> {
        let lab = self.lab;
        let current = self.machine.current();
        let current = lab.call("get_current_snapshot", current).await?.map(|s| s.meta);
        let oldest = match keeps {
            Keeps::Snapshot => self.model.snapshot.map_or(0, |snapshot| snapshot.covers),
            Keeps::Applied | Keeps::Nothing => 0,
        };
        let Some(meta) = current else {
            self.meta = None;
            self.model.snapshot = None;
            return lab.assert(oldest == 0, || {
                let what = "after a restart there is no snapshot";
                let expected = format!("{:?}", log_id(lab, self.model.covered_id(oldest)));
                Failure::broken(what, expected, "None")
            });
        };
        let mut covered = (oldest..=self.model.applied).rev();
        let found = covered.find(|n| log_id(lab, self.model.covered_id(*n)) == meta.last);
        let members = found.map(|n| lab.driver.membership(self.model.membership_at(n)));
        lab.assert(members.as_ref() == Some(&meta.membership), || {
            let what = "after a restart the current snapshot is not one that was made here";
            let expected = format!("{:?}", log_id(lab, self.model.covered_id(oldest)));
            Failure::broken(what, expected, format!("{meta:?}"))
        })?;
        self.model.snapshot = found.map(|covers| SnapshotModel { covers });
        self.meta = Some(meta);
        Ok(())
    }

    /// Lets openraft start on the store, as a node does, and follows what it does there: apply
    /// what is committed, purge what a snapshot covers, build a snapshot if there is none.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        let lab = self.lab;
        let committed = lab.call("read_committed", self.log.committed()).await?;
        let starting = lab.driver.start(&mut **self.log, &mut **self.machine);
        let state = lab.call("StorageHelper::get_initial_state", starting).await?;
        if committed.is_some() {
            let known = self.model.committed.last().map_or(0, |id| count_of(*id));
            if known > self.model.applied {
                let from = self.model.applied as u64;
                let items = self.model.log.range(from, known as u64);
                self.model.truth.truncate(self.model.applied);
                self.model.truth.extend(items);
                self.model.applied = known;
            }
        }
        let last = self.model.log.last();
        if let Some(upto) = self.model.applied_id().filter(|id| last < Some(*id)) {
            self.follow(&Step::Purge(upto))?;
        }
        if self.model.snapshot.is_none() && self.model.log.purged.is_some() {
            self.model.snapshot = Some(SnapshotModel { covers: self.model.applied });
            self.meta = Some(state.snapshot.clone());
        }
        self.verify_initial_state(&state).await
    }

    async fn verify_initial_state(&mut self, state: &Initial) -> Result<(), Failure> {
        let lab = self.lab;
        let vote = lab.driver.vote(self.model.log.vote);
        lab.equal("openraft starts with another vote", &state.vote, &vote)?;
        let applied = log_id(lab, self.model.applied_id());
        lab.equal("openraft starts with another committed id", &state.committed, &applied)?;
        let last = self.model.log.items.iter().rev().find_map(|item| match &item.payload {
            Payload::Members(m) => Some((item.id, m)),
            _ => None,
        });
        let effective = last.or(self.model.membership_at(self.model.applied));
        let effective = lab.driver.membership(effective);
        lab.equal("openraft starts with another membership", &state.membership, &effective)?;
        self.verify_log().await?;
        self.verify_applied().await?;
        self.verify_current_snapshot().await
    }

    /// Reads a range, by whichever reader.
    pub(crate) async fn read(&mut self, from: u64, to: u64) -> Result<Vec<Entry>, Failure> {
        let read = self.log.read(from..to);
        self.lab.call(&format!("try_get_log_entries({from}..{to})"), read).await
    }
}
