//! What the switchboard promises of snapshots that a wire carries whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "common/calls.rs"]
mod calls;
#[path = "common/cluster.rs"]
mod cluster;

use std::future::{Future, pending, ready};
use std::num::NonZeroU64;
use std::time::Duration;

use calls::{TTL, plug};
use openraft::error::{ReplicationClosed, StreamingError};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory};
use openraft::{AnyError, CommittedLeaderId, RaftNetwork};
use seshat_core::machine::Machine;
use seshat_core::network::switchboard::{Carry, Connection, Faults, Ship, Shipped, Switchboard};
use seshat_core::snapshot::{self, SnapshotData};
use seshat_core::types::{Entry, EntryPayload, LogId, Node, Snapshot, SnapshotMeta};
use seshat_core::types::{TypeConfig, Vote};

/// Moves everything as it is, or loses its way with a snapshot.
#[derive(Debug, Clone, Copy)]
struct Whole<const COPIES: bool>;

impl<M, const COPIES: bool> Carry<M> for Whole<COPIES> {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        Ok(message)
    }
}

impl<const COPIES: bool> Ship<TypeConfig> for Whole<COPIES> {
    async fn full_snapshot(
        connection: &mut Connection<TypeConfig, Self>,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Shipped<TypeConfig> {
        let bytes = snapshot.snapshot.len() as u64;
        let copy = |snapshot, _| {
            ready(if COPIES { Ok(snapshot) } else { Err(AnyError::error("no copy")) })
        };
        connection.hand_over(vote, snapshot, bytes, cancel, option, copy).await
    }
}

const LAST: u64 = 1;

fn snapshot() -> Snapshot {
    let id = |index| LogId::new(CommittedLeaderId::new(1, 1), index);
    let blank = |index| Entry { log_id: id(index), payload: EntryPayload::Blank };
    let mut machine = Machine::default();
    machine.apply(vec![blank(0), blank(LAST)]).unwrap();
    let meta = SnapshotMeta { last_log_id: machine.last_applied(), ..SnapshotMeta::default() };
    let bytes = snapshot::write(&machine.freeze());
    Snapshot { meta, snapshot: Box::new(SnapshotData::from(bytes)) }
}

/// Sends a snapshot from node 1 to node 2, and says what became of it and whether it is there.
async fn sent<const COPIES: bool>(
    faults: Faults,
    cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
) -> (Shipped<TypeConfig>, bool) {
    let switchboard = Switchboard::with_wire(7, Whole::<COPIES>);
    let node = plug(&switchboard, 2).await;
    switchboard.set_faults(1, 2, faults);
    let mut connection = switchboard.port(1).new_client(2, &Node::new("")).await;
    let (vote, option) = (Vote::new_committed(1, 1), RPCOption::new(TTL));
    let sent = connection.full_snapshot(vote, snapshot(), cancel, option).await;
    let there = node.raft().get_snapshot().await.unwrap();
    (sent, there.is_some_and(|found| found.meta.last_log_id.is_some_and(|id| id.index == LAST)))
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_handed_over_whole() {
    let (sent, there) = sent::<true>(Faults::default(), pending()).await;
    assert_eq!(sent.unwrap().vote, Vote::new_committed(1, 1));
    assert!(there);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_takes_its_bytes_of_the_bandwidth() {
    let faults = Faults { bytes_per_second: NonZeroU64::new(10), ..Faults::default() };
    let started = tokio::time::Instant::now();
    let (sent, there) = sent::<true>(faults, pending()).await;
    sent.unwrap();
    assert!(there);
    let bytes = snapshot().snapshot.len() as u64;
    let expected = Duration::from_millis(bytes * 100);
    let took = started.elapsed();
    assert!((expected..expected + Duration::from_millis(3)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_is_unreachable() {
    let faults = Faults { cut: true, ..Faults::default() };
    let (sent, there) = sent::<true>(faults, pending()).await;
    assert!(matches!(sent, Err(StreamingError::Unreachable(_))), "{sent:?}");
    assert!(!there);
}

#[tokio::test(start_paused = true)]
async fn a_lost_snapshot_is_not_installed() {
    let faults = Faults { drop: 1.0, ..Faults::default() };
    let (sent, there) = sent::<true>(faults, pending()).await;
    assert!(matches!(sent, Err(StreamingError::Network(_))), "{sent:?}");
    assert!(!there);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_can_not_be_copied_is_not_installed() {
    let (sent, there) = sent::<false>(Faults::default(), pending()).await;
    assert!(matches!(sent, Err(StreamingError::Network(_))), "{sent:?}");
    assert!(!there);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_is_not_kept_waiting() {
    let faults = Faults { drop: 1.0, ..Faults::default() };
    let (sent, there) = sent::<true>(faults, ready(ReplicationClosed::new("the test"))).await;
    assert!(matches!(sent, Err(StreamingError::Closed(_))), "{sent:?}");
    assert!(!there);
}

#[tokio::test(start_paused = true)]
async fn chunks_are_refused_by_a_wire_that_makes_none() {
    let switchboard = Switchboard::with_wire(7, Whole::<true>);
    let _node = plug(&switchboard, 2).await;
    let outcome = calls::send(&switchboard, (1, 2), RPCTypes::InstallSnapshot, 1).await;
    assert!(outcome.is_network_error("this wire carries snapshots whole"), "{outcome:?}");
}
