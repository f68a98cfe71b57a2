//! [`Subject`]: the store under test, driven as openraft drives it, with the oracle at its side.
//!
//! Guarantees: only calls that openraft can make; every call is recorded before it is made and
//! given up when it hangs; the oracle has followed every call that succeeded.

pub(crate) mod damage;
mod data;
mod fields;
mod flight;
mod forgotten;
mod held;
mod origin;
pub(crate) mod restart;
mod sample;
mod verify;

use std::path::{Path, PathBuf};

use crate::driver::Opened;
use crate::driver::seen::{Entry, LogId, Meta};
use crate::driver::store::{Data, Log, Machine, Reader, Snapshot};
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{Id, Item, Model, Step};
use crate::power::Disk;
use crate::words::pieces;

use self::damage::Mark;
pub(crate) use self::data::verify_data;
pub(crate) use self::fields::Fields;
use self::held::Held;
pub(crate) use self::origin::Origin;
use self::sample::Work;
pub(crate) use self::verify::text;

/// openraft's default chunk is 3 MiB; small ones find more.
const CHUNK: usize = 61;

/// An open store and what it must show.
pub(crate) struct Subject<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) dir: PathBuf,
    pub(crate) log: Held<Box<dyn Log>>,
    pub(crate) machine: Held<Box<dyn Machine>>,
    /// Made when the store was opened, as a replication task's is when a leader begins.
    pub(crate) reader: Held<Box<dyn Reader>>,
    pub(crate) model: Model,
    /// Whether `read_committed` ever gave anything: it is optional, but all or nothing.
    committed_kept: Option<bool>,
    /// Callbacks of what was begun.
    #[cfg(feature = "storage-v2")]
    in_flight: Vec<crate::driver::Flushed>,
    /// The current snapshot's meta, as it was built or installed.
    pub(crate) meta: Option<Meta>,
    twin: Option<Origin<'l>>,
    /// When what was written, where the disk is watched.
    marks: Vec<Mark>,
    /// Below the store, and dropped after its handles.
    pub(crate) disk: Disk,
}

impl<'l> Subject<'l> {
    /// A fresh store.
    pub(crate) async fn fresh(lab: &'l Lab) -> Result<Self, Failure> {
        lab.record.forget_steps();
        lab.power.forget();
        let dir = lab.directory()?;
        Self::open(lab, dir, Model::new()).await
    }

    /// A fresh store on which `steps` were performed.
    pub(crate) async fn with(
        lab: &'l Lab,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<Self, Failure> {
        let mut subject = Self::fresh(lab).await?;
        subject.run(steps).await?;
        Ok(subject)
    }

    /// [`Self::with`] for a check whose promise begins after these steps: what is wrong with the log
    /// by then is another's to say.
    ///
    /// # Errors
    /// [`Kind::NotTried`]: the steps failed, or the log isn't right after them.
    pub(crate) async fn with_log(
        lab: &'l Lab,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<Self, Failure> {
        let mut subject = Self::with(lab, steps).await.map_err(Failure::beforehand)?;
        subject.verify_log().await.map_err(Failure::beforehand)?;
        Ok(subject)
    }

    /// Likewise where the promise is about the state machine.
    ///
    /// # Errors
    /// [`Kind::NotTried`]: the steps failed, or the state machine isn't right after them.
    pub(crate) async fn with_machine(
        lab: &'l Lab,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<Self, Failure> {
        let mut subject = Self::with(lab, steps).await.map_err(Failure::beforehand)?;
        subject.verify_machine_half().await.map_err(Failure::beforehand)?;
        Ok(subject)
    }

    /// The store in a directory, of which the oracle knows `model`.
    pub(crate) async fn open(lab: &'l Lab, dir: PathBuf, model: Model) -> Result<Self, Failure> {
        let disk = lab.power.disk(&dir, lab.driver.hooks())?;
        Self::open_on(lab, disk, dir, model).await
    }

    /// The store in a directory with this disk below it, of which the oracle knows `model`.
    pub(crate) async fn open_on(
        lab: &'l Lab,
        disk: Disk,
        dir: PathBuf,
        model: Model,
    ) -> Result<Self, Failure> {
        let mut subject = Self::closed(lab, disk, dir, model);
        subject.open_again().await?;
        Ok(subject)
    }

    /// A store that is closed, in a directory with this disk below it.
    pub(crate) fn closed(lab: &'l Lab, disk: Disk, dir: PathBuf, model: Model) -> Self {
        Self {
            lab,
            dir,
            log: Held::empty(),
            machine: Held::empty(),
            reader: Held::empty(),
            model,
            committed_kept: None,
            #[cfg(feature = "storage-v2")]
            in_flight: Vec::new(),
            meta: None,
            twin: None,
            marks: Vec::new(),
            disk,
        }
    }

    /// Performs steps, one after the other, without looking.
    pub(crate) async fn run(
        &mut self,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<(), Failure> {
        for step in steps {
            self.perform(step).await?;
        }
        Ok(())
    }

    /// Performs one step on store and oracle.
    ///
    /// # Errors
    /// The store failed, hung, or answered wrongly; or openraft can't make the call.
    pub(crate) async fn perform(&mut self, step: Step) -> Result<(), Failure> {
        if let Err(error) = self.model.check(&step) {
            let what = format!("the kit is wrong, please report it: {step}: {error}");
            return Err(Failure::new(Kind::Kit, what, "", ""));
        }
        self.lab.record.step(step.to_string());
        let began = self.disk.now();
        match &step {
            Step::Vote(ballot) => {
                let vote = self.lab.driver.vote(Some(*ballot));
                self.lab.call("save_vote", self.log.save_vote(vote)).await?;
            }
            Step::Append(items) => {
                self.lab.affords(Work::Append, items.len()).await?;
                let entries = self.entries(items)?;
                let appending = self.log.append(entries);
                self.lab.call_of(items.len(), Work::Append.name(), appending).await?;
            }
            Step::Begin(items) => self.begin(items).await?,
            Step::Flush => self.flush().await?,
            Step::Truncate(index) => {
                let Some(item) = self.model.log.get(*index) else { return Ok(()) };
                let id = self.lab.driver.id(item.id);
                self.lab.call("truncate", self.log.truncate(id)).await?;
            }
            Step::Purge(upto) => {
                let id = self.lab.driver.id(*upto);
                self.lab.call("purge", self.log.purge(id)).await?;
            }
            Step::Commit(index) => {
                let id = self.model.log.get(*index).map(|item| item.id);
                let id = id.map(|id| self.lab.driver.id(id));
                self.lab.call("save_committed", self.log.save_committed(id)).await?;
                // What a restart lost, the next save brings back.
                self.committed_kept = self.committed_kept.filter(|kept| *kept);
            }
            Step::Apply(count) => self.apply(*count).await?,
            Step::Build => {
                self.build().await?;
            }
            Step::Install(items) => self.install(items).await?,
            Step::Restart => return self.restart().await,
            Step::CutPower => return self.cut_power().await,
        }
        self.mark(&step, began);
        self.follow(&step)
    }

    /// Purges the log up to an id, whatever the state machine has applied: the only way to a high
    /// index. For checks of a log store alone, which can't know of the state machine.
    pub(crate) async fn skip_to(&mut self, id: Id) -> Result<(), Failure> {
        self.lab.record.step(format!("purge {id}"));
        let upto = self.lab.driver.id(id);
        self.lab.call("purge", self.log.purge(upto)).await?;
        self.model.log.purge(id);
        Ok(())
    }

    /// Has the oracle follow a step that was performed by other means.
    pub(crate) fn follow(&mut self, step: &Step) -> Result<(), Failure> {
        let refused = |error| Failure::new(Kind::Kit, format!("{step}: {error}"), "", "");
        self.model.perform(step).map_err(refused)
    }

    /// Items as entries of the back end's own.
    pub(crate) fn entries(&self, items: &[Item]) -> Result<Vec<Entry>, Failure> {
        self.lab.entries(items)
    }

    async fn apply(&mut self, count: usize) -> Result<(), Failure> {
        let from = self.model.applied;
        let items = self.model.log.range(from as u64, (from + count) as u64);
        let entries = self.entries(&items)?;
        self.lab.affords(Work::Apply, count).await?;
        let applying = self.machine.apply(entries);
        let replies = self.lab.call_of(count, Work::Apply.name(), applying).await?;
        let before = self.model.commands_at(from);
        self.lab.replies(&before, &items, &*replies)
    }

    /// Builds a snapshot and notes its meta. The oracle doesn't follow.
    pub(crate) async fn build(&mut self) -> Result<Snapshot, Failure> {
        let lab = self.lab;
        let making = self.machine.builder();
        let mut builder = lab.call("get_snapshot_builder", making).await?;
        let snapshot = lab.call("build_snapshot", builder.build()).await?;
        self.meta = Some(snapshot.meta.clone());
        Ok(snapshot)
    }

    /// Installs the snapshot of a node that has applied what is applied here and then `items`.
    async fn install(&mut self, items: &[Item]) -> Result<(), Failure> {
        let mut origin = Origin::new(self.lab).await?;
        let known = self.model.truth.iter().take(self.model.applied);
        let truth: Vec<Item> = known.chain(items).cloned().collect();
        origin.apply(&truth).await?;
        let snapshot = origin.snapshot().await?;
        self.receive(snapshot).await
    }

    /// Receives a snapshot as openraft does, chunk by chunk, and installs it.
    pub(crate) async fn receive(&mut self, snapshot: Snapshot) -> Result<(), Failure> {
        let Snapshot { meta, data } = self.arrive(snapshot).await?;
        let installing = self.machine.install(&meta, data);
        self.lab.call("install_snapshot", installing).await?;
        self.meta = Some(meta);
        Ok(())
    }

    /// A snapshot in the store's own handle, ready to be installed.
    pub(crate) async fn arrive(&mut self, mut snapshot: Snapshot) -> Result<Snapshot, Failure> {
        if let Some(bytes) = self.lab.snapshot_bytes(&mut *snapshot.data).await? {
            snapshot.data = self.receive_bytes(&bytes).await?;
        }
        Ok(snapshot)
    }

    /// The store's own blank handle, with `bytes` written to it.
    pub(crate) async fn receive_bytes(&mut self, bytes: &[u8]) -> Result<Box<dyn Data>, Failure> {
        let beginning = self.machine.receive();
        let blank = self.lab.call("begin_receiving_snapshot", beginning).await?;
        let pieces = pieces(bytes, CHUNK.max(bytes.len() / 16));
        self.lab.call("writing a snapshot's chunks", blank.write(&pieces)).await
    }
}

/// Opens the store in `dir`.
pub(crate) async fn open(lab: &Lab, dir: &Path) -> Result<Opened, Failure> {
    lab.open(dir).await
}

impl Lab {
    /// Items as entries of the back end's own.
    pub(crate) fn entries(&self, items: &[Item]) -> Result<Vec<Entry>, Failure> {
        let entry = |item: &Item| {
            self.record.tick();
            self.driver.entry(item).ok_or_else(|| {
                let what = format!("`Backend::command` gave no command for {}", item.payload);
                Failure::broken(what, "a command for every plain description", "None")
            })
        };
        items.iter().map(entry).collect()
    }

    /// A snapshot's bytes, if they can be reached.
    pub(crate) async fn snapshot_bytes(
        &self,
        data: &mut dyn Data,
    ) -> Result<Option<Vec<u8>>, Failure> {
        self.call("reading a snapshot's bytes", data.bytes()).await
    }
}

/// Ids of the store's own type, for comparison.
pub(crate) fn log_id(lab: &Lab, id: Option<Id>) -> Option<LogId> {
    id.map(|id| lab.driver.id(id))
}
