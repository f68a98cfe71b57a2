//! [`Via`]: the transport, with other addresses for some nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::network::RaftNetworkFactory;
use seshat_core::network::grpc::{GrpcConnection, GrpcTransport};
use seshat_core::types::{Node, NodeId, TypeConfig};

/// Reaches nodes where it was told to, and all others where the membership says.
///
/// A membership holds one address for each node, the same for whoever calls it. Where one node has
/// to take another way than the rest, through a proxy that can be cut say, only that node can know.
#[derive(Clone)]
pub(crate) struct Via {
    pub(crate) transport: GrpcTransport,
    pub(crate) ways: Arc<BTreeMap<NodeId, String>>,
}

impl RaftNetworkFactory<TypeConfig> for Via {
    type Network = GrpcConnection;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> GrpcConnection {
        match self.ways.get(&target) {
            Some(address) => self.transport.new_client(target, &Node::new(address)).await,
            None => self.transport.new_client(target, node).await,
        }
    }
}
