//! What can happen in a [`World`], and what comes of it.

use std::rc::Rc;

use super::world::*;
use super::*;
use crate::types::Vote;

type End = Result<(), Fault>;

impl World {
    /// All that can happen next.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        let ids = 1..=self.nodes.len() as u8;
        for id in ids.clone() {
            let (node, others) = (self.node(id), ids.clone().filter(|other| *other != id));
            if self.budget.crashes > 0 && self.tolerates(id) {
                all.push(Action::Crash(id));
            }
            if self.budget.restarts > 0 {
                all.push(Action::Restart(id));
            }
            if !node.open {
                let asked = |other| node.answers.iter().any(|(id, _)| *id == u64::from(other));
                let may_ask = others.filter(|other| self.askers.has(id) && !asked(*other));
                all.extend(may_ask.map(|other| Action::Ask(id, other)));
                if !node.answers.is_empty() {
                    all.push(Action::Conclude(id));
                }
                continue;
            }
            let config = node.config();
            if !node.formed() {
                all.push(Action::Initialize(id));
            }
            let voter = config.is_some_and(|config| config.all_voters().has(id));
            let may_campaign = self.is_free(id) || self.errs(Mistake::CampaignsEarly);
            if self.budget.campaigns > 0 && voter && !node.leads() && may_campaign {
                all.push(Action::Campaign(id));
            }
            match (&node.role, config) {
                (Role::Campaigns { granted }, Some(config)) => {
                    let asked = others.filter(|id| config.all_voters().has(*id));
                    let asked = asked.filter(|id| self.node(*id).open && !granted.has(*id));
                    all.extend(asked.map(|other| Action::RequestVote(id, other)));
                    if config.is_quorum(*granted) {
                        all.push(Action::Win(id));
                    }
                }
                (Role::Leads { .. }, Some(config)) => self.leader_actions(id, config, &mut all),
                _ => {}
            }
        }
        all
    }

    fn leader_actions(&self, id: u8, config: Config, all: &mut Vec<Action>) {
        let node = self.node(id);
        let others = (1..=self.nodes.len() as u8).filter(|other| *other != id);
        for other in others.clone().filter(|id| config.has(*id)) {
            let follower = self.node(other);
            if follower.open && follower.vote <= node.vote {
                let lacks = node.log.len() - node.matches(follower);
                all.push(Action::Replicate(id, other, lacks));
                if lacks > 1 && self.piecemeal {
                    all.push(Action::Replicate(id, other, 1));
                }
            }
        }
        if self.budget.writes > 0 {
            all.push(Action::Write(id));
        }
        let settled = node.config_at(node.committed.into()) == Some(config);
        if self.budget.changes > 0 && settled {
            let alone = Config { voters: Set::of([id]), ..config };
            let one = others.map(|other| {
                if config.learners.has(other) {
                    let voters = config.voters.with(other);
                    Config { voters, learners: config.learners.without(other), ..config }
                } else if config.voters.has(other) {
                    Config { voters: config.voters.without(other), ..config }
                } else {
                    Config { learners: config.learners.with(other), ..config }
                }
            });
            let changes = one.chain((config.voters.0.count_ones() > 2).then_some(alone));
            all.extend(changes.map(|to| Action::Change(id, to)));
        }
    }

    /// What is left of it after that, or what is wrong with it.
    pub(super) fn after(&self, action: Action) -> Result<Self, Fault> {
        let mut world = self.clone();
        match action {
            Action::Crash(id) => world.crash(id),
            Action::Restart(id) => world.restart(id),
            Action::Ask(id, other) => world.ask(id, other),
            Action::Conclude(id) => world.conclude(id),
            Action::Initialize(id) => {
                let members = Kind::Members(Config::of(world.all()));
                let node = world.node_mut(id);
                node.append(members);
                node.campaign(id);
            }
            Action::Campaign(id) => {
                world.budget.campaigns -= 1;
                world.node_mut(id).campaign(id);
            }
            Action::RequestVote(id, other) => world.request_vote(id, other),
            Action::Win(id) => world.win(id)?,
            Action::Replicate(id, other, count) => world.replicate(id, other, count)?,
            Action::Write(id) => {
                world.budget.writes -= 1;
                let number = world.budget.writes;
                world.propose(id, Kind::Write(number))?;
            }
            Action::Change(id, to) => {
                world.budget.changes -= 1;
                world.propose(id, Kind::Members(to))?;
            }
        }
        Ok(world)
    }

    /// Whether nothing keeps a node from voting and campaigning.
    fn is_free(&self, id: u8) -> bool {
        let node = self.node(id);
        if node.probation.is_some() && self.errs(Mistake::EndsAsVoter) {
            return node.config().is_some_and(|config| config.all_voters().has(id));
        }
        node.on_probation().is_none()
    }

    /// The memberships that may still decide something: the last one that is committed, and
    /// all that may come after it.
    fn in_use(&self) -> impl Iterator<Item = Config> + '_ {
        let config = |entry: &Entry| match entry.kind {
            Kind::Members(config) => Some(config),
            _ => None,
        };
        let committed = self.acknowledged.iter().rev().find_map(move |(entry, _)| config(entry));
        let logs = self.nodes.iter();
        let later = logs.flat_map(|node| node.log.iter().skip(self.acknowledged.len()));
        committed.into_iter().chain(later.filter_map(config))
    }

    /// Whether fewer than half of the voters will have forgotten, as the rules assume.
    fn tolerates(&self, id: u8) -> bool {
        let forgot = self.forgot.with(id);
        let few = |voters: Set| !forgot.has_half_of(voters);
        self.in_use().all(|config| few(config.before) && few(config.voters))
    }

    fn crash(&mut self, id: u8) {
        self.budget.crashes -= 1;
        if self.in_use().any(|config| config.all_voters().has(id)) {
            self.forgot = self.forgot.with(id);
        }
        *self.node_mut(id) = Node::new(id, self.node(id).life + 1, self.all());
    }

    fn restart(&mut self, id: u8) {
        self.budget.restarts -= 1;
        let (all, keeps_probation) = (self.all(), !self.errs(Mistake::ForgetsProbation));
        *self.node_mut(id) = self.node(id).restarted(id, all, keeps_probation);
    }

    fn ask(&mut self, id: u8, other: u8) {
        let incarnation = |id: u8, life: u8| u64::from(id) << 8 | u64::from(life);
        let process = incarnation(id, self.node(id).life);
        let asked = self.node_mut(other);
        let formed = asked.formed();
        if !asked.applicant.has_heard(id.into(), process) {
            Rc::make_mut(&mut asked.applicant).hear(id.into(), process, formed);
        }
        let leadership = self.confirm(other);
        let asked = self.node(other);
        let has = |end: usize| asked.config_at(end).is_some_and(|config| config.has(id));
        let member = has(asked.log.len())
            || (has(asked.committed.into()) && !self.errs(Mistake::EffectiveOnly));
        let answer = StandingResponse {
            formed,
            member,
            confirmed: leadership.is_some(),
            heard: asked.applicant.has_heard(id.into(), process),
            leadership,
            incarnation: incarnation(other, asked.life),
            reads: 1,
            writes: 1,
        };
        // To say neither is to say nothing.
        if !answer.heard && !answer.confirmed {
            return;
        }
        let answers = &mut self.node_mut(id).answers;
        answers.push((other.into(), answer));
        answers.sort_by_key(|(id, _)| *id);
    }

    /// Has a leader confirmed by all who still follow it, if they are a quorum.
    fn confirm(&mut self, id: u8) -> Option<Leadership> {
        let leader = self.node(id);
        let (vote, config) = (leader.vote, leader.config()?);
        let committed = leader.log_id(leader.committed)?;
        if !leader.leads() {
            return None;
        }
        let ((term, node), _) = vote;
        let of_it = Vote::new_committed(term.into(), node.into());
        let leadership = proven(id.into(), Leadership { vote: of_it, committed })?;
        let ids = (1..=self.nodes.len() as u8).filter(|id| config.all_voters().has(*id));
        let follow = ids.filter(|id| self.node(*id).open && self.node(*id).vote <= vote);
        let follow = Set::of(follow);
        if !self.errs(Mistake::Unconfirmed) {
            if !config.is_quorum(follow) {
                return None;
            }
            for id in (1..=self.nodes.len() as u8).filter(|id| follow.has(*id)) {
                self.node_mut(id).accept(vote);
            }
        }
        Some(leadership)
    }

    fn conclude(&mut self, id: u8) {
        let (once, trusted) = (self.errs(Mistake::HeardOnce), self.errs(Mistake::LateIsTrusted));
        let (takes_back, forgets) =
            (self.errs(Mistake::TakesBackTheForgetful), self.errs(Mistake::ForgetsLeader));
        let together_first = self.errs(Mistake::TogetherFirst);
        let node = self.node_mut(id);
        let answers = std::mem::take(&mut node.answers);
        let applicant = Rc::make_mut(&mut node.applicant);
        let mut blind = applicant.clone();
        let mut verdict = applicant.conclude(&answers);
        if once && verdict == Verdict::AskAgain {
            verdict = applicant.conclude(&answers);
        }
        if together_first {
            let mut answers = answers;
            answers.iter_mut().for_each(|(_, answer)| answer.confirmed = false);
            if blind.conclude(&answers) == Verdict::Founds {
                verdict = Verdict::Founds;
            }
        }
        match verdict {
            Verdict::AskAgain => return,
            Verdict::LostMemory { .. } if !takes_back => return,
            Verdict::IsLate(_) if trusted => {}
            Verdict::Founds | Verdict::LostMemory { .. } => {}
            Verdict::Waits(probation) | Verdict::IsLate(probation) => {
                node.probation = Some(probation);
                if !forgets {
                    node.bind(probation);
                }
            }
        }
        node.open = true;
        self.forgot = self.forgot.without(id);
    }

    fn request_vote(&mut self, id: u8, other: u8) {
        if !self.is_free(other) && !self.errs(Mistake::VotesEarly) {
            return;
        }
        let (vote, last) = (self.node(id).vote, self.node(id).last());
        let voter = self.node_mut(other);
        let granted_it = last >= voter.last() && voter.accept(vote);
        if let Role::Campaigns { granted } = &mut self.node_mut(id).role
            && granted_it
        {
            *granted = granted.with(other);
        }
    }

    fn win(&mut self, id: u8) -> End {
        let node = self.node(id);
        let (leader, life) = (node.vote.0, node.life);
        if self.led.iter().any(|(before, _)| *before == leader) {
            return Err(Fault::TwoLeaders);
        }
        for (index, (entry, by)) in self.acknowledged.iter().enumerate() {
            if *by < leader && node.log.get(index) != Some(entry) {
                return Err(Fault::Lost { index });
            }
        }
        self.led.push((leader, life));
        self.led.sort_unstable();
        let node = self.node_mut(id);
        node.vote.1 = true;
        node.role = Role::Leads { acked: [0; 6] };
        self.propose(id, Kind::Blank)
    }

    fn propose(&mut self, id: u8, kind: Kind) -> End {
        let node = self.node_mut(id);
        node.append(kind);
        let end = node.log.len() as u8;
        if let Role::Leads { acked } = &mut node.role {
            acked[usize::from(id)] = end;
        }
        self.settle(id)
    }

    fn replicate(&mut self, id: u8, other: u8, count: usize) -> End {
        let leader = self.node(id).clone();
        let follower = self.node_mut(other);
        follower.accept(leader.vote);
        let from = leader.matches(follower);
        if count > 0 {
            if usize::from(follower.committed) > from {
                return Err(Fault::Forked { index: from });
            }
            let log = Rc::make_mut(&mut follower.log);
            log.truncate(from);
            log.extend(&leader.log[from..from + count]);
        }
        let matched = (from + count) as u8;
        follower.committed = follower.committed.max(leader.committed.min(matched));
        if let Role::Leads { acked } = &mut self.node_mut(id).role {
            let acked = &mut acked[usize::from(other)];
            *acked = matched.max(*acked);
        }
        self.settle(id)
    }

    /// Acknowledges what a quorum has, and goes on with a joint membership.
    fn settle(&mut self, id: u8) -> End {
        let node = self.node(id);
        let (Role::Leads { acked }, Some(config)) = (&node.role, node.config()) else {
            return Ok(());
        };
        let have = |end: u8| Set::of((1..6).filter(|id| acked[usize::from(*id)] >= end));
        let committed = (node.committed + 1..=node.log.len() as u8)
            .rev()
            .find(|end| config.is_quorum(have(*end)));
        let own = |end: &u8| node.log[usize::from(*end) - 1].leader == node.vote.0;
        let Some(committed) = committed.filter(own) else { return Ok(()) };
        let (leader, log) = (node.vote.0, Rc::clone(&node.log));
        for (index, entry) in log[..usize::from(committed)].iter().enumerate() {
            match self.acknowledged.get(index) {
                Some((before, _)) if before != entry => return Err(Fault::Forked { index }),
                Some(_) => {}
                None => self.acknowledged.push((*entry, leader)),
            }
        }
        let node = self.node_mut(id);
        node.committed = committed;
        let joint = config.before != config.voters;
        if joint && node.config_at(committed.into()) == Some(config) {
            let after = Config { before: config.voters, ..config };
            return self.propose(id, Kind::Members(after));
        }
        Ok(())
    }
}
