//! [`Scene`]: where a check stands with a disk; told as a [`Wreck`] when the check fails.

use std::path::{Path, PathBuf};

use seshat_powercut::model::Flip;
use seshat_powercut::{Cut, History, Image, Model, Moment, Picture};

use super::SPARED;
use crate::failure::Wreck;

/// What a check did last to a disk.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(super) history: History,
    /// When in it one process was killed, and the next one went on.
    pub(super) killed: Option<Moment>,
    pub(super) image: Image,
    /// A power cut at the image; a kill, or a disk that failed, where there is none.
    pub(super) cut: Option<Cut>,
    /// A bit that the store found flipped.
    pub(super) flip: Option<Flip>,
}

impl Scene {
    /// What is told of it. The directory that the store was opened in is kept below `images`.
    pub(super) fn wreck(&self, images: Option<&Path>) -> Wreck {
        let model = self.model();
        let mut picture = self.cut.map_or_else(|| self.image.killed(), |cut| self.image.cut(cut));
        let flipped = self.flip.as_ref().filter(|flip| flip.apply_to(&mut picture));
        let flipped = flipped.map(|flip| format!("none: {flip} was flipped"));
        Wreck {
            cut: self.cut.map(|cut| format!("{cut}, {}", self.image)).or(flipped),
            missing: self.image.unsynced(model).iter().map(ToString::to_string).collect(),
            calls: self.calls(),
            image: images.and_then(|images| keep(&picture, images)),
        }
    }

    fn model(&self) -> Model {
        self.cut.map_or(Model::Ext4, |cut| cut.model)
    }

    fn calls(&self) -> Vec<String> {
        let mut calls = self.history.trace(self.image.at, self.model()).lines().to_vec();
        if let Some(killed) = self.killed {
            let before = self.history.until(killed).trace(killed, self.model()).lines().len();
            calls.insert(before.min(calls.len()), KILLED.to_owned());
        }
        calls
    }
}

/// What stands between the calls of one process and those of the next.
const KILLED: &str = "     the process is killed, and the store is opened again";

/// Not kept is better than not told.
fn keep(picture: &Picture, images: &Path) -> Option<PathBuf> {
    std::fs::create_dir_all(images).ok()?;
    let dir = tempfile::Builder::new().prefix("image-").tempdir_in(images).ok()?;
    // What is the kit's own means nothing to another process.
    let own = |path: &Path| path.to_string_lossy().starts_with(SPARED);
    let items = picture.items().filter(|(path, _)| !own(path));
    let picture: Picture = items.map(|(path, item)| (path.to_owned(), item.clone())).collect();
    picture.write_to(dir.path()).ok()?;
    Some(dir.keep())
}
