//! [`Scene`]: where a check stands with a disk; told as a [`Wreck`] when the check fails.

use std::path::{Path, PathBuf};

use seshat_powercut::model::Flip;
use seshat_powercut::{Cut, History, Image, Model, Picture};

use crate::failure::Wreck;

/// What a check did last to a disk.
#[derive(Debug)]
pub(super) struct Scene {
    history: History,
    image: Image,
    cut: Option<Cut>,
    flip: Option<Flip>,
}

impl Scene {
    /// A power cut at an image; a kill, or a disk that failed, where there is no cut.
    pub(super) fn new(history: History, image: Image, cut: Option<Cut>) -> Self {
        Self { history, image, cut, flip: None }
    }

    /// With one bit flipped of what was there.
    pub(super) fn with(self, flip: Flip) -> Self {
        Self { flip: Some(flip), ..self }
    }

    /// What is told of it. The directory that the store was opened in is kept below `images`.
    pub(super) fn wreck(&self, images: Option<&Path>) -> Wreck {
        let model = self.cut.map_or(Model::Ext4, |cut| cut.model);
        let at = self.image.at;
        let mut picture = self.cut.map_or_else(|| self.image.killed(), |cut| self.image.cut(cut));
        let flipped = self.flip.as_ref().filter(|flip| flip.apply_to(&mut picture));
        let flipped = flipped.map(|flip| format!("none: {flip} was flipped"));
        Wreck {
            cut: self.cut.map(|cut| format!("{cut}, {at}")).or(flipped),
            missing: self.image.unsynced(model).iter().map(ToString::to_string).collect(),
            calls: self.history.trace(at, model).lines().to_vec(),
            image: images.and_then(|images| keep(&picture, images)),
        }
    }
}

/// Not kept is better than not told.
fn keep(picture: &Picture, images: &Path) -> Option<PathBuf> {
    std::fs::create_dir_all(images).ok()?;
    let dir = tempfile::Builder::new().prefix("image-").tempdir_in(images).ok()?;
    picture.write_to(dir.path()).ok()?;
    Some(dir.keep())
}
