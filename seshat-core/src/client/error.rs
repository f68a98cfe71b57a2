//! Why something wasn't done, or whether it was isn't known.
//!
//! Guarantees: an error says whom it is of, and what happened there; where nothing is known of an outcome no
//! other error is given than [`Unknown`](ClientError::Unknown).

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};

/// Why something wasn't done, or whether it was isn't known.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address was given.
    #[error("no address of a node was given")]
    Nobody,
    /// That is no address.
    #[error("{address:?} is not an address (HOST:PORT)")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// The node won't, and no other would.
    #[error("refused by {address}: {reason}")]
    Refused {
        /// Who said so.
        address: String,
        /// What it said.
        reason: String,
    },
    /// Nobody did it in time, and nobody will.
    #[error("nothing was done within {waited:?}; at last: {last}")]
    TooLate {
        /// The client's timeout.
        waited: Duration,
        /// Why not, at the last attempt.
        last: String,
    },
    /// It was done, or will be, or not.
    #[error("the outcome is unknown: {address}: {reason}")]
    Unknown {
        /// Who was asked.
        address: String,
        /// Why its answer isn't known.
        reason: String,
    },
}

/// Why one node that was asked for itself didn't answer.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {why}")]
pub struct AskError {
    /// Who was asked.
    pub address: String,
    /// What happened.
    #[source]
    pub why: Unanswered,
}

/// What happened to a question that was put to one node.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody was asked.
    #[error("none of this client's addresses")]
    Stranger,
    /// There is no connection. Nothing was asked for.
    #[error("{}", chain(.0))]
    Unconnected(tonic::transport::Error),
    /// No connection came about in time. Nothing was asked for.
    #[error("silent for {waited:?}")]
    Silent {
        /// A second, or the client's timeout if that is less.
        waited: Duration,
    },
    /// There was no answer in time. What was asked for may be done all the same.
    #[error("no answer within {waited:?}")]
    TooLate {
        /// The client's timeout.
        waited: Duration,
    },
    /// It won't.
    #[error("{reason}")]
    Refused {
        /// What it said.
        reason: String,
        /// Whether it may later.
        later: bool,
    },
    /// The call failed. What was asked for may be done all the same.
    #[error("{}", words(.0))]
    Failed(Box<Status>),
    /// An answer came that this version of the client can't make sense of.
    #[error("an outcome that isn't known here")]
    Garbled,
}

/// What a status says, for people.
pub(super) fn words(status: &Status) -> String {
    match (status.source(), status.code()) {
        (Some(source), _) => chain(source),
        (None, Code::Unimplemented) => {
            "whoever serves there doesn't know this call: a node of an older \
                                        version, which must be upgraded first, or no node at all"
                .to_owned()
        }
        (None, code) => format!("{code:?}: {}", status.message()),
    }
}

/// An error and what is behind it, each once.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = error.source();
    }
    text
}
