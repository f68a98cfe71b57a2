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

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use seshat_powercut::Survives;
    use seshat_powercut::model::{
        Act, Blocks, Born, Change, Event, NameChange, NodeId, Outcome, State,
    };

    use super::*;

    #[test]
    fn the_calls_of_both_processes_are_told_in_one_row() {
        let node = NodeId(1);
        let mut history = History::new(State::durable(&Picture::default()));
        let mut call = |call, act| {
            history.push(Event { call, thread: 1, act, outcome: Outcome::Done });
            history.clone()
        };
        let name = Some(NameChange::link(NodeId::ROOT, OsStr::new("log"), node));
        call("openat", Act::Born { node, born: Born::File(Blocks::default()), mode: 0o644, name });
        call("fsync", Act::Sync { node });
        let write = |offset| Change::Write { offset, bytes: (*b"1").into() };
        call("write", Act::Change { node, change: write(0) });
        let history = call("write", Act::Change { node, change: write(1) });
        let (killed, image) = (Some(Moment(3)), history.image(Moment(4)));
        let cut = Some(Cut { model: Model::Ext4, survives: Survives::Nothing });
        let wreck = Scene { history, killed, image, cut, flip: None }.wreck(None);
        let verbs: Vec<_> = wreck.calls.iter().map(|call| call.trim()).collect();
        assert!(verbs[2].starts_with("3 T1 write log 0..1 (not synced)"), "{verbs:?}");
        assert_eq!(verbs[3], KILLED.trim());
        assert!(verbs[4].starts_with("4 T1 write log 1..2 (not synced)"), "{verbs:?}");
        assert_eq!(wreck.missing.len(), 1);
        assert!(wreck.missing[0].contains("bytes 0..2 are not on the disk"), "{:?}", wreck.missing);
        assert!(wreck.cut.is_some_and(|cut| cut.ends_with("after call 4")));
    }
}
