//! [`Seldom`]: openraft logs every call that fails, where one line a state change is enough, which others write.
//!
//! Guarantee: each place in openraft that logs is heard the first time, and once a minute after that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Between two events of one place.
const PAUSE: Duration = Duration::from_secs(60);

/// When each place was heard last. There are as many as openraft's source has.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<HashMap<Identifier, Instant>>);

impl<S> Filter<S> for Seldom {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if !metadata.target().starts_with("openraft") {
            return true;
        }
        let now = Instant::now();
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = heard.get(&metadata.callsite());
        if last.is_some_and(|last| now.duration_since(*last) < PAUSE) {
            return false;
        }
        heard.insert(metadata.callsite(), now);
        true
    }
}
