//! [`Power`] of a check, and the [`Disk`] below each of its stores: power that fails, disks that
//! refuse writes, and what is left of both.
//!
//! By the author's hook where there is one. Else, for a store in files, its threads' calls are
//! watched by [`seshat_powercut`], and what is on the disk is known at every moment. What couldn't
//! be seen makes the check inconclusive; what a failure is about is told with it, as a [`Wreck`].

mod wreck;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use seshat_powercut::model::Event;
pub(crate) use seshat_powercut::model::{Flip, Side};
pub(crate) use seshat_powercut::{
    Cut, Fault, Harm, History, Image, Model as Persistence, Moment, Survives,
};

pub(crate) use self::wreck::Scene;
use crate::failure::{Failure, Kind};
use crate::outcome::Verdict;
use crate::words::Hooks;

/// How files begin that are the kit's own, beside a store's.
pub(crate) const SPARED: &str = "reference-";

/// The power of a check.
#[derive(Debug)]
pub(crate) struct Power {
    watches: bool,
    seed: u64,
    cuts: AtomicU64,
    seen: Arc<Seen>,
}

/// What is told of a check's disks when it ends.
#[derive(Debug, Default)]
struct Seen {
    scene: Mutex<Option<Scene>>,
    unseen: Mutex<BTreeSet<String>>,
}

impl Power {
    /// For a check whose threads are watched, or not.
    pub(crate) fn new(watches: bool, seed: u64) -> Self {
        Self { watches, seed, cuts: AtomicU64::new(0), seen: Arc::default() }
    }

    /// The disk below a store that is about to be opened in `dir`.
    ///
    /// # Errors
    /// It can't be watched, though it should be.
    pub(crate) fn disk(&self, dir: &Path, hooks: Hooks) -> Result<Disk, Failure> {
        let watched = self.watches.then(|| seshat_powercut::Disk::watch(dir)).transpose();
        Ok(self.over(dir, hooks, watched.map_err(|error| failed("watching", dir, error))?))
    }

    /// A disk in `dir`, which is not there yet: what a power cut leaves at an image of another.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn restored(
        &self,
        of: &Disk,
        image: &Image,
        cut: Cut,
        dir: &Path,
    ) -> Result<Disk, Failure> {
        let disk = seshat_powercut::Disk::restore(&image.cut(cut), dir);
        let disk = disk.map_err(|error| failed("restoring", dir, error))?;
        of.set(of.scene(image.clone(), Some(cut))?);
        Ok(self.over(dir, of.hooks.clone(), Some(disk)))
    }

    /// A disk in `dir`, which is not there yet: what the next process finds after a kill at an
    /// image of another, and what is on the disk then.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn revived(&self, of: &Disk, image: &Image, dir: &Path) -> Result<Disk, Failure> {
        let disk = seshat_powercut::Disk::revive(&of.history()?, image, dir);
        let disk = disk.map_err(|error| failed("restoring", dir, error))?;
        of.set(of.scene(image.clone(), None)?);
        Ok(Disk { killed: Some(image.at), ..self.over(dir, of.hooks.clone(), Some(disk)) })
    }

    /// A disk in `dir`, which is not there yet: all that another holds, with one bit flipped.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn flipped(&self, of: &Disk, flip: &Flip, dir: &Path) -> Result<Disk, Failure> {
        let image = of.image()?;
        let mut picture = image.killed();
        if !flip.apply_to(&mut picture) {
            return Err(Failure::new(Kind::Kit, format!("there is no {flip}"), "", ""));
        }
        let disk = seshat_powercut::Disk::restore(&picture, dir);
        let disk = disk.map_err(|error| failed("restoring", dir, error))?;
        of.set(Scene { flip: Some(flip.clone()), ..of.scene(image, None)? });
        Ok(self.over(dir, of.hooks.clone(), Some(disk)))
    }

    fn over(&self, dir: &Path, hooks: Hooks, disk: Option<seshat_powercut::Disk>) -> Disk {
        let watched = disk.map(|disk| {
            disk.spare(SPARED);
            Arc::new(Watched { disk, seen: Arc::clone(&self.seen) })
        });
        Disk { dir: dir.to_owned(), hooks, killed: None, watched }
    }

    /// Two cuts for the next moment: nothing of what was not synced survives, and a part, by turns
    /// the one first and the other. The second is tried first: what fails with nothing is said best.
    pub(crate) fn cuts(&self) -> [Cut; 2] {
        let number = self.cuts.fetch_add(1, Ordering::Relaxed);
        let some = Survives::Some(self.seed.wrapping_shl(20).wrapping_add(number));
        let mut both = [some, Survives::Nothing];
        both.rotate_left((number % 2) as usize);
        both.map(|survives| Cut { model: Persistence::Ext4, survives })
    }

    /// Before a fresh store: what was before has nothing to do with what comes.
    pub(crate) fn forget(&self) {
        self.seen.scene.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What would be told if the check failed now.
    pub(crate) fn scene(&self) -> Option<Scene> {
        self.seen.scene.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has that told, whatever came between.
    pub(crate) fn tell(&self, scene: Option<Scene>) {
        *self.seen.scene.lock().unwrap_or_else(PoisonError::into_inner) = scene;
    }

    /// How a check ended, given what of its disks was seen; `images` is where an image is kept.
    pub(crate) fn judge(&self, verdict: Verdict, images: Option<&Path>) -> Verdict {
        let unseen = self.seen.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        if !unseen.is_empty() {
            let unseen: Vec<&str> = unseen.iter().map(String::as_str).collect();
            let found = verdict.err().map(|failure| format!("; what it saw: {}", failure.what));
            let found = found.unwrap_or_default();
            return Err(Failure::untold(format!("not all is seen: {}{found}", unseen.join("; "))));
        }
        let scene = self.seen.scene.lock().unwrap_or_else(PoisonError::into_inner).take();
        verdict.map_err(|failure| {
            let wreck = scene.map(|scene| Box::new(scene.wreck(images)));
            Failure { wreck, ..failure }
        })
    }
}

/// The disk below one store. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    dir: PathBuf,
    hooks: Hooks,
    /// When the process before the present one was killed, if it was.
    killed: Option<Moment>,
    watched: Option<Arc<Watched>>,
}

#[derive(Debug)]
struct Watched {
    disk: seshat_powercut::Disk,
    seen: Arc<Seen>,
}

impl Watched {
    /// Compares the directory with what its calls have made of it.
    fn look(&self) {
        let unseen = self.disk.unseen();
        let unseen = unseen.into_iter().flatten().map(|unseen| unseen.to_string());
        self.seen.unseen.lock().unwrap_or_else(PoisonError::into_inner).extend(unseen);
    }
}

impl Drop for Watched {
    /// The store is closed by now, so that nothing it holds is lost by looking.
    fn drop(&mut self) {
        self.look();
    }
}

impl Disk {
    /// Whether its calls are watched, so that a cut can be tried beside the store.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// The moment that it is; always the same where nothing is watched.
    pub(crate) fn now(&self) -> Moment {
        self.watched.as_ref().map_or(Moment(0), |watched| watched.disk.now())
    }

    /// What happened until now.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn history(&self) -> Result<History, Failure> {
        Ok(self.watched()?.history())
    }

    /// The image of now.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn image(&self) -> Result<Image, Failure> {
        Ok(self.watched()?.image())
    }

    /// About `count` single bits, evenly spread, of what was written during an operation and is
    /// still there.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn flips(&self, operation: Range<Moment>, count: u64) -> Result<Vec<Flip>, Failure> {
        let history = self.history()?;
        let flips = history.record(operation, history.now()).flips(count);
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        // There is one in each run of bytes at least, and some formats write very many.
        let stride = flips.len().div_ceil(most.saturating_mul(2).max(1)).max(1);
        Ok(flips.into_iter().step_by(stride).collect())
    }

    /// Whether a hook cuts the power, and not the kit.
    pub(crate) fn has_hook(&self) -> bool {
        self.hooks.cut_power.is_some()
    }

    /// The power is off: open handles lead to nothing.
    ///
    /// # Errors
    /// The hook's, or the directory can't be moved.
    pub(crate) fn off(&self, cut: Cut) -> Result<(), Failure> {
        match (&self.hooks.cut_power, &self.watched) {
            (Some(hook), _) => {
                hook.call(&self.dir, ()).map_err(|error| Failure::error("hook cut_power", error))
            }
            (None, Some(watched)) => {
                self.set(self.scene(watched.disk.image(), Some(cut))?);
                // Whoever wrote out of sight did so until now.
                watched.look();
                let off = watched.disk.power_off();
                off.map_err(|error| failed("cutting the power of", &self.dir, error))
            }
            (None, None) => Err(Failure::new(Kind::Kit, "no hook `cut_power`", "", "")),
        }
    }

    /// The power is on again, and every handle was dropped.
    ///
    /// # Errors
    /// The directory can't be written.
    pub(crate) fn on(&self, cut: Cut) -> Result<(), Failure> {
        match &self.watched {
            Some(watched) if !self.has_hook() => {
                let on = watched.disk.power_on(cut);
                on.map_err(|error| failed("restoring", &self.dir, error))
            }
            _ => Ok(()),
        }
    }

    /// Every write fails from now on, or no more.
    ///
    /// # Errors
    /// The hook's.
    pub(crate) fn refuse(&self, refuse: bool) -> Result<(), Failure> {
        if let Some(hook) = &self.hooks.refuse_writes {
            let told = hook.call(&self.dir, refuse);
            return told.map_err(|error| Failure::error("hook refuse_writes", error));
        }
        match refuse {
            true => self.fail(Fault::new(Harm::Broken)),
            false => self.heal().map(drop),
        }
    }

    /// The disk fails in this way from now on.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn fail(&self, fault: Fault) -> Result<(), Failure> {
        self.watched()?.fail(fault);
        Ok(())
    }

    /// Whether a disk that refuses writes was asked for one; taken for given where that isn't
    /// known.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn refused_any(&self) -> Result<bool, Failure> {
        match self.hooks.refuse_writes {
            Some(_) => Ok(true),
            None => Ok(self.refused()? > 0),
        }
    }

    /// How many calls the fault has met since it was set.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn refused(&self) -> Result<u64, Failure> {
        Ok(self.watched()?.refused())
    }

    /// How many calls it could have met.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn met(&self) -> Result<u64, Failure> {
        Ok(self.watched()?.met())
    }

    /// The first call that a fault has met, in words.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn hit(&self) -> Result<Option<String>, Failure> {
        let history = self.history()?;
        let Some(place) = history.events().position(Event::is_hit) else { return Ok(None) };
        let upto = Moment(place as u64 + 1);
        let line = history.trace(upto, Persistence::Ext4).lines().last().cloned();
        // Without the number and the thread.
        let line = line.unwrap_or_default();
        let words = line.trim_start().splitn(3, ' ').last().unwrap_or_default();
        let words = words.trim_end_matches(" (not synced)");
        Ok(Some(format!("call {}, {words}", upto.0)))
    }

    /// The disk is well again. How many calls have failed.
    ///
    /// # Errors
    /// It is not watched.
    pub(crate) fn heal(&self) -> Result<u64, Failure> {
        let disk = self.watched()?;
        let refused = disk.refused();
        disk.heal();
        self.set(self.scene(disk.image(), None)?);
        Ok(refused)
    }

    fn watched(&self) -> Result<&seshat_powercut::Disk, Failure> {
        let watched = self.watched.as_ref().map(|watched| &watched.disk);
        watched.ok_or_else(|| Failure::new(Kind::Kit, "a disk that is not watched", "", ""))
    }

    fn scene(&self, image: Image, cut: Option<Cut>) -> Result<Scene, Failure> {
        Ok(Scene { history: self.history()?, killed: self.killed, image, cut, flip: None })
    }

    fn set(&self, scene: Scene) {
        if let Some(watched) = &self.watched {
            let kept = &watched.seen.scene;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(scene);
        }
    }
}

fn failed(doing: &str, dir: &Path, error: impl std::fmt::Display) -> Failure {
    let what = format!("{doing} {}", dir.display());
    Failure::new(Kind::Hollow, format!("hollow: {what} failed"), "", error.to_string())
}
