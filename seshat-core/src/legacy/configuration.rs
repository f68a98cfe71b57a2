//! Conf states, the changes between them, and memberships.

use std::collections::BTreeSet;
use std::fmt;

use super::Addresses;
use crate::proto::eraftpb::{
    ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
};
use crate::types::{Membership, Node, NodeId};

/// A [`ConfState`] that raft-rs would take: sets without order or duplicates, none of them names
/// node 0, and they overlap only as joint consensus wants it.
///
/// # To a membership and back
///
/// `voters`, `voters_outgoing` and `learners` are in a [`Membership`]: joint, its configurations
/// are `[voters_outgoing, voters]`, the one to come last. It has no place for the other two, so
/// they are `false` and empty in what comes back:
///
/// - `auto_leave`: a [node](crate::node::RaftNode) that leads always leaves a joint configuration.
/// - `learners_next`: these nodes vote until then, and are learners from then on, as all are whose vote
///   ends with it. Who wasn't to be one is to be
///   [removed](crate::node::RaftNode::remove_voters).
///
/// What a membership knows in turn, and a conf state doesn't, are addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Joint, the voters to come.
    pub voters: BTreeSet<NodeId>,
    /// Members without a vote.
    pub learners: BTreeSet<NodeId>,
    /// Joint, the voters that go; else none.
    pub voters_outgoing: BTreeSet<NodeId>,
    /// Those of them that will be learners.
    pub learners_next: BTreeSet<NodeId>,
    /// Whether raft-rs would leave the joint configuration by itself.
    pub auto_leave: bool,
}

/// `voters {1, 2}, learners {3}`, or `joint, voters {1, 2}, outgoing {1}, learners {3}`, and what
/// raft-rs alone knows where there is some of it.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voters, learners, voters_outgoing, learners_next, auto_leave } = self;
        if self.is_joint() {
            write!(f, "joint, voters {voters:?}, outgoing {voters_outgoing:?}")?;
        } else {
            write!(f, "voters {voters:?}")?;
        }
        write!(f, ", learners {learners:?}")?;
        if !learners_next.is_empty() {
            write!(f, ", learners to be {learners_next:?}")?;
        }
        f.write_str(if *auto_leave { ", left by itself" } else { "" })
    }
}

/// Where in a [`ConfState`] a node stands. Displays as the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `voters`
    Voters,
    /// `learners`
    Learners,
    /// `voters_outgoing`
    VotersOutgoing,
    /// `learners_next`
    LearnersNext,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voters => "voters",
            Self::Learners => "learners",
            Self::VotersOutgoing => "voters_outgoing",
            Self::LearnersNext => "learners_next",
        })
    }
}

fn set(ids: &[NodeId], role: Role) -> Result<BTreeSet<NodeId>, ConfigurationError> {
    let mut set = BTreeSet::new();
    for &node in ids {
        if node == 0 {
            return Err(ConfigurationError::Zero { role });
        }
        if !set.insert(node) {
            return Err(ConfigurationError::Twice { node, role });
        }
    }
    Ok(set)
}

impl TryFrom<&ConfState> for Configuration {
    type Error = ConfigurationError;

    fn try_from(state: &ConfState) -> Result<Self, ConfigurationError> {
        let configuration = Self {
            voters: set(&state.voters, Role::Voters)?,
            learners: set(&state.learners, Role::Learners)?,
            voters_outgoing: set(&state.voters_outgoing, Role::VotersOutgoing)?,
            learners_next: set(&state.learners_next, Role::LearnersNext)?,
            auto_leave: state.auto_leave,
        };
        configuration.check()?;
        Ok(configuration)
    }
}

impl From<&Configuration> for ConfState {
    /// Ids ascend.
    fn from(configuration: &Configuration) -> Self {
        let ids = |set: &BTreeSet<NodeId>| set.iter().copied().collect();
        Self {
            voters: ids(&configuration.voters),
            learners: ids(&configuration.learners),
            voters_outgoing: ids(&configuration.voters_outgoing),
            learners_next: ids(&configuration.learners_next),
            auto_leave: configuration.auto_leave,
        }
    }
}

impl Configuration {
    /// Whether two sets of voters decide together.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let apart = |a: &BTreeSet<NodeId>, one, b: &BTreeSet<NodeId>, other| {
            let node = a.intersection(b).next().copied();
            node.map_or(Ok(()), |node| Err(ConfigurationError::Both { node, one, other }))
        };
        apart(&self.learners, Role::Learners, &self.voters, Role::Voters)?;
        apart(&self.learners, Role::Learners, &self.voters_outgoing, Role::VotersOutgoing)?;
        apart(&self.learners_next, Role::LearnersNext, &self.voters, Role::Voters)?;
        if let Some(&node) = self.learners_next.difference(&self.voters_outgoing).next() {
            return Err(ConfigurationError::NotOutgoing { node });
        }
        if self.is_joint() && self.voters.is_empty() {
            return Err(ConfigurationError::NoVoters { outgoing: self.voters_outgoing.len() });
        }
        if self.auto_leave && !self.is_joint() {
            return Err(ConfigurationError::NothingToLeave);
        }
        Ok(())
    }

    /// What raft-rs makes of it when it applies `change`.
    ///
    /// # Errors
    /// A change that raft-rs refuses to apply, see [`ChangeError`].
    pub fn changed_by(&self, change: &ConfChangeV2) -> Result<Self, ChangeError> {
        let transition = ConfChangeTransition::try_from(change.transition)
            .map_err(|_| ChangeError::Transition { got: change.transition })?;
        let simple = transition == ConfChangeTransition::Auto && change.changes.len() <= 1;
        if simple && change.changes.is_empty() {
            return self.left();
        }
        if self.is_joint() {
            return Err(ChangeError::AlreadyJoint);
        }
        let mut next = self.clone();
        if !simple {
            if self.voters.is_empty() {
                return Err(ChangeError::NoVoters);
            }
            next.voters_outgoing = self.voters.clone();
            next.auto_leave = transition != ConfChangeTransition::Explicit;
        }
        change.changes.iter().try_for_each(|one| next.change_one(one))?;
        if next.voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        Ok(next)
    }

    /// Out of a joint configuration.
    fn left(&self) -> Result<Self, ChangeError> {
        if !self.is_joint() {
            return Err(ChangeError::NotJoint);
        }
        Ok(Self {
            voters: self.voters.clone(),
            learners: &self.learners | &self.learners_next,
            ..Self::default()
        })
    }

    fn change_one(&mut self, one: &ConfChangeSingle) -> Result<(), ChangeError> {
        let kind = ConfChangeType::try_from(one.change_type)
            .map_err(|_| ChangeError::Type { got: one.change_type })?;
        let node = one.node_id;
        // How raft-rs's applications say that they refuse a change.
        if node == 0 || kind == ConfChangeType::AddLearnerNode && self.learners.contains(&node) {
            return Ok(());
        }
        for set in [&mut self.voters, &mut self.learners, &mut self.learners_next] {
            set.remove(&node);
        }
        let joins = match kind {
            ConfChangeType::AddNode => &mut self.voters,
            ConfChangeType::RemoveNode => return Ok(()),
            // It can't have a vote and have none.
            ConfChangeType::AddLearnerNode if self.voters_outgoing.contains(&node) => {
                &mut self.learners_next
            }
            ConfChangeType::AddLearnerNode => &mut self.learners,
        };
        joins.insert(node);
        Ok(())
    }

    /// The same as a membership, see [`Configuration`].
    ///
    /// # Errors
    /// A member without an address.
    pub fn to_membership(&self, addresses: &Addresses<'_>) -> Result<Membership, UnknownAddress> {
        let members = &(&self.voters | &self.voters_outgoing) | &self.learners;
        let members = members.into_iter().map(|node| match addresses(node) {
            Some(addr) => Ok((node, Node { addr })),
            None => Err(UnknownAddress { node }),
        });
        let members = members.collect::<Result<std::collections::BTreeMap<_, _>, _>>()?;
        let configs = [&self.voters_outgoing, &self.voters].into_iter();
        let configs = configs.filter(|voters| !voters.is_empty()).cloned().collect();
        Ok(Membership::new(configs, members))
    }
}

impl TryFrom<&Membership> for Configuration {
    type Error = MembershipUnsaid;

    fn try_from(membership: &Membership) -> Result<Self, MembershipUnsaid> {
        let configs = membership.get_joint_config();
        let (voters_outgoing, voters) = match configs.as_slice() {
            [] => (BTreeSet::new(), BTreeSet::new()),
            [voters] => (BTreeSet::new(), voters.clone()),
            [outgoing, voters] => (outgoing.clone(), voters.clone()),
            more => return Err(MembershipUnsaid::Configurations { got: more.len() }),
        };
        if configs.iter().any(BTreeSet::is_empty) {
            return Err(MembershipUnsaid::NoVoters);
        }
        let learners: BTreeSet<NodeId> = membership.learner_ids().collect();
        if [&voters, &voters_outgoing, &learners].into_iter().any(|set| set.contains(&0)) {
            return Err(MembershipUnsaid::Zero);
        }
        Ok(Self { voters, voters_outgoing, learners, ..Self::default() })
    }
}

impl From<ConfChange> for ConfChangeV2 {
    /// `id` has no place in it, as in raft-rs's own conversion.
    fn from(change: ConfChange) -> Self {
        let ConfChange { change_type, node_id, context, .. } = change;
        let changes = vec![ConfChangeSingle { change_type, node_id }];
        Self { transition: ConfChangeTransition::Auto.into(), changes, context }
    }
}

/// A conf state that raft-rs would not restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// Id 0 is nobody's.
    #[error("{role} name node 0, expected ids of at least 1")]
    Zero {
        /// In which set.
        role: Role,
    },
    /// A set has no node twice.
    #[error("{role} name node {node} twice")]
    Twice {
        /// The node.
        node: NodeId,
        /// In which set.
        role: Role,
    },
    /// Sets that have nothing in common have.
    #[error("node {node} is in {one} and in {other}, expected in one of them")]
    Both {
        /// The node.
        node: NodeId,
        /// One set.
        one: Role,
        /// The other.
        other: Role,
    },
    /// Only a voter that goes waits to be a learner.
    #[error("node {node} is in learners_next, expected in voters_outgoing too")]
    NotOutgoing {
        /// The node.
        node: NodeId,
    },
    /// Joint, with nobody to come.
    #[error("{outgoing} voters_outgoing and no voters, expected at least 1")]
    NoVoters {
        /// How many go.
        outgoing: usize,
    },
    /// Only a joint configuration can be left.
    #[error("auto_leave without voters_outgoing")]
    NothingToLeave,
}

/// A change that raft-rs would not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It must be left first.
    #[error("the configuration changes while it is joint, expected that it is left first")]
    AlreadyJoint,
    /// There is nothing to leave.
    #[error("a joint configuration is left, but it is not joint")]
    NotJoint,
    /// Nobody would decide, or nobody did before a joint change.
    #[error("the change leaves no voters, or begins with none; expected at least 1")]
    NoVoters,
    /// None that the schema names.
    #[error("transition {got}, expected 0 to 2")]
    Transition {
        /// The number found.
        got: i32,
    },
    /// None that the schema names.
    #[error("change_type {got}, expected 0 to 2")]
    Type {
        /// The number found.
        got: i32,
    },
}

/// A membership needs an address for each member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no address was given for node {node}")]
pub struct UnknownAddress {
    /// The node.
    pub node: NodeId,
}

/// A membership that no conf state can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipUnsaid {
    /// raft-rs knows two at most.
    #[error("{got} sets of voters, expected at most 2")]
    Configurations {
        /// How many there are.
        got: usize,
    },
    /// A set of voters that is empty.
    #[error("an empty set of voters")]
    NoVoters,
    /// Id 0 is nobody's in raft-rs.
    #[error("a member with id 0, expected ids of at least 1")]
    Zero,
}
