//! A small abstract Raft whose nodes start with nothing, and again with what a disk keeps or without it,
//! and the real rules of admission in it.
//!
//! Logs, votes, elections, replication, commits and changes of membership as openraft 0.9 has them:
//! a vote is `(term, node)`, greater ones are granted; a membership counts as soon as it is in the log;
//! voters change by a joint membership, whose second half follows when the first is committed. A call
//! happens at once or never, so a node is cut off by no call to it being made; what answers to
//! it lead to (an election that is won, a round of answers that is concluded) happens at any time
//! later, or never. A node that crashes has lost everything. One that is restarted has its vote, its log
//! and its probation, knows of nothing that it is committed, has heard of nobody, and leads if it did. Killed
//! between any two of its writes, it is one that was restarted before or after: what it keeps first, the
//! probation, makes up for what comes next, the vote.
//!
//! Where the model is coarser than the real thing: an entry is committed the moment that a quorum has
//! it, which is the strictest reading of "acknowledged"; leases are never kept; there are no
//! snapshots; and a call does not outlive the node that made it.

use std::fmt;
use std::rc::Rc;

use super::super::{Applicant, Probation};
use crate::codec::StandingResponse;
use crate::types::{LeaderId, LogId};

/// A set of nodes, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Set(pub(super) u8);

impl Set {
    pub(super) fn of(ids: impl IntoIterator<Item = u8>) -> Self {
        Self(ids.into_iter().fold(0, |set, id| set | 1 << id))
    }

    pub(super) fn has(self, id: u8) -> bool {
        self.0 & 1 << id != 0
    }

    pub(super) fn with(self, id: u8) -> Self {
        Self(self.0 | 1 << id)
    }

    pub(super) fn without(self, id: u8) -> Self {
        Self(self.0 & !(1 << id))
    }

    pub(super) fn has_half_of(self, other: Self) -> bool {
        (self.0 & other.0).count_ones() * 2 >= other.0.count_ones()
    }

    pub(super) fn has_majority_of(self, other: Self) -> bool {
        (self.0 & other.0).count_ones() * 2 > other.0.count_ones()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..8).filter(|id| self.has(*id))).finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Config {
    /// The voters that are on their way out, or in; the same as `voters` but in a joint membership.
    pub(super) before: Set,
    pub(super) voters: Set,
    pub(super) learners: Set,
}

impl Config {
    pub(super) fn of(voters: Set) -> Self {
        Self { before: voters, voters, learners: Set::default() }
    }

    pub(super) fn all_voters(self) -> Set {
        Set(self.before.0 | self.voters.0)
    }

    pub(super) fn has(self, id: u8) -> bool {
        self.all_voters().has(id) || self.learners.has(id)
    }

    pub(super) fn is_quorum(self, set: Set) -> bool {
        set.has_majority_of(self.before) && set.has_majority_of(self.voters)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before != self.voters {
            write!(f, "{:?} and ", self.before)?;
        }
        write!(f, "{:?}", self.voters)?;
        if self.learners.0 != 0 {
            write!(f, ", learners {:?}", self.learners)?;
        }
        Ok(())
    }
}

/// Term and node.
pub(super) type Leader = (u8, u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Blank,
    Write(u8),
    Members(Config),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) leader: Leader,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Follows,
    Campaigns { granted: Set },
    Leads { acked: [u8; 6] },
}

#[derive(Clone)]
pub(super) struct Node {
    /// Which of its processes this is.
    pub(super) life: u8,
    /// Whether it answers others.
    pub(super) open: bool,
    pub(super) applicant: Rc<Applicant>,
    /// Kept as the vote and the log are.
    pub(super) probation: Option<Probation>,
    pub(super) answers: Vec<(u64, StandingResponse)>,
    pub(super) vote: (Leader, bool),
    pub(super) log: Rc<Vec<Entry>>,
    /// How many entries are committed, as far as it knows.
    pub(super) committed: u8,
    pub(super) role: Role,
}

impl Node {
    pub(super) fn new(id: u8, life: u8, all: Set) -> Self {
        let others = (1..8).filter(|other| all.has(*other) && *other != id).map(u64::from);
        Self {
            life,
            open: false,
            applicant: Rc::new(Applicant::new(others.collect(), false)),
            probation: None,
            answers: Vec::new(),
            vote: ((0, 0), false),
            log: Rc::default(),
            committed: 0,
            role: Role::Follows,
        }
    }

    /// The same node in its next life, with what a disk has of it.
    pub(super) fn restarted(&self, id: u8, all: Set, keeps_probation: bool) -> Self {
        let mut node = Self::new(id, self.life + 1, all);
        node.probation = self.probation.filter(|_| keeps_probation);
        (node.vote, node.log) = (self.vote, Rc::clone(&self.log));
        if node.probation.is_some() {
            let others = (1..8).filter(|other| all.has(*other) && *other != id).map(u64::from);
            node.applicant = Rc::new(Applicant::new(others.collect(), true));
        }
        if let Some(probation) = node.on_probation() {
            node.bind(probation);
        }
        node.open = node.formed();
        if node.vote == ((node.vote.0.0, id), true) {
            let mut acked = [0; 6];
            acked[usize::from(id)] = node.log.len() as u8;
            node.role = Role::Leads { acked };
        }
        node
    }

    /// The probation that it is on, by its log.
    pub(super) fn on_probation(&self) -> Option<Probation> {
        let last = self.log.len().checked_sub(1).map(|last| last as u64);
        self.probation.filter(|probation| !probation.is_over(last))
    }

    /// Stores the leader's vote, or has a greater one.
    pub(super) fn bind(&mut self, probation: Probation) {
        let leader = probation.leadership.vote.leader_id;
        self.accept(((leader.term as u8, leader.node_id as u8), true));
    }

    pub(super) fn formed(&self) -> bool {
        self.vote != ((0, 0), false) || !self.log.is_empty()
    }

    pub(super) fn config_at(&self, end: usize) -> Option<Config> {
        self.log[..end].iter().rev().find_map(|entry| match entry.kind {
            Kind::Members(config) => Some(config),
            _ => None,
        })
    }

    pub(super) fn config(&self) -> Option<Config> {
        self.config_at(self.log.len())
    }

    pub(super) fn last(&self) -> (Option<Leader>, usize) {
        (self.log.last().map(|entry| entry.leader), self.log.len())
    }

    pub(super) fn log_id(&self, end: u8) -> Option<LogId> {
        let index = usize::from(end).checked_sub(1)?;
        let (term, node) = self.log.get(index)?.leader;
        Some(LogId::new(LeaderId::new(term.into(), node.into()), index as u64))
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.role, Role::Leads { .. })
    }

    pub(super) fn append(&mut self, kind: Kind) {
        let leader = if self.formed() { self.vote.0 } else { (0, 0) };
        Rc::make_mut(&mut self.log).push(Entry { leader, kind });
    }

    /// As far as the other's log is the same.
    pub(super) fn matches(&self, other: &Self) -> usize {
        self.log.iter().zip(other.log.iter()).take_while(|(one, other)| one == other).count()
    }

    pub(super) fn campaign(&mut self, id: u8) {
        self.vote = ((self.vote.0.0 + 1, id), false);
        self.role = Role::Campaigns { granted: Set::of([id]) };
    }

    /// Follows that vote, if it is none too small.
    pub(super) fn accept(&mut self, vote: (Leader, bool)) -> bool {
        if vote < self.vote {
            return false;
        }
        if vote.0 != self.vote.0 {
            self.role = Role::Follows;
        }
        self.vote = vote;
        true
    }
}

/// What the rules are broken by on purpose, to see that the search would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// Who is on probation votes.
    VotesEarly,
    /// Who is on probation campaigns.
    CampaignsEarly,
    /// Who waits doesn't store the leader's vote.
    ForgetsLeader,
    /// The probation ends when the log has the node for a voter, also in an earlier life.
    EndsAsVoter,
    /// A leader that no quorum confirmed decides.
    Unconfirmed,
    /// A membership that is not committed is the only one that counts.
    EffectiveOnly,
    /// Who lost its memory takes part as a founder that is late.
    TakesBackTheForgetful,
    /// That all heard of it comes before what a leader says.
    TogetherFirst,
    /// Answers of the last round count in this one.
    HeardOnce,
    /// A founder that is late takes part without probation.
    LateIsTrusted,
    /// A probation ends with the process.
    ForgetsProbation,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Two processes lead by the same vote.
    TwoLeaders,
    /// A leader lacks what was acknowledged before.
    Lost { index: usize },
    /// Another entry was acknowledged there before.
    Forked { index: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) crashes: u8,
    pub(super) restarts: u8,
    pub(super) campaigns: u8,
    pub(super) writes: u8,
    pub(super) changes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Crash(u8),
    Restart(u8),
    Ask(u8, u8),
    Conclude(u8),
    Initialize(u8),
    Campaign(u8),
    RequestVote(u8, u8),
    Win(u8),
    Replicate(u8, u8, usize),
    Write(u8),
    Change(u8, Config),
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) budget: Budget,
    pub(super) mistake: Option<Mistake>,
    /// Who may still ask.
    pub(super) askers: Set,
    /// Whether a log may be sent an entry at a time, beside all of it at once.
    pub(super) piecemeal: bool,
    /// What was acknowledged, each entry with the leader that did.
    pub(super) acknowledged: Vec<(Entry, Leader)>,
    /// Who led by which vote, in which life.
    pub(super) led: Vec<(Leader, u8)>,
    /// Members that forgot, and haven't been let in since.
    pub(super) forgot: Set,
}

impl World {
    pub(super) fn all(&self) -> Set {
        Set::of(1..=self.nodes.len() as u8)
    }

    pub(super) fn node(&self, id: u8) -> &Node {
        &self.nodes[usize::from(id) - 1]
    }

    pub(super) fn node_mut(&mut self, id: u8) -> &mut Node {
        &mut self.nodes[usize::from(id) - 1]
    }

    pub(super) fn errs(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// Nobody has started anything.
    pub(super) fn fresh(count: u8, budget: Budget) -> Self {
        let all = Set::of(1..=count);
        Self {
            nodes: (1..=count).map(|id| Node::new(id, 0, all)).collect(),
            budget,
            mistake: None,
            askers: all,
            piecemeal: true,
            acknowledged: Vec::new(),
            led: Vec::new(),
            forgot: Set::default(),
        }
    }

    /// Node 1 leads all of them, and they have all of its log.
    pub(super) fn formed(count: u8, budget: Budget) -> Self {
        let mut world = Self::fresh(count, budget);
        let members = Kind::Members(Config::of(world.all()));
        let log = Rc::new(vec![
            Entry { leader: (0, 0), kind: members },
            Entry { leader: (1, 1), kind: Kind::Blank },
        ]);
        world.acknowledged = log.iter().map(|entry| (*entry, (1, 1))).collect();
        world.led.push(((1, 1), 0));
        for node in &mut world.nodes {
            (node.open, node.vote, node.log, node.committed) =
                (true, ((1, 1), true), Rc::clone(&log), 2);
        }
        let mut acked = [0; 6];
        acked[1..=usize::from(count)].fill(2);
        world.node_mut(1).role = Role::Leads { acked };
        world
    }
}
