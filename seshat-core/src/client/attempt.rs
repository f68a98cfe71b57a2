//! What came of sending something once.

use std::error::Error;

use crate::proto::client::{
    self as proto, change_response, propose_response, read_response, transfer_leadership_response,
};
use crate::proto::v1;
use tonic::Status;

/// See the [module](self).
#[derive(Debug)]
pub(super) enum Attempt<T> {
    Done(T),
    /// Not done; another node leads, and would.
    Elsewhere(String),
    /// Not done; who is there doesn't know the call, as an older node, and another may.
    Older(String),
    /// Not done; another node may, or the same one later.
    NotDone(String),
    /// Not done, and nobody would.
    Refused(String),
    /// Done, or to be done yet, or not.
    Unknown(String),
}

impl<T> Attempt<T> {
    pub(super) fn map<U>(self, done: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Done(it) => Attempt::Done(done(it)),
            Self::Elsewhere(reason) => Attempt::Elsewhere(reason),
            Self::Older(reason) => Attempt::Older(reason),
            Self::NotDone(reason) => Attempt::NotDone(reason),
            Self::Refused(reason) => Attempt::Refused(reason),
            Self::Unknown(reason) => Attempt::Unknown(reason),
        }
    }

    pub(super) fn and_then<U>(self, done: impl FnOnce(T) -> Attempt<U>) -> Attempt<U> {
        match self.map(done) {
            Attempt::Done(attempt) => attempt,
            Attempt::Elsewhere(reason) => Attempt::Elsewhere(reason),
            Attempt::Older(reason) => Attempt::Older(reason),
            Attempt::NotDone(reason) => Attempt::NotDone(reason),
            Attempt::Refused(reason) => Attempt::Refused(reason),
            Attempt::Unknown(reason) => Attempt::Unknown(reason),
        }
    }
}

/// A message that says how something ended.
pub(super) trait Answer {
    type Done;

    fn outcome(self) -> Attempt<Self::Done>;
}

impl Answer for proto::ProposeResponse {
    type Done = v1::Response;

    fn outcome(self) -> Attempt<v1::Response> {
        use propose_response::Outcome;
        match self.outcome {
            Some(Outcome::Response(response)) => Attempt::Done(response),
            Some(Outcome::NotLeader(not_leader)) => not_leader.into(),
            Some(Outcome::Refused(refused)) => refused.into(),
            Some(Outcome::Unknown(unknown)) => Attempt::Unknown(unknown.reason),
            None => Attempt::Unknown("an outcome that isn't known here".to_owned()),
        }
    }
}

impl Answer for proto::ReadResponse {
    type Done = proto::Value;

    fn outcome(self) -> Attempt<proto::Value> {
        use read_response::Outcome;
        match self.outcome {
            Some(Outcome::Value(value)) => Attempt::Done(value),
            Some(Outcome::NotLeader(not_leader)) => not_leader.into(),
            Some(Outcome::Refused(refused)) => refused.into(),
            None => Attempt::Refused("an outcome that isn't known here".to_owned()),
        }
    }
}

impl Answer for proto::GetManyResponse {
    type Done = proto::Values;

    fn outcome(self) -> Attempt<proto::Values> {
        use proto::get_many_response::Outcome;
        match self.outcome {
            Some(Outcome::Values(values)) => Attempt::Done(values),
            Some(Outcome::NotLeader(not_leader)) => not_leader.into(),
            Some(Outcome::Refused(refused)) => refused.into(),
            None => Attempt::Refused("an outcome that isn't known here".to_owned()),
        }
    }
}

impl Answer for proto::ScanResponse {
    type Done = proto::Page;

    fn outcome(self) -> Attempt<proto::Page> {
        use proto::scan_response::Outcome;
        match self.outcome {
            Some(Outcome::Page(page)) => Attempt::Done(page),
            Some(Outcome::NotLeader(not_leader)) => not_leader.into(),
            Some(Outcome::Refused(refused)) => refused.into(),
            None => Attempt::Refused("an outcome that isn't known here".to_owned()),
        }
    }
}

impl Answer for proto::ChangeResponse {
    type Done = proto::Membership;

    fn outcome(self) -> Attempt<proto::Membership> {
        use change_response::Outcome;
        match self.outcome {
            Some(Outcome::Membership(membership)) => Attempt::Done(membership),
            Some(Outcome::NotLeader(not_leader)) => not_leader.into(),
            Some(Outcome::Refused(refused)) => refused.into(),
            Some(Outcome::Unknown(unknown)) => Attempt::Unknown(unknown.reason),
            None => Attempt::Unknown("an outcome that isn't known here".to_owned()),
        }
    }
}

impl Answer for proto::TransferLeadershipResponse {
    type Done = proto::Leader;

    fn outcome(self) -> Attempt<proto::Leader> {
        use transfer_leadership_response::Outcome;
        match self.outcome {
            Some(Outcome::Leader(leader)) => Attempt::Done(leader),
            Some(Outcome::NotLeader(not_leader)) => not_leader.into(),
            Some(Outcome::Refused(refused)) => refused.into(),
            Some(Outcome::Unknown(unknown)) => Attempt::Unknown(unknown.reason),
            None => Attempt::Unknown("an outcome that isn't known here".to_owned()),
        }
    }
}

impl<T> From<proto::NotLeader> for Attempt<T> {
    fn from(not_leader: proto::NotLeader) -> Self {
        match not_leader.leader {
            Some(leader) => Self::Elsewhere(format!("not the leader, which is node {}", leader.id)),
            None => Self::NotDone("not the leader, and knows of none".to_owned()),
        }
    }
}

impl<T> From<proto::Refused> for Attempt<T> {
    fn from(refused: proto::Refused) -> Self {
        match refused.later {
            true => Self::NotDone(refused.reason),
            false => Self::Refused(refused.reason),
        }
    }
}

/// Whether a call ended so for want of a connection: nothing was asked for.
pub(super) fn is_unconnected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
