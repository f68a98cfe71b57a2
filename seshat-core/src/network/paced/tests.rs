//! A scripted transport under [`Paced`], on paused time.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{NetworkError, Unreachable};
use tokio::sync::oneshot;

use super::*;
use crate::operation::{Batch, Limits, Operation};
use crate::types::LeaderId;

const HEARTBEAT: Duration = Duration::from_millis(100);
const VOTE: (u64, u64) = (3, 1);

/// A call that carries entries, and waits for the test to answer it.
struct Carried {
    request: AppendEntriesRequest,
    waits: Duration,
    answer: oneshot::Sender<End>,
}

/// What a peer does, as the test says.
#[derive(Clone)]
struct Peer {
    shared: Arc<Shared>,
}

struct Shared {
    clients: AtomicUsize,
    heartbeats: Mutex<Vec<AppendEntriesRequest>>,
    /// What heartbeats are answered; with `None` they aren't.
    echo: Mutex<Option<fn() -> AppendEntriesResponse>>,
    carried: Mutex<Vec<Carried>>,
    /// How long a snapshot takes.
    snapshot_takes: Duration,
}

impl Peer {
    fn new() -> Self {
        Self::that_installs_in(Duration::ZERO)
    }

    fn that_installs_in(snapshot_takes: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                clients: AtomicUsize::new(0),
                heartbeats: Mutex::default(),
                echo: Mutex::new(Some(|| AppendEntriesResponse::Success)),
                carried: Mutex::default(),
                snapshot_takes,
            }),
        }
    }

    fn echoes(&self, echo: Option<fn() -> AppendEntriesResponse>) {
        *self.shared.echo.lock().unwrap() = echo;
    }

    fn heartbeats(&self) -> Vec<AppendEntriesRequest> {
        std::mem::take(&mut *self.shared.heartbeats.lock().unwrap())
    }

    /// The calls with entries since the last time.
    fn carried(&self) -> Vec<Carried> {
        std::mem::take(&mut *self.shared.carried.lock().unwrap())
    }

    fn one(&self) -> Carried {
        let mut carried = self.carried();
        assert_eq!(carried.len(), 1, "calls with entries");
        carried.remove(0)
    }
}

impl RaftNetworkFactory<TypeConfig> for Peer {
    type Network = Self;

    async fn new_client(&mut self, _: NodeId, _: &Node) -> Self {
        self.shared.clients.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(&mut self, request: AppendEntriesRequest, option: RPCOption) -> End {
        if request.entries.is_empty() {
            self.shared.heartbeats.lock().unwrap().push(request);
            let echo = *self.shared.echo.lock().unwrap();
            return match echo {
                Some(echo) => Ok(echo()),
                None => std::future::pending().await,
            };
        }
        let (answer, answered) = oneshot::channel();
        let carried = Carried { request, waits: option.hard_ttl(), answer };
        self.shared.carried.lock().unwrap().push(carried);
        answered.await.unwrap()
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse, RpcError<InstallSnapshotError>> {
        Err(Unreachable::new(&std::fmt::Error).into())
    }

    async fn vote(&mut self, _: VoteRequest, _: RPCOption) -> Result<VoteResponse, RpcError> {
        Err(Unreachable::new(&std::fmt::Error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        _: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<NodeId>>> {
        tokio::time::sleep(self.shared.snapshot_takes).await;
        Ok(SnapshotResponse::new(vote))
    }
}

async fn send_snapshot(connection: &mut PacedConnection<Peer>) -> SnapshotResponse {
    let data = Box::new(crate::snapshot::SnapshotData::from(Bytes::new()));
    let snapshot = Snapshot { meta: crate::types::SnapshotMeta::default(), snapshot: data };
    let (vote, never) = (Vote::new_committed(VOTE.0, VOTE.1), std::future::pending());
    connection.full_snapshot(vote, snapshot, never, RPCOption::new(HEARTBEAT)).await.unwrap()
}

fn log_id(index: u64) -> LogId {
    LogId::new(LeaderId::new(VOTE.0, VOTE.1), index)
}

/// Entries of so many bytes each, behind `prev`.
fn request(prev: Option<u64>, entries: u64, bytes: usize) -> AppendEntriesRequest {
    let set = Operation::set("k", Bytes::from(vec![7; bytes]), &Limits::default()).unwrap();
    let first = prev.map_or(0, |prev| prev + 1);
    let entry = |index| Entry {
        log_id: log_id(index),
        payload: EntryPayload::Normal(Batch::from(set.clone())),
    };
    AppendEntriesRequest {
        vote: Vote::new_committed(VOTE.0, VOTE.1),
        prev_log_id: prev.map(log_id),
        entries: (first..first + entries).map(entry).collect(),
        leader_commit: prev.map(log_id),
    }
}

async fn connect(peer: &Peer) -> (Paced<Peer>, PacedConnection<Peer>) {
    let mut paced = Paced::new(peer.clone(), Ways::new(HEARTBEAT));
    let connection = paced.new_client(2, &Node::new("node-2")).await;
    (paced, connection)
}

/// As openraft calls: `None` if it gave up.
async fn send(
    connection: &mut PacedConnection<Peer>,
    request: AppendEntriesRequest,
) -> Option<End> {
    let sent = connection.append_entries(request, RPCOption::new(HEARTBEAT));
    tokio::time::timeout(HEARTBEAT, sent).await.ok()
}

/// Has the peer answer the next call with entries after `pause`.
fn answers(peer: &Peer, pause: Duration, end: End) {
    let peer = peer.clone();
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        peer.one().answer.send(end).unwrap();
    });
}

const PREV: Option<u64> = Some(6);

fn matches_prev(end: Option<End>) -> bool {
    end == Some(Ok(AppendEntriesResponse::PartialSuccess(Some(log_id(6)))))
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_soon_passes_as_it_is() {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    for _ in 0..3 {
        answers(&peer, HEARTBEAT / 4, Ok(AppendEntriesResponse::Success));
        let end = send(&mut connection, request(PREV, 2, 10)).await;
        assert_eq!(end, Some(Ok(AppendEntriesResponse::Success)));
    }
    assert!(peer.heartbeats().is_empty());
    assert_eq!(peer.shared.clients.load(Ordering::Relaxed), 2, "connections are used again");
}

#[tokio::test(start_paused = true)]
async fn what_takes_long_goes_on_with_heartbeats_and_is_joined() {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    for _ in 0..20 {
        assert!(matches_prev(send(&mut connection, request(PREV, 2, 10)).await));
        let heartbeats = peer.heartbeats();
        assert_eq!(heartbeats.len(), 1, "one within each of openraft's deadlines");
        let AppendEntriesRequest { vote, prev_log_id, leader_commit, .. } = heartbeats[0];
        let expected = request(PREV, 0, 0);
        assert_eq!((vote, prev_log_id), (expected.vote, expected.prev_log_id));
        assert_eq!(leader_commit, expected.leader_commit);
    }
    // Sent once, and whoever asks next gets the answer; also who asks for more meanwhile.
    answers(&peer, HEARTBEAT / 4, Ok(AppendEntriesResponse::Success));
    let end = send(&mut connection, request(PREV, 5, 10)).await;
    assert_eq!(end, Some(Ok(AppendEntriesResponse::PartialSuccess(Some(log_id(8))))));
    // That is over: the next call is one of its own.
    answers(&peer, Duration::ZERO, Ok(AppendEntriesResponse::Success));
    let end = send(&mut connection, request(Some(8), 3, 10)).await;
    assert_eq!(end, Some(Ok(AppendEntriesResponse::Success)));
}

#[tokio::test(start_paused = true)]
async fn what_openraft_gave_up_goes_on() {
    let peer = Peer::new();
    peer.echoes(None);
    let (mut paced, mut connection) = connect(&peer).await;
    assert_eq!(send(&mut connection, request(PREV, 1, 10)).await, None);
    assert_eq!(send(&mut connection, request(PREV, 1, 10)).await, None);
    assert_eq!(peer.heartbeats().len(), 2);
    // Answered while nobody asks; and openraft asks over another connection, as after a change of
    // membership.
    peer.one().answer.send(Ok(AppendEntriesResponse::Success)).unwrap();
    let mut another = paced.new_client(2, &Node::new("node-2")).await;
    drop(connection);
    let end = send(&mut another, request(PREV, 1, 10)).await;
    assert_eq!(end, Some(Ok(AppendEntriesResponse::Success)));
    assert!(peer.carried().is_empty());
}

/// openraft's engine takes "matches nothing" for a mistake.
#[tokio::test(start_paused = true)]
async fn a_first_entry_that_takes_long_is_joined_without_a_partial_success() {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    assert_eq!(send(&mut connection, request(None, 1, 10)).await, None);
    answers(&peer, Duration::ZERO, Ok(AppendEntriesResponse::Success));
    let end = send(&mut connection, request(None, 1, 10)).await;
    assert_eq!(end, Some(Ok(AppendEntriesResponse::Success)));
}

#[rstest::rstest]
#[case::another_leader(|| AppendEntriesResponse::HigherVote(Vote::new(9, 2)))]
#[case::entries_that_do_not_fit(|| AppendEntriesResponse::Conflict)]
#[tokio::test(start_paused = true)]
async fn a_follower_that_refuses_the_heartbeat_ends_what_is_under_way(
    #[case] refusal: fn() -> AppendEntriesResponse,
) {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    assert!(matches_prev(send(&mut connection, request(PREV, 1, 10)).await));
    peer.echoes(Some(refusal));
    assert_eq!(send(&mut connection, request(PREV, 1, 10)).await, Some(Ok(refusal())));
    let mut given_up = peer.one();
    given_up.answer.closed().await;
}

#[rstest::rstest]
#[case::behind_another_entry(request(Some(7), 1, 10))]
#[case::of_another_leader(AppendEntriesRequest {
    vote: Vote::new_committed(4, 1),
    ..request(PREV, 1, 10)
})]
#[tokio::test(start_paused = true)]
async fn what_openraft_no_longer_asks_for_is_given_up(#[case] other: AppendEntriesRequest) {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    assert!(matches_prev(send(&mut connection, request(PREV, 1, 10)).await));
    let mut given_up = peer.one();
    answers(&peer, Duration::ZERO, Ok(AppendEntriesResponse::Success));
    assert_eq!(send(&mut connection, other).await, Some(Ok(AppendEntriesResponse::Success)));
    given_up.answer.closed().await;
}

#[rstest::rstest]
#[case::the_leader_leads_no_more(false)]
#[case::a_snapshot_is_sent_instead(true)]
#[tokio::test(start_paused = true)]
async fn what_nobody_needs_is_given_up(#[case] snapshot: bool) {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    assert!(matches_prev(send(&mut connection, request(PREV, 1, 10)).await));
    let mut given_up = peer.one();
    if snapshot {
        send_snapshot(&mut connection).await;
    } else {
        drop(connection);
    }
    given_up.answer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_sent_a_snapshot_hears_heartbeats() {
    let peer = Peer::that_installs_in(HEARTBEAT * 50);
    let (_, mut connection) = connect(&peer).await;
    // One that installs answers none.
    peer.echoes(None);
    send_snapshot(&mut connection).await;
    let heartbeats = peer.heartbeats();
    assert!((24..=50).contains(&heartbeats.len()), "{} heartbeats", heartbeats.len());
    for AppendEntriesRequest { vote, prev_log_id, leader_commit, .. } in heartbeats {
        assert_eq!(vote, Vote::new_committed(VOTE.0, VOTE.1));
        assert_eq!((prev_log_id, leader_commit), (None, None), "it may be behind all of them");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_ends_when_another_node_leads() {
    let peer = Peer::that_installs_in(HEARTBEAT * 1000);
    let (_, mut connection) = connect(&peer).await;
    peer.echoes(Some(|| AppendEntriesResponse::HigherVote(Vote::new(9, 2))));
    assert_eq!(send_snapshot(&mut connection).await.vote, Vote::new(9, 2));
    assert_eq!(peer.heartbeats().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_sent_again_and_waited_for_longer() {
    let peer = Peer::new();
    let (_, mut connection) = connect(&peer).await;
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert!(matches_prev(send(&mut connection, request(PREV, 1, 10)).await));
        let lost = peer.one();
        tokio::time::sleep(lost.waits).await;
        waits.push(lost.waits);
        lost.answer.send(Err(NetworkError::new(&std::fmt::Error).into())).unwrap();
        tokio::task::yield_now().await;
    }
    assert!(waits.windows(2).all(|two| two[1] >= two[0] * 2), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_carries_what_the_link_carries_in_time() {
    let peer = Peer::new();
    let (paced, mut connection) = connect(&peer).await;
    let voters = openraft::Membership::new(vec![[1, 2, 3].into()], None);
    let budget = || paced.ways.to(2).budget();
    let before = budget();
    // 1 MB/s: what crosses in half a heartbeat interval is some 50 KB.
    let mut last = 6;
    for _ in 0..40 {
        let asked = request(Some(last), 100, 4 << 10);
        let peer = peer.clone();
        let link = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                for call in peer.carried() {
                    let bytes: usize = call.request.entries.iter().map(weight).sum();
                    tokio::time::sleep(Duration::from_micros(bytes as u64)).await;
                    // Given up, maybe.
                    let _ = call.answer.send(Ok(AppendEntriesResponse::Success));
                }
            }
        });
        let end = send(&mut connection, asked).await.unwrap().unwrap();
        let AppendEntriesResponse::PartialSuccess(Some(upto)) = end else { panic!("{end:?}") };
        last = upto.index;
        link.abort();
    }
    let found = budget();
    assert!((20_000..60_000).contains(&found), "{before} became {found}");
    // A quorum of three is this node and the faster one of the others, of which nothing is known.
    assert!(paced.ways.quorum_budget(1, &voters) > found);
    assert_eq!(
        paced.ways.quorum_budget(1, &openraft::Membership::new(vec![[1, 2].into()], None)),
        found
    );
}

/// A receiver takes no more of them (`codec::MAX_MEMBERSHIPS`), so that it needn't hold what they become.
#[test]
fn a_call_carries_no_more_memberships_than_a_receiver_takes() {
    let membership = openraft::Membership::new(vec![[1].into()], None);
    let mut asked = request(Some(6), 2000, 0);
    for entry in &mut asked.entries {
        entry.payload = EntryPayload::Membership(membership.clone());
    }
    let told = Asked::of(&asked).unwrap();
    load(&mut asked, told, REPLICATION_BYTES);
    assert_eq!(asked.entries.len(), MAX_MEMBERSHIPS);
}

#[rstest::rstest]
#[case::alone(vec![vec![1]], usize::MAX)]
#[case::of_three_the_faster_other(vec![vec![1, 2, 3]], 30_000)]
#[case::of_four_two_others(vec![vec![1, 2, 3, 4]], 20_000)]
#[case::of_five_two_others(vec![vec![1, 2, 3, 4, 5]], 30_000)]
#[case::a_leader_that_leaves_is_no_part_of_it(vec![vec![2, 3, 4]], 20_000)]
#[case::both_of_a_joint_change(vec![vec![1, 2, 3], vec![1, 2, 4]], 20_000)]
#[case::fast_enough(vec![vec![1, 5, 6]], usize::MAX)]
fn a_quorum_is_as_fast_as_its_slowest_member(
    #[case] configs: Vec<Vec<u64>>,
    #[case] budget: usize,
) {
    let ways = Ways::new(HEARTBEAT);
    for (id, bytes) in [(2, 20_000), (3, 30_000), (4, 10_000), (5, 1 << 20), (6, 1 << 20)] {
        ways.to(id).lock().pace.set(bytes);
    }
    let configs = configs.into_iter().map(BTreeSet::from_iter);
    let membership = openraft::Membership::new(configs.collect(), None);
    assert_eq!(ways.quorum_budget(1, &membership), budget);
}

/// Milliseconds since a start at which 2 and 3 were heard; 4 never was.
#[rstest::rstest]
#[case::alone(vec![vec![1]], None)]
#[case::of_three_the_other_heard_last(vec![vec![1, 2, 3]], Some(3))]
#[case::of_three_the_only_other_heard(vec![vec![1, 2, 4]], Some(2))]
#[case::of_four_two_others(vec![vec![1, 2, 3, 4]], Some(2))]
#[case::one_of_two_others_that_are_needed(vec![vec![1, 2, 4, 5]], None)]
#[case::a_leader_that_leaves_is_no_part_of_it(vec![vec![2, 3, 4]], Some(2))]
#[case::both_of_a_joint_change(vec![vec![1, 2, 3], vec![1, 2, 4]], Some(2))]
#[case::one_of_a_joint_change_is_silent(vec![vec![1, 2, 3], vec![1, 4, 5]], None)]
fn a_quorum_is_heard_when_the_last_of_it_is(
    #[case] configs: Vec<Vec<u64>>,
    #[case] expected: Option<u64>,
) {
    let (ways, start) = (Ways::new(HEARTBEAT), Instant::now());
    for (id, at) in [(2, Some(2)), (3, Some(3)), (4, None)] {
        ways.to(id).lock().heard = at.map(|at| start + Duration::from_millis(at));
    }
    let configs = configs.into_iter().map(BTreeSet::from_iter);
    let membership = openraft::Membership::new(configs.collect(), None);
    let heard = ways.quorum_heard(1, &membership);
    assert_eq!(heard.map(|at| (at - start).as_millis() as u64), expected);
}

#[tokio::test(start_paused = true)]
async fn one_heartbeat_has_longer_where_the_last_one_was_not_answered_in_time() {
    let peer = Peer::new();
    let (paced, mut connection) = connect(&peer).await;
    let heard = || paced.ways.to(2).lock().heard;
    let mut beat = async || {
        let vote = Vote::new_committed(VOTE.0, VOTE.1);
        let sent = connection.append_entries(heartbeat(vote), RPCOption::new(HEARTBEAT));
        let answered = tokio::time::timeout(HEARTBEAT, sent).await.is_ok();
        tokio::task::yield_now().await;
        (answered, peer.heartbeats().len())
    };
    assert_eq!(beat().await, (true, 1));
    let first = heard();
    assert!(first.is_some());
    peer.echoes(None);
    assert_eq!(beat().await, (false, 1));
    assert_eq!(beat().await, (false, 2), "one has longer");
    assert_eq!(beat().await, (false, 1), "and no other meanwhile");
    assert_eq!(heard(), first);
    tokio::time::sleep(ASK_FOR * HEARTBEAT).await;
    assert_eq!(beat().await, (false, 2), "the next one");
    peer.echoes(Some(|| AppendEntriesResponse::Success));
    assert_eq!(beat().await, (true, 1));
    assert!(heard() > first);
    assert_eq!(beat().await, (true, 1), "none where answers come in time");
}
