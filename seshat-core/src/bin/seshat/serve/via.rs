//! [`Via`]: the transport, with other addresses for some nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::network::RaftNetworkFactory;
use seshat_core::codec::FormatsResponse;
use seshat_core::network::Transport;
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

impl Via {
    fn node(&self, target: NodeId, node: &Node) -> Node {
        self.ways.get(&target).map_or_else(|| node.clone(), Node::new)
    }
}

impl RaftNetworkFactory<TypeConfig> for Via {
    type Network = GrpcConnection;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> GrpcConnection {
        let node = self.node(target, node);
        self.transport.new_client(target, &node).await
    }
}

impl Transport for Via {
    async fn formats(&self, target: NodeId, node: &Node) -> Option<FormatsResponse> {
        self.transport.formats(target, &self.node(target, node)).await
    }
}
