//! Stores that are right, however unusual, are accused of nothing.
#![cfg(feature = "storage-v2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, dead_code, unused_imports)]

mod stores;

use openraft::testing::{StoreBuilder, Suite};
use seshat_conformance::Backend;
use seshat_conformance::backend::Keeps;
use seshat_conformance::openraft;
use stores::Store;
use stores::log::Log;
use stores::machine::Machine;
use stores::types::{Config, Error};

struct Build(Store);

impl StoreBuilder<Config, Log, Machine, tempfile::TempDir> for Build {
    async fn build(&self) -> Result<(tempfile::TempDir, Log, Machine), Error> {
        let dir = tempfile::tempdir().unwrap();
        let (log, machine) = self.0.open(dir.path()).await.unwrap();
        Ok((dir, log, machine))
    }
}

#[test]
fn the_right_store_passes_openrafts_suite() {
    Suite::test_all(Build(Store::right(Keeps::Snapshot))).unwrap();
    Suite::test_all(Build(Store::right(Keeps::Applied))).unwrap();
}
