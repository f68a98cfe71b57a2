//! Memberships: joint configs, learners and node data.

use std::collections::{BTreeMap, BTreeSet};

use super::log::log_id;
use super::{DecodeError, DecodeReason, message, not_empty, required, shape};
use crate::proto::v1;
use crate::types::{Membership, Node, NodeId, StoredMembership};

message!(Membership, v1::Membership, shape::MEMBERSHIP);
message!(StoredMembership, v1::StoredMembership, shape::STORED_MEMBERSHIP);

impl From<&Membership> for v1::Membership {
    fn from(membership: &Membership) -> Self {
        let configs = membership.get_joint_config().iter();
        Self {
            configs: configs
                .map(|voters| v1::VoterSet { node_ids: voters.iter().copied().collect() })
                .collect(),
            members: membership
                .nodes()
                .map(|(id, node)| v1::Member {
                    node_id: *id,
                    node: Some(v1::Node { address: node.addr.clone() }),
                })
                .collect(),
        }
    }
}

impl TryFrom<v1::Membership> for Membership {
    type Error = DecodeError;

    fn try_from(proto: v1::Membership) -> Result<Self, DecodeError> {
        let mut members: BTreeMap<NodeId, Node> = BTreeMap::new();
        for member in proto.members {
            let previous = members.last_key_value().map(|(id, _)| *id);
            ascending(previous, member.node_id, "Membership", "members")?;
            let node = required(member.node, "Member", "node")?;
            members.insert(member.node_id, Node { addr: node.address });
        }

        let mut configs = Vec::with_capacity(proto.configs.len());
        for config in proto.configs {
            not_empty(&config.node_ids, "VoterSet", "node_ids")?;
            let mut voters = BTreeSet::new();
            for voter in config.node_ids {
                ascending(voters.last().copied(), voter, "VoterSet", "node_ids")?;
                if !members.contains_key(&voter) {
                    let reason = DecodeReason::UnknownVoter { voter };
                    return Err(DecodeError::new("VoterSet", "node_ids", reason));
                }
                voters.insert(voter);
            }
            configs.push(voters);
        }
        Ok(Self::new(configs, members))
    }
}

fn ascending(
    previous: Option<NodeId>,
    got: NodeId,
    message: &'static str,
    field: &'static str,
) -> Result<(), DecodeError> {
    match previous {
        Some(previous) if got <= previous => {
            let reason = DecodeReason::NotAscending { previous, got };
            Err(DecodeError::new(message, field, reason))
        }
        _ => Ok(()),
    }
}

impl From<&StoredMembership> for v1::StoredMembership {
    fn from(stored: &StoredMembership) -> Self {
        Self {
            log_id: stored.log_id().as_ref().map(Into::into),
            membership: Some(stored.membership().into()),
        }
    }
}

impl TryFrom<v1::StoredMembership> for StoredMembership {
    type Error = DecodeError;

    fn try_from(proto: v1::StoredMembership) -> Result<Self, DecodeError> {
        let membership = required(proto.membership, "StoredMembership", "membership")?;
        Ok(Self::new(log_id(proto.log_id)?, membership.try_into()?))
    }
}
