//! A cluster in which proposals queue up.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use seshat_core::error::ProposeError;
use seshat_core::node::RaftNode;
use seshat_core::operation::{Operation, Response};
use tokio::task::JoinHandle;

use super::cluster::{Adjust, Cluster, PATIENCE};

pub(crate) type Proposed = Result<Response, ProposeError>;

/// The answer to a SET.
pub(crate) fn set(previous: Option<&str>) -> Proposed {
    Ok(Response::Set { previous: previous.map(|value| value.to_owned().into()) })
}

/// Sets a key, and asks for what was there before.
pub(crate) async fn set_get(node: &RaftNode, key: &str, value: &str) -> Proposed {
    let (key, value) = (key.to_owned(), value.to_owned());
    node.propose(Operation::set_get(key, value, node.limits()).unwrap()).await
}

/// A cluster of three whose leader has the entry of one SET under way and, isolated, can't
/// finish it: what is proposed now queues up. The others elect nobody for a second. For paused time.
pub(crate) struct Stalled {
    pub(crate) cluster: Cluster,
    pub(crate) leader: RaftNode,
    pub(crate) first: JoinHandle<Proposed>,
}

impl Stalled {
    pub(crate) async fn start(adjust: Adjust) -> Self {
        let cluster = Cluster::start_with(&[1, 2, 3], 7, adjust).await;
        let leader = cluster.leader().await;
        cluster.switchboard.isolate(&leader.id());
        let proposing = leader.clone();
        let before = leader.metrics().borrow().last_log_index;
        let first = tokio::spawn(async move { proposing.set("first", "1").await });
        let appended = leader.wait_until(PATIENCE, "it", |now| now.last_log_index > before);
        appended.await.unwrap();
        Self { cluster, leader, first }
    }

    /// Lets things go on once everything that can be proposed now is.
    pub(crate) async fn go_on(self) -> (Cluster, RaftNode) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.cluster.switchboard.heal();
        assert_eq!(self.first.await.unwrap(), set(None));
        (self.cluster, self.leader)
    }
}
