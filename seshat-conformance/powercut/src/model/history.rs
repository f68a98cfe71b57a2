//! [`History`]: what happened below a directory, call by call, and the power cuts in it.

use std::fmt;
use std::sync::Arc;

use super::event::{Act, Event, Moment, NodeId};
use super::picture::Picture;
use super::report::{self, Unsynced};
use super::state::State;
use super::{Cut, Model};

/// A directory as it was found, and every event since. A clone is cheap: events are shared.
#[derive(Debug, Clone)]
pub struct History {
    base: Arc<State>,
    events: Vec<Arc<Event>>,
}

impl History {
    /// A history that begins.
    pub fn new(base: State) -> Self {
        Self { base: Arc::new(base), events: Vec::new() }
    }

    /// See [`Disk::spare`](crate::Disk::spare).
    pub fn spare(&mut self, prefix: &str) {
        Arc::make_mut(&mut self.base).spare(prefix);
    }

    /// Itself up to a moment.
    #[must_use]
    pub fn until(&self, at: Moment) -> Self {
        let events = self.events.iter().zip(0..at.0).map(|(event, _)| Arc::clone(event));
        Self { base: Arc::clone(&self.base), events: events.collect() }
    }

    /// The next event.
    pub fn push(&mut self, event: Event) {
        self.events.push(Arc::new(event));
    }

    /// All events, oldest first.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.events.iter().map(|event| &**event)
    }

    /// After the last event.
    pub fn now(&self) -> Moment {
        Moment(self.events.len() as u64)
    }

    /// The state at a moment; that of now for a later one. Found from the beginning: to go through
    /// many, take [`History::images`].
    pub fn state(&self, at: Moment) -> State {
        let mut state = (*self.base).clone();
        for (number, event) in (0..at.0).zip(self.events()) {
            state.apply(number, event.done());
        }
        state
    }

    /// The image at a moment, such as one at which something was acknowledged.
    pub fn image(&self, at: Moment) -> Image {
        let at = at.min(self.now());
        Image { at, side: Side::At, state: self.state(at) }
    }

    /// Images before and after each sync, failed ones too, and at the end: the moments at which
    /// what is durable changes, or is least. Between two of them only more is at risk. None is
    /// given twice: one right after a sync and right before the next is one before a sync.
    pub fn images(&self) -> impl Iterator<Item = Image> {
        let mut state = (*self.base).clone();
        let mut ended = None;
        let steps = self.events.iter().map(Some).chain([None]).zip(0..);
        steps.filter_map(move |(event, number)| {
            let sync = event.filter(|event| event.is_sync()).map(|event| event.call);
            let side = match (sync, ended.take()) {
                (Some(next), _) => Some(Side::Before(next)),
                (None, Some(last)) => Some(Side::After(last)),
                (None, None) => event.is_none().then_some(Side::At),
            };
            let image = side.map(|side| Image { at: Moment(number), side, state: state.clone() });
            if let Some(event) = event {
                state.apply(number, event.done());
            }
            ended = sync;
            image
        })
    }
}

/// Which side of a call an image is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Right before this call.
    Before(&'static str),
    /// Right after it.
    After(&'static str),
    /// At no call in particular.
    At,
}

/// A directory at a moment: what is on the disk, and what may be.
#[derive(Debug, Clone)]
pub struct Image {
    /// When.
    pub at: Moment,
    /// Before or after what.
    pub side: Side,
    pub(crate) state: State,
}

impl Image {
    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What a power cut leaves.
    pub fn cut(&self, cut: Cut) -> Picture {
        self.state.cut(cut)
    }

    /// What a killed process leaves: the page cache.
    pub fn killed(&self) -> Picture {
        self.state.killed()
    }

    /// Whether all is on the disk, so that every cut leaves the same.
    pub fn is_settled(&self, model: Model) -> bool {
        let mut files = self.state.files();
        let synced = files.all(|(_, file)| file.pending().is_empty());
        synced && self.state.names(model).pending().is_empty()
    }

    /// What is not on the disk, and which call it waits for.
    pub fn unsynced(&self, model: Model) -> Vec<Unsynced> {
        report::unsynced(&self.state, model)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            Side::Before(call) => write!(f, "before call {}, {call}", self.at.0 + 1),
            Side::After(call) => write!(f, "after call {}, {call}", self.at.0),
            Side::At => self.at.fmt(f),
        }
    }
}

impl Act {
    /// The nodes that it is about.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Nothing | Self::SyncAll => Vec::new(),
            Self::Born { node, .. }
            | Self::Hint { node }
            | Self::Change { node, .. }
            | Self::Sync { node }
            | Self::SyncRange { node, .. }
            | Self::LoseSync { node } => vec![*node],
            Self::Name(change) => change.entries.iter().filter_map(|entry| entry.node).collect(),
        }
    }
}
