//! One node, with a recorder of its own, which every thread of its runtime records to.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use seshat_core::config::{NodeConfig, NodeConfigBuilder};
use seshat_core::machine::MachineReader;
use seshat_core::metrics::{ALL, Kind, describe};
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::storage::Storage;
use tokio::runtime::{Builder, Runtime};

use crate::scrape::Scrape;

/// Longer than anything takes that goes well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Host {
    pub(crate) node: RaftNode,
    _server: GrpcServer,
    recorder: PrometheusHandle,
    runtime: Option<Runtime>,
}

impl Host {
    /// A node that listens there, on what `storage` opens.
    pub(crate) fn start<S>(
        config: NodeConfig,
        listener: TcpListener,
        storage: impl FnOnce() -> S + Send + 'static,
    ) -> Self
    where
        S: Storage<Reader = MachineReader>,
    {
        let (runtime, recorder) = runtime();
        let started = runtime.spawn(async move {
            let transport = GrpcTransport::new(&config).unwrap();
            let node = RaftNode::start(config, storage(), transport.clone()).await.unwrap();
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let server = GrpcServer::start(&node, &transport, listener, None).await.unwrap();
            (node, server)
        });
        let (node, server) = runtime.block_on(started).unwrap();
        Self { node, _server: server, recorder, runtime: Some(runtime) }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it goes with the host")
    }

    /// Lets the nodes take part: as many as there are, at once.
    pub(crate) fn admit(hosts: &[Self]) {
        std::thread::scope(|threads| {
            for host in hosts {
                threads.spawn(|| {
                    let admitted =
                        async { tokio::time::timeout(DEADLINE, host._server.admit()).await };
                    host.runtime().block_on(admitted).expect("in time").unwrap();
                });
            }
        });
    }

    /// Runs that where the node runs.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let runtime = self.runtime();
        runtime.block_on(runtime.spawn(task)).unwrap()
    }

    /// What it says when it is asked now.
    pub(crate) fn scrape(&self) -> Scrape {
        let node = self.node.clone();
        self.run(async move { node.collect().await });
        Scrape::of(&self.recorder.render())
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        self.recorder.render()
    }

    /// Scrapes until that is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let scrape = self.scrape();
            if is_so(&scrape) {
                return scrape;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn set(&self, key: &'static str, value: impl Into<bytes::Bytes>) {
        let (node, value) = (self.node.clone(), value.into());
        self.run(async move { node.set(key, value).await }).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(self.node.stop());
            runtime.shutdown_background();
        }
    }
}

/// A runtime, and what its threads record to.
fn runtime() -> (Runtime, PrometheusHandle) {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets).unwrap();
        }
    }
    // For the rest of the process, as there is no telling when the last thread ends.
    let recorder = &*Box::leak(Box::new(builder.build_recorder()));
    metrics::with_local_recorder(recorder, describe);
    let mut threads = Builder::new_multi_thread();
    let threads = threads.worker_threads(2).enable_all().on_thread_start(move || {
        std::mem::forget(metrics::set_default_local_recorder(recorder));
    });
    (threads.build().unwrap(), recorder.handle())
}

/// Where nodes 1 to `count` listen.
pub(crate) struct Ports(BTreeMap<u64, (TcpListener, String)>);

impl Ports {
    pub(crate) fn of(count: u64) -> Self {
        let bind = |id| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            (id, (listener, address))
        };
        Self((1..=count).map(bind).collect())
    }

    /// Of a node among all of them.
    pub(crate) fn config(&self, id: u64) -> NodeConfigBuilder {
        // So patient that the other tests beside it cost no leader its place.
        let config = NodeConfig::builder(id)
            .heartbeat_interval(Duration::from_millis(100))
            .election_timeout_min(Duration::from_millis(800))
            .election_timeout_max(Duration::from_millis(1600));
        let config = if self.0.len() == 1 { config.single_node() } else { config };
        self.0.iter().fold(config, |config, (id, (_, address))| config.member(*id, address))
    }

    pub(crate) fn listener(&self, id: u64) -> TcpListener {
        self.0[&id].0.try_clone().unwrap()
    }
}
