//! What clients are told, made of what the node says.

use crate::error::{
    BuildError, Leader, MembershipError, NotLeader, ProposeError, ReadError, TransferError,
};
use crate::network::grpc::NotAllowed;
use crate::operation::LimitError;
use crate::proto::client::{
    self as proto, backup_part, change_response, propose_response, read_response,
    snapshot_response, transfer_leadership_response,
};
use crate::types::{Node, NodeId, RaftMetrics};

/// Why what was asked for wasn't done, or whether it was isn't known.
#[derive(Debug)]
pub(super) enum Not {
    Leader(proto::NotLeader),
    Refused(proto::Refused),
    Unknown(proto::Unknown),
}

impl Not {
    /// It can't be granted, now or later.
    pub(super) fn ever(reason: impl ToString) -> Self {
        Self::Refused(proto::Refused { reason: reason.to_string(), later: false })
    }

    /// It may be granted later, or elsewhere.
    pub(super) fn now(reason: impl ToString) -> Self {
        Self::Refused(proto::Refused { reason: reason.to_string(), later: true })
    }

    pub(super) fn known(reason: impl ToString) -> Self {
        Self::Unknown(proto::Unknown { reason: reason.to_string() })
    }
}

impl From<LimitError> for Not {
    fn from(error: LimitError) -> Self {
        Self::ever(error)
    }
}

impl From<NotAllowed> for Not {
    fn from(error: NotAllowed) -> Self {
        Self::ever(error)
    }
}

impl From<NotLeader> for Not {
    fn from(error: NotLeader) -> Self {
        let leader = error.leader.map(|Leader { id, address }| proto::Leader { id, address });
        Self::Leader(proto::NotLeader { leader })
    }
}

impl From<ProposeError> for Not {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Limit(error) => error.into(),
            ProposeError::NotLeader(error) => error.into(),
            ProposeError::QuorumLost { .. }
            | ProposeError::QueueFull { .. }
            | ProposeError::DiskFull(_) => Self::now(error),
            // Until a member is of a newer version.
            ProposeError::Format { .. } => Self::ever(error),
            ProposeError::Deposed { .. }
            | ProposeError::NoQuorum { .. }
            | ProposeError::Stopped(_)
            | ProposeError::Unanswered { .. } => Self::known(error),
        }
    }
}

/// A read that failed can be repeated.
impl From<ReadError> for Not {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader(error) => error.into(),
            ReadError::NoQuorum { .. } | ReadError::Stopped(_) => Self::now(error),
            ReadError::TooLong(_) | ReadError::Storage(_) => Self::ever(error),
        }
    }
}

impl From<MembershipError> for Not {
    fn from(error: MembershipError) -> Self {
        use openraft::error::ChangeMembershipError as Why;
        match error {
            MembershipError::NotLeader(error) => error.into(),
            MembershipError::Refused(why @ Why::InProgress(_)) => Self::now(why),
            MembershipError::Refused(why) => Self::ever(why),
            // It had its time, or its version: somebody should look at it before it is asked for again.
            MembershipError::NotCaughtUp { .. } | MembershipError::Format { .. } => {
                Self::ever(error)
            }
            MembershipError::Busy { .. } | MembershipError::DiskFull(_) => Self::now(error),
            MembershipError::Deposed { .. }
            | MembershipError::NoQuorum { .. }
            | MembershipError::Stopped(_) => Self::known(error),
        }
    }
}

/// One may be had later.
impl From<BuildError> for Not {
    fn from(error: BuildError) -> Self {
        Self::now(error)
    }
}

impl From<TransferError> for Not {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::NotLeader(error) => error.into(),
            TransferError::Busy { .. } => Self::now(error),
            // It had its time: somebody should look at it before it is asked for again.
            TransferError::NotAVoter { .. }
            | TransferError::NotCaughtUp { .. }
            | TransferError::NotTaken { .. }
            | TransferError::NoQuorum { .. } => Self::ever(error),
            TransferError::NotConfirmed { .. } | TransferError::Stopped(_) => Self::known(error),
        }
    }
}

impl From<Not> for propose_response::Outcome {
    fn from(not: Not) -> Self {
        match not {
            Not::Leader(not_leader) => Self::NotLeader(not_leader),
            Not::Refused(refused) => Self::Refused(refused),
            Not::Unknown(unknown) => Self::Unknown(unknown),
        }
    }
}

impl From<Not> for read_response::Outcome {
    fn from(not: Not) -> Self {
        match not {
            Not::Leader(not_leader) => Self::NotLeader(not_leader),
            Not::Refused(refused) => Self::Refused(refused),
            Not::Unknown(proto::Unknown { reason }) => {
                Self::Refused(proto::Refused { reason, later: true })
            }
        }
    }
}

/// A read that may be repeated has no unknown outcome.
impl Not {
    fn of_a_read(self) -> Result<proto::NotLeader, proto::Refused> {
        match self {
            Self::Leader(not_leader) => Ok(not_leader),
            Self::Refused(refused) => Err(refused),
            Self::Unknown(proto::Unknown { reason }) => Err(proto::Refused { reason, later: true }),
        }
    }
}

impl From<Result<proto::Values, Not>> for proto::GetManyResponse {
    fn from(end: Result<proto::Values, Not>) -> Self {
        use proto::get_many_response::Outcome;
        let outcome = match end.map_err(Not::of_a_read) {
            Ok(values) => Outcome::Values(values),
            Err(Ok(not_leader)) => Outcome::NotLeader(not_leader),
            Err(Err(refused)) => Outcome::Refused(refused),
        };
        Self { outcome: Some(outcome) }
    }
}

impl From<Result<proto::Page, Not>> for proto::ScanResponse {
    fn from(end: Result<proto::Page, Not>) -> Self {
        use proto::scan_response::Outcome;
        let outcome = match end.map_err(Not::of_a_read) {
            Ok(page) => Outcome::Page(page),
            Err(Ok(not_leader)) => Outcome::NotLeader(not_leader),
            Err(Err(refused)) => Outcome::Refused(refused),
        };
        Self { outcome: Some(outcome) }
    }
}

impl From<Not> for change_response::Outcome {
    fn from(not: Not) -> Self {
        match not {
            Not::Leader(not_leader) => Self::NotLeader(not_leader),
            Not::Refused(refused) => Self::Refused(refused),
            Not::Unknown(unknown) => Self::Unknown(unknown),
        }
    }
}

impl From<Not> for transfer_leadership_response::Outcome {
    fn from(not: Not) -> Self {
        match not {
            Not::Leader(not_leader) => Self::NotLeader(not_leader),
            Not::Refused(refused) => Self::Refused(refused),
            Not::Unknown(unknown) => Self::Unknown(unknown),
        }
    }
}

/// Whoever is asked answers for itself, and what isn't known can be asked for again.
impl From<Not> for snapshot_response::Outcome {
    fn from(not: Not) -> Self {
        let later = |reason| proto::Refused { reason, later: true };
        Self::Refused(match not {
            Not::Leader(_) => later("the node doesn't lead".to_owned()),
            Not::Refused(refused) => refused,
            Not::Unknown(proto::Unknown { reason }) => later(reason),
        })
    }
}

impl From<Not> for backup_part::Part {
    fn from(not: Not) -> Self {
        match not {
            Not::Leader(not_leader) => Self::NotLeader(not_leader),
            Not::Refused(refused) => Self::Refused(refused),
            Not::Unknown(proto::Unknown { reason }) => {
                Self::Refused(proto::Refused { reason, later: true })
            }
        }
    }
}

/// Who leads, as far as the node knows.
pub(super) fn leader(metrics: &RaftMetrics) -> Option<proto::Leader> {
    let id = metrics.current_leader?;
    let node = metrics.membership_config.membership().get_node(&id);
    Some(proto::Leader { id, address: node.map(|node| node.addr.clone()) })
}

/// The last membership that the node has.
pub(super) fn members(metrics: &RaftMetrics) -> Vec<proto::Member> {
    let membership = metrics.membership_config.membership();
    let is_voter = |id| membership.voter_ids().any(|voter| voter == id);
    let member = |(id, node): (&NodeId, &Node)| proto::Member {
        id: *id,
        address: node.addr.clone(),
        voter: is_voter(*id),
    };
    membership.nodes().map(member).collect()
}
