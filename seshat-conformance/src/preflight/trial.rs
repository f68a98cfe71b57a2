//! What a [`Backend`](crate::Backend) answers, tried on its own store: `open`, `digest`,
//! `show_reply` and what is expected of them, each on a fresh node that applies one command.
//!
//! Guarantees: of a log store nothing is asked; a store that fails, panics or hangs ends the trial
//! without a word, as its checks will tell.

use std::path::Path;
use std::time::Duration;

use super::judge::{self, Seen};
use super::{Asking, Unfit};
use crate::driver::Driver;
use crate::driver::seen::Entry;
use crate::driver::store::Machine;
use crate::model::{Id, Item, Members, Payload};
use crate::words::{BoxError, Command, Shape};

/// All of it takes this many times a call's patience at most.
pub(crate) const PATIENCES: u32 = 2;

/// Two plain commands, and one of every other shape that the application has.
fn commands(driver: &dyn Driver) -> impl Iterator<Item = Command> {
    let odd = [Shape::Empty, Shape::Large(300), Shape::Binary, Shape::Delete, Shape::Refused];
    let odd = odd.map(|shape| Command { n: 1, shape });
    [Command::plain(1), Command::plain(2)].into_iter().chain(odd).filter(|c| driver.has(c))
}

/// Tries all of it below `dir`.
///
/// # Errors
/// The method to change, and how.
pub(crate) async fn trial(
    driver: &dyn Driver,
    dir: &Path,
    asking: &Asking,
    patience: Duration,
) -> Result<(), Unfit> {
    let (trial, mut tried) = (Trial { driver, asking }, Vec::new());
    for (place, command) in commands(driver).enumerate() {
        let node = dir.join(format!("node-{place}"));
        let applying = trial.apply(&node, command);
        match tokio::time::timeout(patience, applying).await {
            Ok(Ok(one)) => tried.push(one),
            Ok(Err(End::Unfit(unfit))) => return Err(unfit),
            Ok(Err(End::Store)) | Err(_) => return Ok(()),
        }
    }
    let empty = tried.first().map(|one| one.empty.clone());
    let digests: Vec<Seen> =
        empty.into_iter().chain(tried.iter().map(|t| t.digest.clone())).collect();
    let replies: Vec<Seen> = tried.into_iter().map(|one| one.reply).collect();
    judge::digests(&digests)?;
    judge::replies(&replies)
}

/// What one fresh node showed.
struct Tried {
    empty: Seen,
    digest: Seen,
    reply: Seen,
}

/// Why a trial ends early.
enum End {
    Unfit(Unfit),
    /// A call of the store failed.
    Store,
}

impl From<BoxError> for End {
    fn from(_: BoxError) -> Self {
        Self::Store
    }
}

struct Trial<'a> {
    driver: &'a dyn Driver,
    asking: &'a Asking,
}

impl Trial<'_> {
    /// Opens a fresh node and has it apply a membership and the command, one by one.
    async fn apply(&self, dir: &Path, command: Command) -> Result<Tried, End> {
        let driver = self.driver;
        std::fs::create_dir_all(dir).map_err(|_| End::Store)?;
        let (members, entry) = self.entries(command)?;
        self.asking.begin("open");
        let opened = driver.open(dir).await;
        self.asking.store();
        let (log, mut machine) = opened.map_err(|error| {
            let what = format!("fails on an empty directory, which is a fresh node: {error}");
            End::Unfit(Unfit::new("open", what))
        })?;
        let print = driver.fingerprint(&entry);
        let empty = self.digest(&mut *machine, None, &print).await?;
        machine.apply(vec![members]).await?;
        let replies = machine.apply(vec![entry]).await?;
        let reply = self.reply(command, &print, || match replies.len() {
            1 => replies.show(0),
            _ => None,
        })?;
        let digest = self.digest(&mut *machine, Some(command), &print).await?;
        driver.close(dir, log, machine).await?;
        Ok(Tried { empty, digest, reply })
    }

    fn entries(&self, command: Command) -> Result<(Entry, Entry), End> {
        let id = |index| Id { term: 1, node: 1, index };
        let members = Payload::Members(Members::joint(&[&[1]], &[]));
        let members = Item { id: id(0), payload: members };
        let command = Item { id: id(1), payload: Payload::Command(command) };
        let entry = |item| self.driver.entry(item).ok_or(End::Store);
        Ok((entry(&members)?, entry(&command)?))
    }

    async fn digest(
        &self,
        machine: &mut dyn Machine,
        after: Option<Command>,
        print: &[u8],
    ) -> Result<Seen, End> {
        self.asking.begin("digest");
        let got = machine.digest().await?;
        let again = machine.digest().await?;
        self.asking.store();
        self.same("digest", after, &got, &again)?;
        let expected = self.expected("expected_digest", after, |driver, applied| {
            driver.expected_digest(applied)
        })?;
        Ok(Seen { after, print: print.to_vec(), expected, got })
    }

    fn reply(
        &self,
        command: Command,
        print: &[u8],
        show: impl Fn() -> Option<String>,
    ) -> Result<Seen, End> {
        self.asking.begin("show_reply");
        let [got, again] = [(); 2].map(|()| show().map(String::into_bytes));
        self.asking.store();
        let after = Some(command);
        self.same("show_reply", after, &got, &again)?;
        let expected = self.expected("expected_reply", after, |driver, applied| {
            driver.expected_reply(applied).map(String::into_bytes)
        })?;
        Ok(Seen { after, print: print.to_vec(), expected, got })
    }

    fn expected(
        &self,
        method: &'static str,
        after: Option<Command>,
        ask: impl Fn(&dyn Driver, &[Command]) -> Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, End> {
        self.asking.begin(method);
        let [first, again] = [(); 2].map(|()| ask(self.driver, after.as_slice()));
        self.asking.store();
        self.same(method, after, &first, &again)?;
        Ok(first)
    }

    /// The same question has the same answer.
    fn same(
        &self,
        method: &'static str,
        after: Option<Command>,
        first: &Option<Vec<u8>>,
        again: &Option<Vec<u8>>,
    ) -> Result<(), End> {
        if first == again {
            return Ok(());
        }
        let [first, again] = [first, again].map(|answer| judge::shown(answer.as_deref()));
        let what = format!(
            "gives two answers {}, asked twice with nothing in between: {first} and {again}: \
             nothing but the state may go into it (a `HashMap` has another order each time)",
            judge::Moment(after)
        );
        Err(End::Unfit(Unfit::new(method, what)))
    }
}
