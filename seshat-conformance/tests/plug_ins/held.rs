//! A store that locks its directory, and lets go of it a moment after it was dropped, or never.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite, With,
};
use seshat_conformance::check::Outcome;
use seshat_conformance::embedded::InMemory;
use seshat_conformance::report::{json, text};
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::operation::{Batch, EntryResponse};
use seshat_core::types::{Entry, Node, NodeId, TypeConfig};

use super::{checked, only_failure};

type Held = Arc<Mutex<HashSet<PathBuf>>>;

/// The lock of a directory, which lives beside the state machine.
struct Lock {
    held: Held,
    dir: PathBuf,
    late: Option<Duration>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let (held, dir) = (Arc::clone(&self.held), self.dir.clone());
        if let Some(late) = self.late {
            // A thread of the store's own, which has something to finish first.
            thread::spawn(move || {
                thread::sleep(late);
                held.lock().unwrap().remove(&dir);
            });
        }
    }
}

/// Seshat's store behind a lock.
struct Locking {
    inner: InMemory,
    held: Held,
    /// How much later than the store it is let go; `None` if it never is.
    late: Option<Duration>,
    /// Whether a task of its own finds the lock, and panics.
    panics: bool,
}

impl Locking {
    fn new(late: Option<Duration>) -> Self {
        Self { inner: InMemory::default(), held: Held::default(), late, panics: false }
    }
}

impl Backend for Locking {
    type C = TypeConfig;
    type Log = LogStore;
    type Machine = With<MachineStore, Lock>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(LogStore, Self::Machine), BoxError> {
        if !self.held.lock().unwrap().insert(dir.to_owned()) {
            if self.panics {
                tokio::spawn(async { panic!("locked") }).await?;
            }
            return Err("Database already open.\nCannot acquire lock.".into());
        }
        let (log, machine) = self.inner.open(dir).await?;
        let lock = Lock { held: Arc::clone(&self.held), dir: dir.to_owned(), late: self.late };
        Ok((log, With { machine, handle: lock }))
    }
    fn command(&self, command: &Command) -> Option<Batch> {
        self.inner.command(command)
    }
    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        self.inner.fingerprint(entry)
    }
    fn node_id(&self, n: u64) -> NodeId {
        n
    }
    fn node(&self, n: u64) -> Node {
        self.inner.node(n)
    }
    fn show_reply(&self, reply: &EntryResponse) -> Option<String> {
        self.inner.show_reply(reply)
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        self.inner.expected_reply(applied)
    }
    /// Of the machine, and only while its directory is locked: the handle is there.
    async fn digest(&self, with: &mut Self::Machine) -> Option<Vec<u8>> {
        assert!(self.held.lock().unwrap().contains(&with.handle.dir));
        self.inner.digest(&mut with.machine).await
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        self.inner.expected_digest(applied)
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

#[test]
fn a_directory_that_is_let_go_late_is_waited_for_and_it_is_noted() {
    let late = Some(Duration::from_millis(50));
    let report =
        checked(Locking::new(late), &["reopen/vote", "reopen/apply", "cluster/leader-killed"]);
    assert_eq!(report.results.len(), 3, "{report:#?}");
    for result in &report.results {
        assert!(matches!(result.outcome, Outcome::Passed { .. }), "{result:#?}");
    }
    for check in ["reopen/vote: ", "reopen/apply: ", "cluster/leader-killed: "] {
        let note = report.notes.iter().find(|note| note.starts_with(check));
        let note = note.unwrap_or_else(|| panic!("{check}{:#?}", report.notes));
        assert!(note.contains("(Database already open.; Cannot acquire lock.)"), "{note}");
        assert!(note.contains("the directory was held"), "{note}");
        assert!(!note.contains('\n'), "{note}");
    }
    let first = &report.notes[0];
    assert!(text(&report, false).contains(first), "{}", text(&report, false));
    assert!(json(&report).contains(first), "{}", json(&report));
}

#[test]
fn a_panic_that_was_waited_away_accuses_nobody() {
    let store = Locking { panics: true, ..Locking::new(Some(Duration::from_millis(50))) };
    let report = checked(store, &["reopen/vote", "cluster/leader-killed"]);
    assert_eq!(report.results.len(), 2, "{report:#?}");
    for result in &report.results {
        assert!(matches!(result.outcome, Outcome::Passed { .. }), "{result:#?}");
    }
    assert!(report.notes.iter().any(|note| note.contains("panicked")), "{:#?}", report.notes);
}

#[test]
fn only_a_few_notes_are_shown() {
    let late = Some(Duration::from_millis(1));
    let mut report = checked(Locking::new(late), &["vote/again"]);
    report.notes = (0..20).map(|n| format!("note {n}")).collect();
    let text = text(&report, false);
    assert_eq!(text.matches("note  ").count(), 5, "{text}");
    assert!(text.contains("16 more such notes"), "{text}");
}

#[test]
fn a_directory_that_is_never_let_go_fails_and_says_what_it_may_be() {
    let report = {
        use seshat_conformance::runner::{Filter, Options, run};
        // In vain, so it is short.
        let options = Options {
            patience: Duration::from_secs(1),
            filter: Filter::only(["reopen/vote"]),
            ..Options::default()
        };
        run(Locking::new(None), &options, &mut |_| {})
    };
    let (id, failure) = only_failure(&report);
    assert_eq!((id, &failure.what[..]), ("reopen/vote", "open failed"), "{failure:#?}");
    assert!(failure.got.starts_with("Database already open."), "{}", failure.got);
    assert!(failure.got.contains("must let go when both halves are dropped"), "{}", failure.got);
    assert_eq!(report.notes, [""; 0]);
}
