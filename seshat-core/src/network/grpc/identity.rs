//! Who calls, and who is meant: the metadata of every call.
//!
//! Guarantees: where there are certificates, who a call says it is from, and who its message says, is a
//! node that its connection's certificate names.

use http::{Extensions, HeaderMap};
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue, MetadataMap};
use tonic::{Request, Status};

use super::caller::Caller;
use super::error::Refusal;
use crate::types::NodeId;

const CLUSTER: &str = "seshat-cluster-bin";
const TARGET: &str = "seshat-target";
const FROM: &str = "seshat-from";

/// A node of a cluster, as it appears in calls.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) node_id: NodeId,
    pub(super) cluster: String,
    encoded_cluster: BinaryMetadataValue,
}

impl Identity {
    pub(super) fn new(node_id: NodeId, cluster: &str) -> Self {
        let encoded_cluster = BinaryMetadataValue::from_bytes(cluster.as_bytes());
        Self { node_id, cluster: cluster.to_owned(), encoded_cluster }
    }

    /// Says in `request` that it is this node's, meant for node `target` of its cluster.
    pub(super) fn sign<T>(&self, target: NodeId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert_bin(CLUSTER, self.encoded_cluster.clone());
        metadata.insert(TARGET, AsciiMetadataValue::from(target));
        metadata.insert(FROM, AsciiMetadataValue::from(self.node_id));
        request
    }

    /// Whether a call with these headers is meant for this node; else why not.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), (Refusal, String)> {
        let same = headers
            .get(CLUSTER)
            .is_some_and(|got| got.as_bytes() == self.encoded_cluster.as_encoded_bytes());
        if !same {
            self.check_cluster(headers)?;
        }
        match node_id(headers, TARGET) {
            Some(target) if target == self.node_id => Ok(()),
            Some(target) => {
                let words = format!("this is node {}, not {target}", self.node_id);
                Err((Refusal::WrongNode, words))
            }
            None => {
                let words = format!("this is node {}; {TARGET} says of no node", self.node_id);
                Err((Refusal::WrongNode, words))
            }
        }
    }

    /// Whether a call that passed [`check`](Self::check) comes from whom it says: where there are
    /// certificates, the connection's must be that node's.
    pub(super) fn check_caller(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), (Refusal, String)> {
        let wrong = |words| (Refusal::WrongCaller, words);
        let Some(connection) = extensions.get::<Caller>() else {
            return Err(wrong("nothing is known of the connection".to_owned()));
        };
        match caller(headers) {
            Some(id) => connection.check_node(id).map_err(|not| {
                wrong(format!("this certificate can't speak for node {id}: {not}"))
            })?,
            None if connection.is_certified() => {
                return Err(wrong(format!("{FROM} says of no node")));
            }
            None => {}
        }
        connection.was_let_in();
        Ok(())
    }

    /// The slow way: base64 has more than one spelling.
    fn check_cluster(&self, headers: &HeaderMap) -> Result<(), (Refusal, String)> {
        let metadata = MetadataMap::from_headers(headers.clone());
        let got = metadata.get_bin(CLUSTER).and_then(|got| got.to_bytes().ok());
        if got.as_deref() == Some(self.cluster.as_bytes()) {
            return Ok(());
        }
        let mine = &self.cluster;
        let words = match got {
            Some(got) => {
                format!("this is cluster {mine:?}, not {:?}", String::from_utf8_lossy(&got))
            }
            None => format!("this is cluster {mine:?}; {CLUSTER} names none"),
        };
        Err((Refusal::WrongCluster, words))
    }
}

/// Who calls, by its own account.
pub(super) fn caller(headers: &HeaderMap) -> Option<NodeId> {
    node_id(headers, FROM)
}

/// Whose call a message came by, as far as certificates tell; the gate has checked that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender {
    /// `None` where nobody shows a certificate.
    certified: Option<NodeId>,
}

impl Sender {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let is_certified = request.extensions().get::<Caller>().is_some_and(Caller::is_certified);
        let from = is_certified.then(|| caller(request.metadata().as_ref()));
        Self { certified: from.flatten() }
    }

    /// Whose certificate it is.
    pub(super) fn certified(self) -> Option<NodeId> {
        self.certified
    }

    /// Whether it is the one that the message itself says it is from.
    pub(super) fn check(self, said: NodeId) -> Result<(), Status> {
        match self.certified {
            Some(from) if from != said => {
                let words = format!("node {from} can't speak for node {said}");
                Err(Refusal::WrongCaller.status(words))
            }
            _ => Ok(()),
        }
    }
}

fn node_id(headers: &HeaderMap, key: &str) -> Option<NodeId> {
    headers.get(key)?.to_str().ok()?.parse().ok()
}
