//! One node, with a recorder of its own, which every thread of its runtime records to.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use seshat_core::config::{NodeConfig, NodeConfigBuilder};
use seshat_core::machine::MachineReader;
use seshat_core::metrics::{ALL, Kind, describe};
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::storage::Storage;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::scrape::Scrape;

/// Longer than anything takes that goes well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How often to look.
pub(crate) const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Host {
    pub(crate) node: RaftNode,
    server: Arc<GrpcServer>,
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
            (node, Arc::new(server))
        });
        let (node, server) = runtime.block_on(started).unwrap();
        Self { node, server, recorder, runtime: Some(runtime) }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it goes with the host")
    }

    /// Lets the nodes take part: as many as there are, at once.
    pub(crate) fn admit(hosts: &[Self]) {
        let admitted = hosts.iter().map(|host| {
            let server = Arc::clone(&host.server);
            host.spawn(async move { tokio::time::timeout(DEADLINE, server.admit()).await })
        });
        let admitted: Vec<_> = admitted.collect();
        for (host, admitted) in hosts.iter().zip(admitted) {
            host.runtime().block_on(admitted).unwrap().expect("in time").unwrap();
        }
    }

    /// Waits until it leads.
    pub(crate) fn leads(&self) {
        self.until("it to lead", |scrape| scrape.sum("seshat_raft_is_leader", &[]) == 1.0);
    }

    /// Begins that where the node runs.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime().spawn(task)
    }

    /// Runs that where the node runs.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime().block_on(self.spawn(task)).unwrap()
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

    /// As much of it as a person reads.
    pub(crate) fn gist(&self) -> String {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
        lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
    }

    /// Scrapes until that is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&Scrape) -> bool) -> Scrape {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let scrape = self.scrape();
            if is_so(&scrape) {
                return scrape;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}:\n{}", self.gist());
            std::thread::sleep(POLL);
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

/// Where nodes 1 to `count` listen, and where others find them.
pub(crate) struct Ports {
    bound: BTreeMap<u64, String>,
    found: BTreeMap<u64, String>,
    listeners: BTreeMap<u64, TcpListener>,
}

impl Ports {
    pub(crate) fn of(count: u64) -> Self {
        let (mut bound, mut listeners) = (BTreeMap::new(), BTreeMap::new());
        for id in 1..=count {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            bound.insert(id, listener.local_addr().unwrap().to_string());
            listeners.insert(id, listener);
        }
        Self { found: bound.clone(), bound, listeners }
    }

    pub(crate) fn address(&self, id: u64) -> &str {
        &self.bound[&id]
    }

    /// Others find node `id` there.
    pub(crate) fn found_at(&mut self, id: u64, address: impl ToString) {
        self.found.insert(id, address.to_string());
    }

    /// Of a node among all of them.
    pub(crate) fn config(&self, id: u64) -> NodeConfigBuilder {
        // So patient that neither what is done to a leader nor the other tests cost it its place.
        let config = NodeConfig::builder(id)
            .heartbeat_interval(Duration::from_millis(100))
            .election_timeout_min(Duration::from_millis(3000))
            .election_timeout_max(Duration::from_millis(3500));
        let config = if self.found.len() == 1 { config.single_node() } else { config };
        self.found.iter().fold(config, |config, (id, address)| config.member(*id, address))
    }

    /// For a node that starts, or starts again.
    pub(crate) fn listener(&mut self, id: u64) -> TcpListener {
        let bind = || TcpListener::bind(&self.bound[&id]).unwrap();
        self.listeners.remove(&id).unwrap_or_else(bind)
    }
}
