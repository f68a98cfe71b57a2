//! What a [`Backend`](crate::Backend) answers, looked at before any check.
//!
//! - By itself: checks compare fingerprints of entries and go by ids of nodes, so one that says the
//!   same of everything lets every store pass.
//! - On its own store, in [`trial`]: what is expected of replies and contents is believed, so what
//!   can't be right would be held against every store.

mod judge;
mod trial;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::trial::{PATIENCES, trial};
use crate::driver::Driver;
use crate::driver::seen::{Entry, Named};
use crate::failure::{Failure, Kind};
use crate::model::{Id, Item, Members, Payload};
use crate::outcome::{CheckResult, Outcome};
use crate::spec::{Edition, Level, Spec};
use crate::words::{Command, Shape};

/// The name of the test that fails where a back end's own answers are wrong; in a report, its id.
pub(crate) const ID: &str = "backend";

/// A back end whose own answers no check can rest on, so that none runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("`Backend::{method}` {what}")]
pub(crate) struct Unfit {
    /// The method to change.
    pub(crate) method: Cow<'static, str>,
    /// What it does, and what it must do.
    pub(crate) what: String,
}

impl Unfit {
    fn new(method: &'static str, what: impl Into<String>) -> Self {
        Self { method: Cow::Borrowed(method), what: what.into() }
    }
}

/// What is known of it before it runs.
const SPEC: Spec = Spec {
    id: ID,
    level: Level::Must,
    past: None,
    requirements: &[],
    promise: "What the back end answers tells entries and nodes apart, and fits together.",
    consequence: "None: it is about the back end, and no check can run before it is right.",
    relies: &[],
    reason: "",
    needs: &[],
    limit: Duration::from_secs(10),
    since: Edition(1),
};

impl Unfit {
    /// As the one result of a run.
    pub(crate) fn result(&self) -> CheckResult {
        let what = format!("no check ran: {self}");
        let outcome = Outcome::Failed(Failure::new(Kind::Hollow, what, "", ""));
        CheckResult { spec: SPEC, outcome, elapsed: Duration::ZERO }
    }
}

/// Nodes that checks name, and a few more: an id of one byte is enough for them.
const NODES: u64 = 255;

/// The method that is being asked, for one that panics or hangs; none while it is the store.
#[derive(Debug, Default)]
pub(crate) struct Asking(Mutex<Option<&'static str>>);

impl Asking {
    fn begin(&self, method: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(method);
    }

    fn store(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// That the method does `what`; nothing if it was the store that did.
    pub(crate) fn unfit(&self, what: impl Into<String>) -> Result<(), Unfit> {
        let method = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        method.map_or(Ok(()), |method| Err(Unfit::new(method, what)))
    }

    /// That it panicked; a `todo!()` of the author's is told in its own words.
    pub(crate) fn panicked(&self, panics: &[String]) -> Result<(), Unfit> {
        let panic = panics.first().map_or("a panic without a message", String::as_str);
        match panic.strip_prefix("\"not yet implemented") {
            Some(todo) => {
                let todo = todo.trim_start_matches(": ").replacen('"', "", 1);
                self.unfit(format!("is yet to be written: {todo}"))
            }
            None => self.unfit(format!("panicked: {panic}")),
        }
    }
}

/// Looks at everything that can be asked without a store.
pub(crate) fn look(driver: &dyn Driver, asking: &Asking) -> Result<(), Unfit> {
    Look { driver, asking }.all()
}

struct Look<'a> {
    driver: &'a dyn Driver,
    asking: &'a Asking,
}

/// An entry, and what it has that its neighbours don't.
type Labelled = (&'static str, Item);

impl Look<'_> {
    fn all(&self) -> Result<(), Unfit> {
        self.node_ids()?;
        self.commands()?;
        self.equal_entries()?;
        self.different_entries()?;
        self.different_nodes()?;
        self.the_rest();
        Ok(())
    }

    fn ask<T>(&self, method: &'static str, call: impl FnOnce(&dyn Driver) -> T) -> T {
        self.asking.begin(method);
        call(self.driver)
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        self.ask("fingerprint", |driver| driver.fingerprint(entry))
    }

    fn node_ids(&self) -> Result<(), Unfit> {
        let mut seen: Vec<(Named, u64)> = Vec::new();
        for n in 1..=NODES {
            let [id, again] = [(); 2].map(|()| self.ask("node_id", |driver| driver.node_id(n)));
            if id != again {
                let what = format!(
                    "gives the node {n} two ids, {id} and {again}: give it the same one each time"
                );
                return Err(Unfit::new("node_id", what));
            }
            if let Some((_, other)) = seen.iter().find(|(seen, _)| *seen == id) {
                let what = format!(
                    "gives the nodes {other} and {n} the same id, {id}: give each of the nodes 1 \
                     to {NODES} one of its own"
                );
                return Err(Unfit::new("node_id", what));
            }
            seen.push((id, n));
        }
        Ok(())
    }

    fn commands(&self) -> Result<(), Unfit> {
        // Checks go beyond what a signed number holds.
        for n in [0, 1, 2, 3, (1 << 63) + 9] {
            if !self.ask("command", |driver| driver.has(&Command::plain(n))) {
                let what = format!(
                    "gives `None` for the plain command {n}: give one for every number whose \
                     shape is `Shape::Plain`; only the other shapes are optional"
                );
                return Err(Unfit::new("command", what));
            }
        }
        for shape in [Shape::Empty, Shape::Large(300), Shape::Binary, Shape::Delete, Shape::Refused]
        {
            let _ = self.ask("command", |driver| driver.has(&Command { n: 1, shape }));
        }
        Ok(())
    }

    fn entry(&self, item: &Item) -> Result<Entry, Unfit> {
        let entry = self.ask("command", |driver| driver.entry(item));
        entry.ok_or_else(|| Unfit::new("command", "gives `None` for what it gave a command before"))
    }

    /// The same entry has the same fingerprint, asked twice and made twice.
    fn equal_entries(&self) -> Result<(), Unfit> {
        for (_, item) in entries() {
            let entry = self.entry(&item)?;
            let first = self.fingerprint(&entry);
            let again = self.fingerprint(&entry.clone());
            if first != again {
                let what = format!(
                    "gives different bytes for one entry, {}, when it is asked twice: nothing but \
                     the entry may go into them",
                    Shown(&item)
                );
                return Err(Unfit::new("fingerprint", what));
            }
            if first != self.fingerprint(&self.entry(&item)?) {
                let (method, whose) = match item.payload {
                    Payload::Command(_) => ("command", "command"),
                    _ => ("node", "node"),
                };
                let what = format!(
                    "gives different answers for one {whose}: the entry {}, made twice, has two \
                     fingerprints; the same description always describes the same",
                    Shown(&item)
                );
                return Err(Unfit::new(method, what));
            }
        }
        Ok(())
    }

    /// Entries that differ, each in one thing, have different fingerprints.
    fn different_entries(&self) -> Result<(), Unfit> {
        let mut seen: Vec<(Vec<u8>, Labelled, Entry)> = Vec::new();
        for (label, item) in entries() {
            let entry = self.entry(&item)?;
            let fingerprint = self.fingerprint(&entry);
            for (old, (_, other), _) in
                seen.iter().filter(|(_, _, old)| self.driver.differ(old, &entry))
            {
                if *old == fingerprint {
                    return Err(alike(label, &item, other));
                }
            }
            seen.push((fingerprint, (label, item), entry));
        }
        Ok(())
    }

    /// Memberships of the same nodes at other addresses, where a node has any.
    fn different_nodes(&self) -> Result<(), Unfit> {
        let Some([one, two]) = self.ask("node", |driver| driver.nodes([1, 2])) else {
            return Ok(());
        };
        let [entry, exchanged] = self.ask("node", |driver| driver.exchanged(BASE, [1, 2]));
        if self.fingerprint(&entry) == self.fingerprint(&exchanged) {
            let what = format!(
                "gives the same bytes for two memberships of the same nodes at other addresses \
                 ({one}, {two}): put in what `Backend::node` gives, too"
            );
            return Err(Unfit::new("fingerprint", what));
        }
        Ok(())
    }

    /// Methods whose answers are believed, so that one which panics is named here.
    fn the_rest(&self) {
        let first = [Command::plain(0)];
        self.ask("name", |driver| drop(driver.name()));
        let _ = self.ask("capabilities", |driver| driver.capabilities());
        self.ask("hooks", |driver| drop(driver.hooks()));
        self.ask("known_failures", |driver| drop(driver.known_failures()));
        self.ask("expected_reply", |driver| drop(driver.expected_reply(&first)));
        self.ask("expected_digest", |driver| drop(driver.expected_digest(&first)));
    }
}

fn alike(label: &str, item: &Item, other: &Item) -> Unfit {
    if let (Payload::Command(one), Payload::Command(two)) = (&item.payload, &other.payload)
        && one.n != two.n
    {
        let what = format!(
            "gives the same bytes for two entries with different commands, {} and {}: put the \
             whole payload in, unless it is `Backend::command` that gives {} and {} the same \
             command: it gives each number another one",
            Shown(other),
            Shown(item),
            two,
            one,
        );
        return Unfit::new("fingerprint", what);
    }
    let what = format!(
        "gives the same bytes for two entries that differ in {label}, {} and {}: put all of an \
         entry in, which is its log id (term, leader's node, index), its kind and its payload",
        Shown(other),
        Shown(item),
    );
    Unfit::new("fingerprint", what)
}

const BASE: Id = Id { term: 3, node: 1, index: 5 };

/// Entries that differ, each in one thing from the first of its kind.
fn entries() -> Vec<Labelled> {
    let command = |n| Payload::Command(Command::plain(n));
    let members =
        |configs: &[&[u64]], learners: &[u64]| Payload::Members(Members::joint(configs, learners));
    let three: &[&[u64]] = &[&[1, 2, 3]];
    let mut entries: Vec<Labelled> = vec![
        ("nothing", Item { id: BASE, payload: command(1) }),
        ("the command", Item { id: BASE, payload: command(2) }),
        ("the command", Item { id: BASE, payload: command(3) }),
        ("the kind", Item { id: BASE, payload: Payload::Blank }),
        ("the kind", Item { id: BASE, payload: members(three, &[]) }),
        ("the membership", Item { id: BASE, payload: members(&[&[1, 2, 4]], &[]) }),
        ("the membership's learners", Item { id: BASE, payload: members(three, &[4]) }),
        ("the membership's voters", Item { id: BASE, payload: members(&[&[1, 2]], &[3]) }),
        (
            "the membership's second set of voters",
            Item { id: BASE, payload: members(&[&[1, 2, 3], &[1, 2]], &[]) },
        ),
    ];
    for payload in [command(1), Payload::Blank, members(three, &[])] {
        for (label, id) in [
            ("the index", Id { index: 6, ..BASE }),
            ("the term", Id { term: 4, ..BASE }),
            ("the leader's node", Id { node: 2, ..BASE }),
        ] {
            entries.push((label, Item { id, payload: payload.clone() }));
        }
    }
    entries
}

/// An entry in the words of a history.
struct Shown<'a>(&'a Item);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.0.id, self.0.payload)
    }
}

#[cfg(test)]
#[cfg(feature = "storage-v2")]
mod tests;
