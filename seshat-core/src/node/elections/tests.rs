//! In which order a probation begins, and what a restart finds.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use super::*;
use crate::config::NodeConfig;
use crate::log::LogStore;
use crate::machine::{MachineReader, MachineStore};
use crate::network::StubNetwork;
use crate::node::RaftNode;
use crate::storage::{MemStorage, Storage};
use crate::types::{LeaderId, LogId, Vote};

/// Memory that outlives a node, and notes which vote was stored when a probation was kept.
#[derive(Debug, Clone, Default)]
struct Watched {
    memory: MemStorage,
    kept: Arc<Mutex<Vec<Kept>>>,
}

type Kept = (Probation, Option<Vote>);

impl Storage for Watched {
    type Log = LogStore;
    type Machine = MachineStore;
    type Reader = MachineReader;

    fn into_parts(self) -> (LogStore, MachineStore, MachineReader) {
        self.memory.into_parts()
    }

    fn probations(&self) -> Arc<dyn Probations> {
        Arc::new(self.clone())
    }
}

impl Probations for Watched {
    fn kept(&self) -> Option<Probation> {
        self.kept.lock().unwrap().last().map(|(probation, _)| *probation)
    }

    fn keep(&self, probation: Probation) -> Result<(), StorageError> {
        let vote = self.memory.log.hard_state().vote;
        self.kept.lock().unwrap().push((probation, vote));
        Ok(())
    }
}

/// Whatever ends the process then, it has nothing, or says what it is worth.
#[tokio::test]
async fn a_probation_is_kept_before_the_vote_and_once() {
    let (storage, vote) = (Watched::default(), Vote::new_committed(7, 2));
    let committed = LogId::new(LeaderId::new(7, 2), 9);
    let probation = Probation { leadership: Leadership { vote, committed } };
    let config = NodeConfig::builder(1).member(1, "a").member(2, "b").member(3, "c");
    let config = config.build().unwrap();
    for _ in 0..2 {
        let node = RaftNode::start(config.clone(), storage.clone(), StubNetwork).await.unwrap();
        node.elections().begin(probation).await.unwrap();
        assert_eq!(node.elections().probation(), Some(probation));
        assert_eq!(storage.memory.log.hard_state().vote, Some(vote));
        node.stop().await;
    }
    assert_eq!(*storage.kept.lock().unwrap(), [(probation, None)]);
    let node = RaftNode::start(config, storage, StubNetwork).await.unwrap();
    assert_eq!(node.elections().reason_against(), Some(Reason::Probation), "as it starts");
}
