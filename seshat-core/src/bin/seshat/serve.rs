//! `seshat serve`: a node, from its configuration to its end.
//!
//! Guarantees: nobody can connect before what it keeps is there. Who is asked to end takes nothing on, answers
//! what is under way, and hands leadership over, in that order; clients and peers are answered until all of that
//! is done. What a node does goes to standard output, its log to standard error. It keeps what it must not forget
//! in `data_dir`, and is itself again however it ended; where that is missing or refused it says so, with an exit
//! code for each case ([`storage`]).

mod monitor;
mod signals;
mod storage;
mod via;

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use seshat_core::config::{ConfigError, NodeConfig};
use seshat_core::disk::DiskStorage;
use seshat_core::error::Stopped;
use seshat_core::network::grpc::{
    Admission, AdmissionError, Clients, GrpcServer, GrpcTransport, ServeError,
};
use seshat_core::node::{Handover, RaftNode};
use seshat_core::service::Service;
use seshat_core::storage::MemStorage;
use seshat_core::types::NodeId;
use tokio::net::TcpListener;
use tonic::service::Routes;

use self::monitor::Monitor;
use self::signals::{Hangups, Signals};
use self::storage::{forgotten, open};
use self::via::Via;
use crate::arguments::ServeOptions;
use crate::codes::node::{FAILED, WRONG_USAGE};
use crate::running::{self, say};
use crate::{Failure, chain};

pub(crate) fn run(options: ServeOptions) -> Result<ExitCode, Failure> {
    running::run(options.log, serve(options))
}

async fn serve(options: ServeOptions) -> Result<ExitCode, Failure> {
    let config = read(&options.config)?;
    let node_id = config.node_id();
    let deaf = |error| Failure::of(FAILED, "signals can't be listened for", error);
    let mut signals = Signals::new().map_err(deaf)?;
    let hangups = Hangups::new().map_err(deaf)?;
    let program = tokio::select! {
        biased;
        // What it keeps may take long to read, and bears that nobody waits for it.
        _ = signals.next() => {
            say(format_args!("node {node_id} shuts down, before it has started"));
            return Ok(ExitCode::SUCCESS);
        }
        started = Program::start(config, options) => started?,
    };

    tokio::select! {
        failure = program.take_part() => return Err(failure),
        () = program.reload(hangups) => {}
        _ = signals.next() => say(format_args!("node {node_id} shuts down")),
    }
    tokio::select! {
        biased;
        code = signals.next() => Ok(ExitCode::from(code)),
        () = program.shut_down() => Ok(ExitCode::SUCCESS),
    }
}

fn read(path: &Path) -> Result<NodeConfig, Failure> {
    let at = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let words = format!("the configuration {at} can't be read (--config FILE names it)");
        Failure::of(WRONG_USAGE, words, error)
    })?;
    NodeConfig::from_toml(&text).map_err(|error| {
        let words = match &error {
            ConfigError::Toml(toml) => format!("the configuration {at} is not one:\n{toml}"),
            ConfigError::Invalid(_) => format!("the configuration {at} must be mended:\n{error}"),
        };
        Failure::new(WRONG_USAGE, words.trim_end())
    })
}

/// Each where nobody else listens, or the system would say that somebody does.
fn distinct(node_id: NodeId, places: &[(&str, Option<&str>)]) -> Result<(), Failure> {
    let given = places.iter().filter_map(|(option, address)| Some((option, (*address)?)));
    // Of those that the system chooses none is the same.
    let fixed: Vec<_> = given.filter(|(_, address)| !address.ends_with(":0")).collect();
    for (at, (option, address)) in fixed.iter().enumerate() {
        if let Some((other, _)) = fixed.iter().take(at).find(|(_, before)| before == address) {
            let words = format!(
                "node {node_id} can't listen at {address} for two things: give another address with \
                 {other} or {option}"
            );
            return Err(Failure::new(WRONG_USAGE, words));
        }
    }
    Ok(())
}

async fn listen(node_id: NodeId, address: &str, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let (code, way) = match error.kind() {
            ErrorKind::InvalidInput => (WRONG_USAGE, "give HOST:PORT"),
            ErrorKind::AddrInUse => (FAILED, "end what listens there, or give another address"),
            _ => (FAILED, "give an address of this machine, and a port that this user may have"),
        };
        let words = format!("node {node_id} can't listen at {address}: {way} with {option}");
        Failure::of(code, words, error)
    })
}

/// Serves what there is to look at, of a node that starts.
async fn watch(node_id: NodeId, address: &str) -> Result<Monitor, Failure> {
    let listener = listen(node_id, address, "--listen-metrics").await?;
    let nowhere = |error| Failure::of(FAILED, "metrics can't be kept", error);
    let recorder = monitor::install().map_err(nowhere)?;
    if let Ok(at) = listener.local_addr() {
        say(format_args!("node {node_id} serves metrics at http://{at}/metrics"));
    }
    Ok(Monitor::start(listener, recorder))
}

/// Starts the node on what it keeps.
async fn start(
    config: NodeConfig,
    storage: Option<DiskStorage>,
    via: Via,
) -> Result<RaftNode, Failure> {
    let started = match storage {
        Some(storage) => RaftNode::start(config, storage, via).await,
        None => {
            tracing::warn!(
                node_id = config.node_id(),
                "no data_dir: all is kept in memory, and lost with this process; its cluster then has to \
                 remove the node and add it again"
            );
            RaftNode::start(config, MemStorage::new(), via).await
        }
    };
    started.map_err(|error| Failure::of(FAILED, "the node didn't start", error))
}

/// A node that runs, and what serves it.
struct Program {
    node: RaftNode,
    transport: GrpcTransport,
    service: Service,
    server: GrpcServer,
    monitor: Option<Monitor>,
}

impl Program {
    async fn start(config: NodeConfig, options: ServeOptions) -> Result<Self, Failure> {
        let node_id = config.node_id();
        let wrong = |error| Failure::of(WRONG_USAGE, "there is no transport", error);
        let transport = GrpcTransport::new(&config).map_err(wrong)?;
        let address = options.listen.or_else(|| config.members().get(&node_id).cloned());
        let address = address.ok_or_else(|| {
            let words = "is not among the members of its configuration: say where it listens, with";
            Failure::new(WRONG_USAGE, format!("node {node_id} {words} --listen ADDRESS"))
        })?;
        let metrics_address = config.metrics_address().map(str::to_owned);
        let for_metrics = options.listen_metrics.or(metrics_address);
        distinct(
            node_id,
            &[
                ("--listen", Some(&address)),
                ("--listen-clients", options.listen_clients.as_deref()),
                ("--listen-metrics", for_metrics.as_deref()),
            ],
        )?;
        // Before anything is recorded, and before what may take long.
        let monitor = match for_metrics {
            Some(address) => Some(watch(node_id, &address).await?),
            None => None,
        };
        let storage = match config.data_dir() {
            Some(dir) => Some(open(&config, dir.to_owned()).await?),
            None => None,
        };
        let listener = listen(node_id, &address, "--listen").await?;
        let for_clients = match options.listen_clients {
            Some(address) => Some(listen(node_id, &address, "--listen-clients").await?),
            None => None,
        };

        let via =
            Via { transport: transport.clone(), ways: Arc::new(options.via.into_iter().collect()) };
        let node = start(config, storage, via).await?;
        let service = Service::new(node.clone());
        if let Some(monitor) = &monitor {
            monitor.watches(node.clone());
        }
        let clients =
            for_clients.map(|listener| Clients { listener, routes: Routes::new(service.server()) });
        let served = GrpcServer::start(&node, &transport, listener, clients).await;
        let server = served.map_err(|error| {
            let wrong = matches!(error, ServeError::Plaintext { .. });
            Failure::of(if wrong { WRONG_USAGE } else { FAILED }, "nothing can be served", error)
        })?;
        let at = server.local_addr();
        match server.clients_addr() {
            Some(clients) => {
                say(format_args!("node {node_id} listens at {at}, for clients at {clients}"))
            }
            None => say(format_args!("node {node_id} listens at {at}, and serves no clients")),
        }
        Ok(Self { node, transport, service, server, monitor })
    }

    /// Reads certificates again whenever it is asked to.
    async fn reload(&self, mut hangups: Hangups) {
        loop {
            hangups.next().await;
            let id = self.node.id();
            match self.transport.reload() {
                Ok(true) => say(format_args!("node {id} has read its certificates again")),
                Ok(false) => say(format_args!("node {id} has no other certificates than before")),
                Err(error) => {
                    say(format_args!("node {id} keeps its certificates: {}", chain(&error)))
                }
            }
        }
    }

    /// Ends only if the node can't go on.
    async fn take_part(&self) -> Failure {
        let admission = match self.server.admit().await {
            Ok(admission) => admission,
            Err(error @ AdmissionError::LostMemory { .. }) => {
                return forgotten(self.node.config(), &error);
            }
            Err(error) => return Failure::of(FAILED, "the node is not admitted", error),
        };
        self.service.admitted();
        let what = match admission {
            Admission::Remembers => "takes part again",
            Admission::Forms => "forms the cluster with the other members",
            Admission::Waits => "waits to be added to its cluster",
            Admission::CatchesUp => "takes part again, and votes when it has caught up",
        };
        say(format_args!("node {} {what}", self.node.id()));
        let mut metrics = self.node.metrics();
        let stopped = match metrics.wait_for(|now| now.running_state.is_err()).await {
            Ok(now) => now.running_state.clone().err().map(Stopped::from),
            // Nothing more is reported, not even why.
            Err(_) => None,
        };
        Failure::of(FAILED, "the node ended", stopped.unwrap_or(Stopped::Panicked))
    }

    async fn shut_down(self) {
        if let Some(monitor) = &self.monitor {
            monitor.drains();
        }
        self.service.close().await;
        let became = match self.node.shutdown().await {
            Handover::NotLeading => "didn't lead".to_owned(),
            Handover::To(successor) => format!("handed over to node {successor}"),
            Handover::Failed(error) => format!("led, and nobody took over: {}", chain(&error)),
        };
        say(format_args!("node {} {became}", self.node.id()));
        self.server.shutdown().await;
    }
}
