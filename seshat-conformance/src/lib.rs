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
//! The README tells how to read a report; `CHECKS.md` lists every check.
//!
//! In the order in which things happen: a [`check`] of the [`registry`] gets a [`lab`], the
//! [`runner`] runs it, in this process or in another one, and what comes of it goes to the
//! [`report`].

pub mod backend;
mod baseline;
pub mod budget;
pub mod check;
mod checks;
pub mod cli;
#[cfg(feature = "storage-v2")]
pub mod embedded;
pub mod failure;
mod fixtures;
#[cfg(feature = "storage-v2")]
mod flush;
pub mod harness;
mod history;
mod isolation;
pub mod lab;
pub mod model;
mod poll;
mod preflight;
pub mod record;
#[cfg(feature = "storage-v2")]
pub mod reference;
pub mod registry;
mod replay;
pub mod report;
pub mod requirement;
pub mod runner;
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
}
