//! The node, and what must hold of it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream;
use openraft::storage::{RaftLogReader, RaftStateMachine};
use seshat_core::codec::Message;
use seshat_core::config::NodeConfig;
use seshat_core::log::LogStore;
use seshat_core::machine::{Machine, MachineStore};
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::proto::v1;
use seshat_core::proto::v1::full_snapshot_request::Part;
use seshat_core::snapshot;
use seshat_core::storage::MemStorage;
use seshat_core::types::{
    AppendEntriesRequest, Entry, EntryPayload, LogId, Membership, Node, Vote, VoteRequest,
};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use twox_hash::XxHash3_64;

use super::liar::Liar;
use super::raw::{self, channel, signed, unary};
use super::speech::{Said, Sent};

/// Longer than anything takes that goes well.
const DEADLINE: Duration = Duration::from_secs(20);
const MEMBERS: [u64; 3] = [1, 2, 3];

/// What the node has.
pub(crate) struct Known {
    pub(crate) vote: Vote,
    pub(crate) committed: Option<LogId>,
    /// The last one that openraft takes for committed, and the last.
    pub(crate) memberships: [Option<LogId>; 2],
    /// Entries that aren't purged, with those of a dozen that are committed.
    pub(crate) log: Vec<Entry>,
    pub(crate) last: Option<LogId>,
}

/// What was committed, told by the log at the time.
#[derive(Default)]
struct Shadow {
    committed: Option<LogId>,
    recent: Vec<LogId>,
    machine: Machine,
}

pub(crate) struct World {
    node: RaftNode,
    _server: GrpcServer,
    log: LogStore,
    machine: MachineStore,
    liar: Liar,
    to_it: Channel,
    shadow: Shadow,
}

fn prost<M: prost::Message + Default>(message: &impl Message) -> M {
    M::decode(message.encode()).unwrap()
}

impl World {
    /// A node that leads, with an entry or two.
    pub(crate) async fn begin(seed: u64) -> Self {
        let liar = Liar::new(seed);
        let others = liar.serve().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let config = NodeConfig::builder(1)
            .member(1, &address)
            .member(2, &others)
            .member(3, others.replace("127.0.0.1", "localhost"))
            .heartbeat_interval(Duration::from_millis(40))
            .election_timeout_min(Duration::from_millis(200))
            .election_timeout_max(Duration::from_millis(400))
            .propose_timeout(Duration::from_millis(500))
            .rpc_timeout(Duration::from_millis(300))
            .build()
            .unwrap();
        let transport = GrpcTransport::new(&config).unwrap();
        let storage = MemStorage::new();
        let (log, machine) = (storage.log.clone(), storage.machine.clone());
        let node = RaftNode::start(config, storage, transport.clone()).await.unwrap();
        let server = GrpcServer::start(&node, &transport, listener, Default::default());
        let server = server.await.unwrap();
        node.initialize().await.unwrap();
        timeout(DEADLINE, server.admit()).await.unwrap().unwrap();
        node.wait_for_leader(DEADLINE).await.unwrap();
        node.set("key", "value").await.unwrap();
        let (to_it, shadow) = (channel(&address), Shadow::default());
        Self { node, _server: server, log, machine, liar, to_it, shadow }
    }

    /// What the node has by now, which contradicts nothing that it had.
    pub(crate) async fn look(&mut self) -> Known {
        let state = self.node.raft().with_raft_state(|state| {
            let memberships = &state.membership_state;
            let [committed, effective] = [memberships.committed(), memberships.effective()];
            let memberships = [*committed.log_id(), *effective.log_id()];
            (*state.vote_ref(), state.committed, memberships)
        });
        let state = timeout(DEADLINE, state).await.expect("an answer");
        let (vote, committed, memberships) = state.expect("a node that runs");
        let running = self.node.metrics().borrow().running_state.clone();
        assert!(running.is_ok(), "{running:?}");
        self.remember(committed).await;
        let from = committed.map_or(0, |id| id.index.saturating_sub(12));
        let log = self.log.try_get_log_entries(from..).await.unwrap();
        let last = log.last().map(|entry| entry.log_id).or(committed);
        Known { vote, committed, memberships, log, last }
    }

    /// Nothing that was committed is lost, or another. Waits until what is committed is applied.
    async fn remember(&mut self, committed: Option<LogId>) {
        let shadow = &mut self.shadow;
        assert!(
            committed >= shadow.committed,
            "{committed:?} is committed after {:?}",
            shadow.committed
        );
        let at = committed.map(|id| id.index);
        assert!(at >= shadow.committed.map(|id| id.index), "{committed:?}");
        for id in &shadow.recent {
            let there = self.log.try_get_log_entries(id.index..=id.index).await.unwrap();
            assert!(
                there.first().is_none_or(|there| there.log_id == *id),
                "{id} was committed: {there:?}"
            );
        }
        let Some(committed) = committed.filter(|id| Some(*id) > shadow.committed) else { return };
        let deadline = Instant::now() + DEADLINE;
        while self.machine.reader().last_applied() < Some(committed) {
            assert!(Instant::now() < deadline, "{committed} isn't applied");
            sleep(Duration::from_micros(200)).await;
        }
        let next = shadow.committed.map_or(0, |id| id.index + 1);
        let news = self.log.try_get_log_entries(next..=committed.index).await.unwrap();
        let whole = news.len() as u64 == committed.index + 1 - next;
        if whole {
            assert_eq!(news.last().map(|entry| entry.log_id), Some(committed));
            shadow.recent.extend(news.iter().map(|entry| entry.log_id));
            shadow.machine.apply(news).unwrap();
        } else {
            // It came by a snapshot.
            let current = self.machine.get_current_snapshot().await.unwrap().expect("a snapshot");
            let (meta, bytes) = (current.meta, current.snapshot.into_bytes().unwrap());
            shadow.machine = snapshot::read(&bytes, &meta).unwrap();
            shadow.recent.clear();
            let rest = meta.last_log_id.map_or(0, |id| id.index + 1);
            let rest = self.log.try_get_log_entries(rest..=committed.index).await.unwrap();
            shadow.machine.apply(rest).unwrap();
        }
        shadow.committed = Some(committed);
        let old = shadow.recent.len().saturating_sub(12);
        shadow.recent.drain(..old);
        // What is committed meanwhile may be applied, too.
        let got = self.machine.reader().digest();
        let now = self.node.raft().with_raft_state(|state| state.committed).await;
        if now.expect("a node that runs") == Some(committed) {
            assert_eq!(got, snapshot::digest(&shadow.machine.freeze()), "at {committed}");
        }
    }

    /// Says it, or has the node do it. What is answered is for others to judge.
    pub(crate) async fn say(&self, said: Said) {
        match said {
            Said::Append(request) => {
                let _ = timeout(DEADLINE, self.append(&request)).await.expect("an answer");
            }
            Said::Vote(request) => {
                let asked = signed("seshat", 1, prost::<v1::VoteRequest>(&request));
                let answer = unary::<_, v1::VoteResponse>(self.to_it.clone(), "Vote", asked);
                let _ = timeout(DEADLINE, answer).await.expect("an answer");
            }
            Said::Snapshot(sent) => {
                let _ = timeout(DEADLINE, self.snapshot(sent)).await.expect("an answer");
            }
            Said::AtOnce(all) => {
                join_all(all.into_iter().map(|one| Box::pin(self.say(one)))).await;
            }
            Said::Answer { lies } => self.liar.lies_one_time_in(lies),
            Said::Propose(n) => {
                let node = self.node.clone();
                tokio::spawn(
                    async move { node.set(format!("own-{}", n % 20), format!("{n}")).await },
                );
            }
            Said::Confirm => {
                let node = self.node.clone();
                tokio::spawn(async move { node.read_linearizable(b"key").await });
            }
            Said::Campaign => self.node.raft().trigger().elect().await.expect("a node that runs"),
            Said::Compact => {
                let trigger = self.node.raft().trigger();
                trigger.snapshot().await.expect("a node that runs");
                let last = self.node.metrics().borrow().snapshot.map_or(0, |id| id.index);
                trigger.purge_log(last).await.expect("a node that runs");
            }
            Said::Wait(ms) => sleep(Duration::from_millis(ms)).await,
        }
    }

    async fn append(
        &self,
        request: &AppendEntriesRequest,
    ) -> Result<v1::AppendEntriesResponse, tonic::Status> {
        let asked = signed("seshat", 1, prost::<v1::AppendEntriesRequest>(request));
        unary(self.to_it.clone(), "AppendEntries", asked).await
    }

    async fn snapshot(&self, sent: Sent) -> Result<v1::FullSnapshotResponse, tonic::Status> {
        let Sent { vote, meta, bytes, offset, cut, announced } = sent;
        let checksum = XxHash3_64::oneshot(&bytes);
        let header = v1::FullSnapshotHeader {
            vote: Some((&vote).into()),
            meta: Some(prost(&meta)),
            length: announced.unwrap_or(bytes.len() as u64),
            offset: offset as u64,
            checksum: Some(checksum),
        };
        let mut parts = vec![Part::Header(header)];
        let offset = offset.min(bytes.len());
        let end = cut.unwrap_or(bytes.len()).clamp(offset, bytes.len());
        parts.extend(
            bytes.slice(offset..end).chunks(64).map(|some| Part::Chunk(bytes.slice_ref(some))),
        );
        if cut.is_none() {
            parts.push(Part::Trailer(v1::FullSnapshotTrailer { checksum }));
        }
        let parts = parts.into_iter().map(|part| v1::FullSnapshotRequest { part: Some(part) });
        raw::snapshot(self.to_it.clone(), signed("seshat", 1, stream::iter(parts))).await
    }

    /// An honest leader of the next term leads the node, which then leads the others.
    pub(crate) async fn end(mut self) {
        self.liar.lies_one_time_in(0);
        let deadline = Instant::now() + DEADLINE;
        loop {
            let known = self.look().await;
            let Err(why) = self.is_led(&known).await else { break };
            assert!(Instant::now() < deadline, "nobody can lead it: {why}");
        }
        self.look().await;
        while !self.node.is_leader() || self.node.set("key", "as ever").await.is_err() {
            assert!(Instant::now() < deadline, "it can't lead: {:?}", self.node.metrics().borrow());
            sleep(Duration::from_millis(10)).await;
        }
        self.look().await;
        self.node.shutdown().await;
    }

    /// Whether a leader that has the node's log could have it commit another entry. Not if the node
    /// itself led meanwhile.
    async fn is_led(&self, known: &Known) -> Result<(), String> {
        let nobody = VoteRequest::new(Vote::default(), None);
        let last = self.node.raft().vote(nobody).await.unwrap().last_log_id;
        let vote = Vote::new_committed(known.vote.leader_id.term + 1, 2);
        let log_id = LogId::new(vote.leader_id, last.map_or(0, |last| last.index + 1));
        let nodes =
            self.node.config().members().iter().map(|(id, address)| (*id, Node::new(address)));
        let membership = Membership::new(vec![MEMBERS.into()], nodes.collect::<BTreeMap<_, _>>());
        let entries = vec![Entry { log_id, payload: EntryPayload::Membership(membership) }];
        let leader_commit = Some(log_id);
        let request = AppendEntriesRequest { vote, prev_log_id: last, entries, leader_commit };
        let answer = timeout(DEADLINE, self.append(&request)).await.expect("an answer");
        let success = v1::append_entries_response::Result::Success(v1::AppendSuccess {});
        match answer {
            Ok(answer) if answer.result == Some(success) => Ok(()),
            answer => Err(format!("{answer:?} to {request:?}")),
        }
    }
}
