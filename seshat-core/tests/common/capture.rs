//! Everything that this crate traces, kept for a test to look at.
//!
//! One capture for the whole process, whichever test or task traces: tasks are spawned, and
//! tests run beside each other. So a test looks for what bears the ids of its own nodes.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Values by the name of their field, as text. An event's text is its `message`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Fields {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the field is there and is that.
    pub(crate) fn is(&self, name: &str, value: impl ToString) -> bool {
        self.get(name) == Some(&value.to_string())
    }

    /// Whether the field is there and contains that.
    pub(crate) fn has(&self, name: &str, part: impl ToString) -> bool {
        self.get(name).is_some_and(|value| value.contains(&part.to_string()))
    }

    /// The field as a number, if it is there and is one.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// A span that has ended, with all that was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) fields: Fields,
}

/// An event, in the spans that it happened in, the innermost first.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) level: Level,
    pub(crate) fields: Fields,
    pub(crate) spans: Vec<Span>,
}

impl Happened {
    pub(crate) fn is(&self, level: Level, message: &str) -> bool {
        self.level == level && self.fields.is("message", message)
    }

    /// The span of that name that it happened in.
    pub(crate) fn span(&self, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.name == name)
    }
}

#[derive(Default)]
pub(crate) struct Capture {
    ended: Mutex<Vec<Span>>,
    happened: Mutex<Vec<Happened>>,
}

/// The capture of this process.
pub(crate) fn capture() -> &'static Capture {
    static CAPTURE: OnceLock<&'static Capture> = OnceLock::new();
    CAPTURE.get_or_init(|| {
        let capture: &'static Capture = Box::leak(Box::default());
        let subscriber = Registry::default().with(Recorder(capture));
        tracing::subscriber::set_global_default(subscriber).unwrap();
        capture
    })
}

impl Capture {
    /// The first span like that, once one has ended.
    pub(crate) async fn span(&self, what: &str, like: impl Fn(&Span) -> bool) -> Span {
        let find = || self.ended.lock().unwrap().iter().find(|span| like(span)).cloned();
        first(what, find).await
    }

    /// The first event like that, once one has happened.
    pub(crate) async fn event(&self, what: &str, like: impl Fn(&Happened) -> bool) -> Happened {
        let find = || self.happened.lock().unwrap().iter().find(|event| like(event)).cloned();
        first(what, find).await
    }

    /// All events like that, so far.
    pub(crate) fn events(&self, like: impl Fn(&Happened) -> bool) -> Vec<Happened> {
        self.happened.lock().unwrap().iter().filter(|event| like(event)).cloned().collect()
    }
}

/// Looks again and again, because what traces may do so after what the test waited for.
async fn first<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let found = async {
        loop {
            match find() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(10), found).await {
        Ok(found) => found,
        Err(_) => panic!("not traced: {what}"),
    }
}

struct Recorder(&'static Capture);

fn span_of(metadata: &Metadata<'static>, fields: Fields) -> Span {
    Span { name: metadata.name(), level: *metadata.level(), fields }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("seshat_core")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        values.record(extensions.get_mut::<Fields>().unwrap());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans = context.event_scope(event).into_iter().flatten();
        let spans = spans.map(|span| {
            let fields = span.extensions().get::<Fields>().cloned().unwrap_or_default();
            span_of(span.metadata(), fields)
        });
        let happened =
            Happened { level: *event.metadata().level(), fields, spans: spans.collect() };
        self.0.happened.lock().unwrap().push(happened);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions().get::<Fields>().cloned().unwrap_or_default();
        self.0.ended.lock().unwrap().push(span_of(span.metadata(), fields));
    }
}
