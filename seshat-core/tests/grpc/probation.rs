//! A node that takes part on a leader's word holds back until it has caught up.

use std::time::Duration;

use rstest::rstest;
use seshat_core::codec::Leadership;
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::network::grpc::Admission;
use seshat_core::node::Handover;
use seshat_core::proto::v1;
use seshat_core::proto::v1::append_entries_response::Result as Append;
use seshat_core::storage::{Probation, Storage};
use seshat_core::types::{LogId, NodeId, RaftMetrics, Vote};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::admission::listen_again;
use crate::host::{DEADLINE, Host, Ports, leader, set};
use crate::raw::{channel, signed, unary};

fn sent(vote: Vote) -> v1::Vote {
    let (leader, committed) = (vote.leader_id, vote.committed);
    v1::Vote { term: leader.term, node_id: leader.node_id, committed }
}

async fn is_voter(host: &Host, id: NodeId) {
    let voter = move |now: &RaftMetrics| now.membership_config.voter_ids().any(|voter| voter == id);
    host.node.wait_until(DEADLINE, "to have the voter", voter).await.unwrap();
}

/// A cluster of three, of which one that doesn't lead was removed, and started again.
struct OneWaits {
    hosts: Vec<Host>,
    waits: Host,
    addresses: Vec<String>,
    /// Where the one that waits keeps what it has.
    dir: TempDir,
}

impl OneWaits {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports = Ports::of(3).await;
        let configs: Vec<_> = (1..=3).map(|id| ports.config(id).build().unwrap()).collect();
        let addresses: Vec<_> = (1..=3).map(|id| ports.address(id).to_owned()).collect();
        let mut hosts = ports.cluster().await;
        set(&hosts, "key", "value").await;
        let leads = leader(&hosts).await.node.id();
        let at = hosts.iter().position(|host| host.node.id() != leads).unwrap();
        let gone = hosts.remove(at);
        let stay = hosts.iter().map(|host| host.node.id()).collect();
        leader(&hosts).await.node.change_membership(stay, false).await.unwrap();
        gone.node.stop().await;
        gone.server.shutdown().await;
        drop(gone.node);
        let listener = listen_again(&addresses[at]).await;
        let waits = Host::on_disk(configs[at].clone(), listener, dir.path()).await;
        assert_eq!(waits.admit().await, Ok(Admission::Waits));
        Self { hosts, waits, addresses, dir }
    }

    /// The one that waits starts again, on what it kept. It has not been admitted.
    async fn restarted(self) -> Self {
        let Self { hosts, waits, addresses, dir } = self;
        let config = waits.node.config().clone();
        waits.node.stop().await;
        waits.server.shutdown().await;
        let listener = listen_again(&addresses[config.node_id() as usize - 1]).await;
        let waits = Host::on_disk(config, listener, dir.path()).await;
        Self { hosts, waits, addresses, dir }
    }

    fn id(&self) -> NodeId {
        self.waits.node.id()
    }

    fn address(&self) -> &str {
        &self.addresses[self.id() as usize - 1]
    }

    /// Asks the one that waits for its vote, as a candidate of a later term whose log is longer than
    /// any.
    async fn vote(&self) -> Result<v1::VoteResponse, Status> {
        let vote = v1::Vote { term: 1_000, node_id: 9, committed: false };
        let last_log_id = Some(v1::LogId { term: 999, node_id: 9, index: 1_000_000 });
        let request = v1::VoteRequest { vote: Some(vote), last_log_id };
        unary(channel(self.address()), "Vote", signed("seshat", self.id(), request)).await
    }

    async fn append(&self, request: v1::AppendEntriesRequest) -> Append {
        let request = signed("seshat", self.id(), request);
        let answer = unary(channel(self.address()), "AppendEntries", request);
        answer.await.map(|answer: v1::AppendEntriesResponse| answer.result).unwrap().unwrap()
    }

    /// Sends it the first entry of its cluster's log: all three are voters.
    async fn first_entry(&self, vote: Vote) {
        let node = |address: &String| Some(v1::Node { address: address.clone() });
        let members = self.addresses.iter().map(node).zip(1..);
        let members = members.map(|(node, node_id)| v1::Member { node_id, node }).collect();
        let configs = vec![v1::VoterSet { node_ids: vec![1, 2, 3] }];
        let first = v1::Entry {
            format_version: 1,
            log_id: Some(v1::LogId::default()),
            payload: Some(v1::entry::Payload::Membership(v1::Membership { configs, members })),
        };
        let (vote, entries) = (Some(sent(vote)), vec![first]);
        let request = v1::AppendEntriesRequest { vote, entries, ..Default::default() };
        assert!(matches!(self.append(request).await, Append::Success(_)));
    }

    async fn is_refused_votes(&self) {
        let refused = self.vote().await.unwrap_err();
        assert_eq!(refused.metadata().get("seshat-refusal").unwrap(), "not admitted");
    }

    /// Adds it again, and waits until it has caught up.
    async fn add_again(&self) {
        let (id, leads) = (self.id(), &leader(&self.hosts).await.node);
        leads.add_learner(id, self.address()).await.unwrap();
        leads.change_membership([1, 2, 3].into(), false).await.unwrap();
        is_voter(&self.waits, id).await;
        let applied = leads.last_applied().unwrap().index;
        self.waits.node.wait_for_applied(DEADLINE, applied).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_votes_for_nobody_and_follows_no_older_leader() {
    let world = OneWaits::start().await;
    let vote = leader(&world.hosts).await.node.metrics().borrow().vote;
    // What it reports of itself lags behind what it has.
    let stored = || world.waits.node.raft().with_raft_state(|state| *state.vote_ref());
    assert_eq!(stored().await.unwrap(), vote, "stored before it answers anybody");

    let refused = world.vote().await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.metadata().get("seshat-refusal").unwrap(), "not admitted");
    let words = "the node began without a memory, and votes once its log has ";
    assert!(refused.message().starts_with(words), "{}", refused.message());

    let older = v1::Vote { term: vote.leader_id.term - 1, node_id: 9, committed: true };
    let stale = v1::AppendEntriesRequest { vote: Some(older), ..Default::default() };
    assert_eq!(world.append(stale).await, Append::HigherVote(sent(vote)));
    assert_eq!(stored().await.unwrap(), vote);
}

/// The log that it is sent begins with a membership that has it for a voter, in its earlier life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_its_earlier_life_makes_it_no_voter() {
    let world = OneWaits::start().await;
    let vote = leader(&world.hosts).await.node.metrics().borrow().vote;
    world.first_entry(vote).await;
    is_voter(&world.waits, world.id()).await;

    world.is_refused_votes().await;
    world.waits.node.trigger_election().await.unwrap();
    // Longer than its clock waits for a leader.
    let campaigns = |now: &RaftMetrics| now.vote != vote;
    let patience = Duration::from_secs(8);
    let campaigned = world.waits.node.wait_until(patience, "to campaign", campaigns).await;
    assert!(campaigned.is_err(), "{campaigned:?}");

    world.add_again().await;
    assert!(world.vote().await.is_ok(), "it has caught up, and answers");
}

/// Stopped with nothing but its leader's vote, then with a part of the log by which it is a voter: it is as
/// bound as before, also before it is admitted. With what its leader had, it is as free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probation_outlives_the_process() {
    let world = OneWaits::start().await;
    let vote = leader(&world.hosts).await.node.metrics().borrow().vote;
    let world = world.restarted().await;
    world.is_refused_votes().await;
    assert_eq!(world.waits.admit().await, Ok(Admission::CatchesUp));
    world.is_refused_votes().await;

    world.first_entry(vote).await;
    is_voter(&world.waits, world.id()).await;
    let world = world.restarted().await;
    is_voter(&world.waits, world.id()).await;
    // Longer than its clock waits for a leader.
    let campaigns = |now: &RaftMetrics| now.vote != vote;
    let patience = Duration::from_secs(8);
    let campaigned = world.waits.node.wait_until(patience, "to campaign", campaigns).await;
    assert!(campaigned.is_err(), "{campaigned:?}");
    assert_eq!(world.waits.admit().await, Ok(Admission::CatchesUp));
    world.waits.node.trigger_election().await.unwrap();
    world.is_refused_votes().await;

    world.add_again().await;
    assert!(world.vote().await.is_ok(), "it has caught up, and answers");
    let world = world.restarted().await;
    assert_eq!(world.waits.admit().await, Ok(Admission::Remembers));
    assert!(world.vote().await.is_ok(), "it had caught up");
}

/// Killed between the probation and the vote that follows it: it takes part on the same word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probation_that_was_kept_and_not_begun_is_begun() {
    let mut ports = Ports::of(3).await;
    let dir = tempfile::tempdir().unwrap();
    let (config, listener) = (ports.config(1).build().unwrap(), ports.listener(1));
    let vote = Vote::new_committed(7, 2);
    let committed = LogId::new(vote.leader_id, 9);
    {
        let options = DiskOptions::new(config.cluster_name(), 1);
        let storage = DiskStorage::open(dir.path(), options).unwrap();
        let leadership = Leadership { vote, committed };
        storage.probations().keep(Probation { leadership }).unwrap();
    }
    let host = Host::on_disk(config, listener, dir.path()).await;
    let asked = v1::StandingRequest { node_id: 2, incarnation: 7, reads: 2 };
    let asked = unary(channel(ports.address(1)), "Standing", signed("seshat", 1, asked));
    let said: v1::StandingResponse = asked.await.unwrap();
    assert!(!said.heard, "who was told of a cluster is no witness that there is none");
    assert_eq!(host.admit().await, Ok(Admission::CatchesUp));
    let stored = host.node.raft().with_raft_state(|state| *state.vote_ref());
    assert_eq!(stored.await.unwrap(), vote, "stored before it answers anybody");
}

/// Two of three are left, so that either needs the other's vote; only one of them campaigns.
#[rstest]
#[case::it_votes(false)]
#[case::it_campaigns(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_added_again_is_a_voter_like_any(#[case] campaigns: bool) {
    let mut world = OneWaits::start().await;
    world.add_again().await;
    let at = world.hosts.iter().position(|host| host.node.is_leader()).unwrap();
    let gone = world.hosts.remove(at);
    let (again, third) = (&world.waits.node, &world.hosts[0].node);
    let (candidate, voter) = if campaigns { (again, third) } else { (third, again) };
    voter.raft().runtime_config().elect(false);
    gone.node.stop().await;
    let leads = |now: &RaftMetrics| now.state.is_leader();
    candidate.wait_until(DEADLINE, "to lead", leads).await.unwrap();
    candidate.set("key", "again").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_to_who_was_added_again() {
    let mut world = OneWaits::start().await;
    world.add_again().await;
    let at = world.hosts.iter().position(|host| host.node.is_leader()).unwrap();
    let leads = world.hosts.remove(at);
    world.hosts[0].node.stop().await;
    assert_eq!(leads.node.shutdown().await, Handover::To(world.id()));
}

/// Somebody who says that it is node 2 is as welcome to ask as node 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_displaces_no_founder() {
    let mut ports = Ports::of(3).await;
    let mut hosts = Vec::new();
    for id in 1..=3 {
        hosts.push(Host::start(ports.config(id).build().unwrap(), ports.listener(id)).await);
    }
    let early = tokio::time::timeout(Duration::from_millis(500), hosts[1].server.admit());
    assert!(early.await.is_err(), "the others haven't asked it");
    for (incarnation, id) in (0..32).flat_map(|n| [1_u64, 3].map(|id| (n, id))) {
        for stranger in [2, 77 + incarnation] {
            let asked = v1::StandingRequest { node_id: stranger, incarnation, reads: 2 };
            let asked = unary(channel(ports.address(id)), "Standing", signed("seshat", id, asked));
            let said: v1::StandingResponse = asked.await.unwrap();
            assert_eq!(said.heard, stranger == 2, "who is named by no configuration isn't heard");
        }
    }
    for end in futures_util::future::join_all(hosts.iter().map(Host::admit)).await {
        assert_eq!(end, Ok(Admission::Forms));
    }
    set(&hosts, "key", "value").await;
}
