//! What the liar says: close to what could be true.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use seshat_core::machine::Machine;
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::snapshot;
use seshat_core::types::{
    AppendEntriesRequest, Entry, EntryPayload, LeaderId, LogId, Membership, Node, SnapshotMeta,
    Vote, VoteRequest,
};

use super::world::Known;

/// One step of a conversation.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Append(AppendEntriesRequest),
    Vote(VoteRequest),
    Snapshot(Sent),
    /// What the node's own calls are answered with from now on: the truth, one time in so many a lie.
    Answer {
        lies: u32,
    },
    AtOnce(Vec<Said>),
    /// The node proposes.
    Propose(u32),
    /// The node confirms that it leads, if it does.
    Confirm,
    /// The node campaigns.
    Campaign,
    /// The node takes a snapshot, and purges its log.
    Compact,
    /// Time passes: the node's own clocks have their turn.
    Wait(u64),
}

/// A snapshot on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) bytes: Bytes,
    /// How many of the first bytes are left out.
    pub(crate) offset: usize,
    /// After how many bytes it is cut.
    pub(crate) cut: Option<usize>,
    pub(crate) announced: Option<u64>,
}

/// Who says it: remembers what was said, to say it again.
#[derive(Default)]
pub(crate) struct Speech {
    /// Seldom speaks, and waits to be asked.
    waits: bool,
    leads: Vote,
    before: Vec<Said>,
}

fn one_in(random: &mut SmallRng, n: u32) -> bool {
    random.random_ratio(1, n)
}

/// Numbers that somebody may have got wrong.
fn number(random: &mut SmallRng, near: u64) -> u64 {
    let far = [0, 1, 1 << 20, 1 << 45, 1 << 62, u64::MAX - 2, u64::MAX - 1];
    match random.random_range(0..8) {
        0 => *far.choose(random).unwrap(),
        1 | 2 => near.saturating_sub(random.random_range(1..4)),
        3 | 4 => near.saturating_add(random.random_range(1..4)),
        5 => random.random_range(0..near.saturating_add(2)),
        _ => near,
    }
}

fn node_id(random: &mut SmallRng) -> u64 {
    *[1, 2, 2, 3, 3, 9].choose(random).unwrap()
}

fn wrong_vote(random: &mut SmallRng, vote: &mut Vote) {
    match random.random_range(0..3) {
        0 => vote.leader_id.term = number(random, vote.leader_id.term),
        1 => vote.leader_id.node_id = node_id(random),
        _ => vote.committed = !vote.committed,
    }
}

fn wrong_id(random: &mut SmallRng, id: &mut LogId) {
    match random.random_range(0..3) {
        0 => id.leader_id.term = number(random, id.leader_id.term),
        1 => id.leader_id.node_id = node_id(random),
        _ => id.index = number(random, id.index),
    }
}

fn wrong_or_none(random: &mut SmallRng, id: &mut Option<LogId>, known: &Known) {
    match (one_in(random, 4), &id) {
        (true, Some(_)) => *id = None,
        (_, None) => *id = known.some(random),
        (false, Some(_)) => wrong_id(random, id.as_mut().unwrap()),
    }
}

fn membership(random: &mut SmallRng) -> Membership {
    let sets: &[&[&[u64]]] = &[
        &[&[1, 2, 3]],
        &[&[1, 2, 3]],
        &[&[1, 2, 3], &[1, 3]],
        &[&[1]],
        &[&[2, 3]],
        &[],
        &[&[1], &[2], &[3]],
    ];
    let configs = sets.choose(random).unwrap().iter().map(|set| set.iter().copied().collect());
    let nodes = [1, 2, 3].map(|id| (id, Node::new("127.0.0.1:9")));
    Membership::new(configs.collect(), std::collections::BTreeMap::from(nodes))
}

fn payload(random: &mut SmallRng) -> EntryPayload {
    match random.random_range(0..8) {
        0 => EntryPayload::Membership(membership(random)),
        1..=3 => EntryPayload::Blank,
        _ => {
            let key = format!("key-{}", random.random_range(0..20));
            let value = format!("value-{}", random.random_range(0..1000));
            let set = Operation::set(key, value, &Limits::default()).unwrap();
            EntryPayload::Normal(Batch::from(set))
        }
    }
}

impl Known {
    /// An entry of the log, the last most often.
    fn some(&self, random: &mut SmallRng) -> Option<LogId> {
        let at = match random.random_range(0..4) {
            0 => self.log.choose(random).map(|entry| entry.log_id),
            1 => self.committed,
            _ => self.log.last().map(|entry| entry.log_id),
        };
        at.or(self.last)
    }

    /// What a leader could send that has this node's log, up to some point, and goes on its own way.
    fn append(&self, random: &mut SmallRng, vote: Vote) -> AppendEntriesRequest {
        let prev = self.some(random);
        let next = prev.map_or(0, |prev| prev.index + 1);
        let mut entries: Vec<Entry> =
            self.log.iter().filter(|e| e.log_id.index >= next).cloned().collect();
        entries.truncate(random.random_range(0..4));
        let mut last = entries.last().map(|entry| entry.log_id).or(prev);
        for _ in 0..random.random_range(0..4) {
            let before = last.map_or(LeaderId::default(), |last| last.leader_id);
            let leader_id = if one_in(random, 4) { before } else { vote.leader_id.max(before) };
            let log_id = LogId::new(leader_id, last.map_or(0, |last| last.index + 1));
            entries.push(Entry { log_id, payload: payload(random) });
            last = Some(log_id);
        }
        let said = entries.iter().map(|entry| entry.log_id).collect::<Vec<_>>();
        let leader_commit = match random.random_range(0..4) {
            0 => None,
            1 => self.some(random),
            2 => said.choose(random).copied(),
            _ => last,
        };
        AppendEntriesRequest { vote, prev_log_id: prev, entries, leader_commit }
    }

    fn snapshot(&self, random: &mut SmallRng, vote: Vote) -> Sent {
        let index = self.committed.map_or(0, |id| id.index);
        let index = index.saturating_add_signed(random.random_range(-3..12));
        let leader_id = if one_in(random, 3) {
            self.last.map_or(vote.leader_id, |last| last.leader_id)
        } else {
            vote.leader_id
        };
        let last = LogId::new(leader_id, index);
        let mut machine = Machine::default();
        let place = index.saturating_sub(random.random_range(0..3));
        let leaders = LeaderId::new(
            leader_id.term.saturating_sub(random.random_range(0..2)),
            leader_id.node_id,
        );
        let id = LogId::new(leaders, place);
        let id = if one_in(random, 4) { self.memberships[0].unwrap_or(id) } else { id };
        let _ = machine.apply(vec![Entry {
            log_id: id,
            payload: EntryPayload::Membership(membership(random)),
        }]);
        if id.index < index {
            let log_id = last;
            let set = Operation::set("key-0", "of a snapshot", &Limits::default()).unwrap();
            let _ = machine
                .apply(vec![Entry { log_id, payload: EntryPayload::Normal(Batch::from(set)) }]);
        }
        let bytes = snapshot::write(&machine.freeze());
        let meta = SnapshotMeta {
            last_log_id: machine.last_applied(),
            last_membership: machine.membership().clone(),
            snapshot_id: format!("lie-{}", random.random_range(0..4)),
        };
        Sent { vote, meta, bytes, offset: 0, cut: None, announced: None }
    }
}

fn spoil_append(random: &mut SmallRng, request: &mut AppendEntriesRequest, known: &Known) {
    match random.random_range(0..6) {
        0 => wrong_vote(random, &mut request.vote),
        1 => wrong_or_none(random, &mut request.prev_log_id, known),
        2 => wrong_or_none(random, &mut request.leader_commit, known),
        3 if !request.entries.is_empty() => {
            let place = random.random_range(0..request.entries.len());
            request.entries.remove(place);
        }
        4 if !request.entries.is_empty() => {
            let place = random.random_range(0..request.entries.len());
            request.entries[place].payload = payload(random);
        }
        _ if !request.entries.is_empty() => {
            let place = random.random_range(0..request.entries.len());
            let only = one_in(random, 2);
            let mut id = request.entries[place].log_id;
            wrong_id(random, &mut id);
            request.entries[place].log_id = id;
            // A leader that is wrong from there on.
            if only {
                for entry in &mut request.entries[place..] {
                    entry.log_id.leader_id = id.leader_id;
                }
            }
        }
        _ => {}
    }
}

fn spoil_snapshot(random: &mut SmallRng, sent: &mut Sent, known: &Known) {
    match random.random_range(0..8) {
        0 => wrong_vote(random, &mut sent.vote),
        1 => wrong_or_none(random, &mut sent.meta.last_log_id, known),
        2 => {
            let mut id = *sent.meta.last_membership.log_id();
            wrong_or_none(random, &mut id, known);
            let membership = sent.meta.last_membership.membership().clone();
            sent.meta.last_membership = seshat_core::types::StoredMembership::new(id, membership);
        }
        3 => {
            let mut bytes = sent.bytes.to_vec();
            let place = random.random_range(0..bytes.len());
            bytes[place] ^= 1 << random.random_range(0..8);
            sent.bytes = bytes.into();
        }
        4 => sent.bytes = Bytes::from_static(b"of another format"),
        5 => sent.cut = Some(random.random_range(0..=sent.bytes.len())),
        6 => sent.offset = random.random_range(0..=sent.bytes.len()),
        _ => sent.announced = Some(number(random, sent.bytes.len() as u64)),
    }
}

impl Speech {
    pub(crate) fn new(waits: bool) -> Self {
        Self { waits, ..Self::default() }
    }

    /// The next step, by what the node has.
    pub(crate) fn next(&mut self, random: &mut SmallRng, known: &Known) -> Said {
        if self.waits && !one_in(random, 40) {
            return match random.random_range(0..12) {
                0 => Said::Answer { lies: *[1, 2, 3, 10, 1000].choose(random).unwrap() },
                1..=5 => Said::Propose(random.random_range(0..1000)),
                6 | 7 => Said::Campaign,
                8 => Said::Confirm,
                _ => Said::Wait(random.random_range(0..12)),
            };
        }
        match random.random_range(0..40) {
            0 => return Said::Answer { lies: *[1, 3, 10, 1000].choose(random).unwrap() },
            1 | 2 => return Said::Propose(random.random_range(0..1000)),
            3 => return Said::Campaign,
            4 => return Said::Confirm,
            5 => return Said::Compact,
            6 => return Said::Wait(random.random_range(0..20)),
            7 | 8 => {
                let count = random.random_range(2..6);
                return Said::AtOnce((0..count).map(|_| self.one(random, known)).collect());
            }
            _ => {}
        }
        self.one(random, known)
    }

    fn one(&mut self, random: &mut SmallRng, known: &Known) -> Said {
        if let Some(before) = self.before.choose(random)
            && one_in(random, 10)
        {
            return before.clone();
        }
        let said = self.another(random, known);
        if self.before.len() == 20 {
            self.before.swap_remove(random.random_range(0..20));
        }
        self.before.push(said.clone());
        said
    }

    /// Leads on, or begins to lead.
    fn vote(&mut self, random: &mut SmallRng, known: &Known) -> Vote {
        if known.vote > self.leads || one_in(random, 12) {
            let term = known.vote.leader_id.term;
            let term = term.saturating_add(random.random_range(0..3));
            self.leads = Vote::new_committed(term, *[2, 3].choose(random).unwrap());
        }
        self.leads
    }

    fn another(&mut self, random: &mut SmallRng, known: &Known) -> Said {
        let vote = self.vote(random, known);
        let lies = if one_in(random, 2) { 0 } else { random.random_range(1..4) };
        match random.random_range(0..16) {
            0 => {
                let next = Vote::new(known.vote.leader_id.term.saturating_add(1), node_id(random));
                let mut request = VoteRequest::new(next, known.some(random));
                for _ in 0..lies {
                    match one_in(random, 2) {
                        true => wrong_vote(random, &mut request.vote),
                        false => wrong_or_none(random, &mut request.last_log_id, known),
                    }
                }
                Said::Vote(request)
            }
            // As one does who hands over; to this node, too.
            1 => {
                let mut next =
                    Vote::new(known.vote.leader_id.term.saturating_add(1), node_id(random));
                next.committed = one_in(random, 3);
                if next.committed {
                    return Said::Vote(VoteRequest::new(
                        Vote { committed: true, ..known.vote },
                        known.last,
                    ));
                }
                let prev_log_id = Some(LogId::new(next.leader_id, u64::MAX - 1));
                let entries = Vec::new();
                Said::Append(AppendEntriesRequest {
                    vote: next,
                    prev_log_id,
                    entries,
                    leader_commit: None,
                })
            }
            2 | 3 => {
                let mut sent = known.snapshot(random, vote);
                (0..lies).for_each(|_| spoil_snapshot(random, &mut sent, known));
                Said::Snapshot(sent)
            }
            _ => {
                let mut request = known.append(random, vote);
                (0..lies).for_each(|_| spoil_append(random, &mut request, known));
                Said::Append(request)
            }
        }
    }
}
