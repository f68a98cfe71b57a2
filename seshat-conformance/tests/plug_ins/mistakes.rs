//! A plug-in's mistake is named as such, with the method to change; a store's fault isn't.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rstest::rstest;
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
};
use seshat_conformance::check::Outcome;
use seshat_conformance::embedded::InMemory;
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::operation::{Batch, EntryResponse};
use seshat_core::types::{Entry, Node, NodeId, TypeConfig};

use super::{checked, only_failure};

/// A check that neither replies nor contents matter to.
const CHECK: &str = "vote/again";

/// Seshat's store, plugged in with a mistake or with a fault.
struct Wrong {
    inner: InMemory,
    wrong: &'static str,
    asked: AtomicU64,
}

impl Wrong {
    fn new(wrong: &'static str) -> Self {
        Self { inner: InMemory::default(), wrong, asked: AtomicU64::new(0) }
    }

    fn asked(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }
}

fn all_plain(applied: &[Command]) -> Vec<Command> {
    applied.iter().map(|command| Command::plain(command.n)).collect()
}

impl Backend for Wrong {
    type C = TypeConfig;
    type Log = LogStore;
    type Machine = MachineStore;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(LogStore, MachineStore), BoxError> {
        match self.wrong {
            "nothing opens" => Err("no such file: store.conf".into()),
            "open is a todo" => todo!("FILL IN 4: open"),
            _ => self.inner.open(dir).await,
        }
    }
    fn command(&self, command: &Command) -> Option<Batch> {
        match self.wrong {
            "commands by number alone" => self.inner.command(&Command::plain(command.n)),
            _ => self.inner.command(command),
        }
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
        let shown = self.inner.show_reply(reply)?;
        Some(match self.wrong {
            "replies in other words" => format!("reply: {shown}"),
            "replies never the same" => format!("{shown} {}", self.asked()),
            // What a store does that is off by one, as far as can be seen.
            "fault: numbers in all replies" => shown.replace('0', "7").replace('1', "8"),
            _ => shown,
        })
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        match self.wrong {
            "expected reply never the same" => Some(self.asked().to_string()),
            _ => self.inner.expected_reply(applied),
        }
    }
    async fn digest(&self, machine: &mut MachineStore) -> Option<Vec<u8>> {
        let digest = self.inner.digest(machine).await?;
        Some(match self.wrong {
            "contents never the same" => [digest, self.asked().to_le_bytes().to_vec()].concat(),
            "contents not looked at" => b"a store".to_vec(),
            "digest is a todo" => todo!("FILL IN 5: digest"),
            "fault: nothing is applied" => self.inner.expected_digest(&[])?,
            _ => digest,
        })
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        match self.wrong {
            "contents not looked at" => None,
            "contents in other words" => {
                self.inner.expected_digest(applied).map(|digest| [b"map ", &digest[..]].concat())
            }
            "contents by number alone" => self.inner.expected_digest(&all_plain(applied)),
            // Of a store that takes what is empty for what is deleted, say.
            "fault: one shape" => {
                let shape = applied.last().map(|command| command.shape);
                let plain = shape == Some(seshat_conformance::backend::Shape::Empty);
                let applied = if plain { all_plain(applied) } else { applied.to_vec() };
                self.inner.expected_digest(&applied)
            }
            _ => self.inner.expected_digest(applied),
        }
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

#[rstest]
#[case("nothing opens", "open", "no such file: store.conf")]
#[case("open is a todo", "open", "is yet to be written: FILL IN 4: open")]
#[case("digest is a todo", "digest", "is yet to be written: FILL IN 5: digest")]
#[case("commands by number alone", "command", "look at `Command::shape`")]
#[case("contents by number alone", "expected_digest", "look at `Command::shape`")]
#[case("contents in other words", "expected_digest", "speak the same language")]
#[case("contents never the same", "digest", "asked twice")]
#[case("contents not looked at", "digest", "gives the same, `a store`, after nothing")]
#[case("replies in other words", "expected_reply", "speak the same language")]
#[case("replies never the same", "show_reply", "asked twice")]
#[case("expected reply never the same", "expected_reply", "asked twice")]
fn a_mistake_names_the_method_to_change(
    #[case] wrong: &'static str,
    #[case] method: &str,
    #[case] told: &str,
) {
    let report = checked(Wrong::new(wrong), &[CHECK]);
    let (id, failure) = only_failure(&report);
    assert_eq!(id, "backend", "{failure:#?}");
    assert!(failure.what.contains(&format!("`Backend::{method}`")), "{}", failure.what);
    assert!(failure.what.contains(told), "{}", failure.what);
}

#[rstest]
#[case("nothing at all")]
#[case("fault: nothing is applied")]
#[case("fault: numbers in all replies")]
#[case("fault: one shape")]
fn what_may_be_the_stores_is_left_to_the_checks(#[case] wrong: &'static str) {
    let report = checked(Wrong::new(wrong), &[CHECK]);
    let [result] = &report.results[..] else { panic!("{report:#?}") };
    assert_eq!(result.spec.id, CHECK, "{result:#?}");
    assert!(matches!(result.outcome, Outcome::Passed { .. }), "{result:#?}");
}
