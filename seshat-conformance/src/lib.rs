//! Tells whether an openraft storage back end keeps openraft's storage contract.
//!
//! Plugging a store in takes the 30 lines of a [`Backend`], for the type configuration that the
//! store has:
//!
//! ```no_run
//! # mod my_store {
//! #     use std::{io, io::Cursor, path::Path};
//! #     use seshat_conformance::reference::{ReferenceLog, ReferenceLogs, ReferenceMachine, ReferenceMachines};
//! #     #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
//! #     pub enum MyCommand { Set { key: String, value: String } }
//! #     openraft::declare_raft_types!(pub MyConfig: D = MyCommand, R = ());
//! #     pub type MyLog = ReferenceLog<MyConfig>;
//! #     pub type MyMachine = ReferenceMachine<MyConfig>;
//! #     pub fn open(dir: &Path) -> io::Result<(MyLog, MyMachine)> {
//! #         let machines = ReferenceMachines::new(encode, |_| ());
//! #         Ok((ReferenceLogs::default().open(dir)?, machines.open(dir)?))
//! #     }
//! #     pub fn encode(entry: &openraft::Entry<MyConfig>) -> Vec<u8> {
//! #         let command = match &entry.payload {
//! #             openraft::EntryPayload::Normal(MyCommand::Set { key, value }) => (key, value),
//! #             _ => return format!("{entry:?}").into_bytes(),
//! #         };
//! #         format!("{:?} {command:?}", entry.log_id).into_bytes()
//! #     }
//! # }
#![doc = include_str!("../docs/backend.rs")]
//! # fn main() -> std::process::ExitCode {
//! #     seshat_conformance::cli::main(MyBackend)
//! # }
//! ```
//!
//! Then there are three ways to run the same checks:
//!
//! - as tests, each check one, with [`conformance_main!`] in a target with `harness = false`;
//! - as a program, with [`cli::main`];
//! - as a call that returns a [`Report`](report::Report), with [`runner::run`].
//!
//! `docs/plug-in.md` leads to a plug-in from an empty folder, by the command `new`. The README
//! tells how to read a report; `CHECKS.md` lists every check.
//!
//! # The house
//!
//! From the bottom up; each room uses only those that stand before it, which `tests/layers.rs`
//! holds. A back end is generic, as openraft is, so whatever is written against it is compiled for
//! each. That ends at the seam: the driver asks in words of the kit's own, and all that follows is
//! compiled once, and names neither openraft nor `Backend`, but for the doors where one comes in:
//! those of `runner`, `record`, `cli` and `harness`.
//!
//! ```text
//! words budget requirement failure   what is said of a store, of a run, of openraft
//! pace                               what the machine gives
//! model history story                what is right, and what may happen
//! backend                            what an author implements
//! reference embedded                 back ends of the kit's own
//! driver                             the seam; below it driver/openraft09, a Backend as a driver
//! spec options outcome               a check before it runs, how to run, what was found
//! power                              the disks below stores: watched, cut off, full, broken
//! lab check                          what a check works with, and what it is
//! poll subject                       the store under test, with the oracle at its side
//! fixtures checks                    the checks, a file a family
//! registry                           all of them, in order
//! baseline preflight replay runner   runs them, in this process
//! isolation                          and in others
//! causes                             which failures explain the others
//! report                             what was found, as text, JSON, JUnit, Markdown
//! record cli harness                 the faces
//! ```

pub mod backend;
mod baseline;
pub mod budget;
pub mod causes;
pub mod check;
mod checks;
pub mod cli;
mod driver;
#[cfg(feature = "storage-v2")]
pub mod embedded;
pub mod failure;
mod fixtures;
pub mod harness;
mod history;
mod isolation;
pub mod lab;
pub mod model;
mod options;
mod outcome;
mod pace;
mod poll;
mod power;
mod preflight;
pub mod record;
#[cfg(feature = "storage-v2")]
pub mod reference;
pub mod registry;
mod replay;
pub mod report;
pub mod requirement;
pub mod runner;
mod spec;
mod story;
mod subject;
mod words;

pub use backend::Backend;
/// Its version is part of this crate's interface: a back end is written for it.
pub use openraft;

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_shows_the_back_end_that_is_compiled() {
        let (readme, backend) = (include_str!("../README.md"), include_str!("../docs/backend.rs"));
        assert!(readme.contains(backend), "README.md and docs/backend.rs differ");
        assert!(backend.lines().count() <= 30, "the README promises 30 lines");
    }

    #[test]
    fn the_page_on_checks_shows_one_that_is_compiled() {
        let (page, family) = (include_str!("../docs/check.md"), include_str!("checks/vote.rs"));
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: Vec<_> = page.split("```rust\n").skip(1).collect();
        assert_eq!(shown.len(), 2);
        for code in shown {
            let code = code.split("```").next().unwrap_or_default();
            assert!(
                flat(family).contains(&flat(code)),
                "checks/vote.rs has no such lines:\n{code}"
            );
            assert!(code.lines().count() <= 10, "the page promises ten lines");
        }
    }
}
