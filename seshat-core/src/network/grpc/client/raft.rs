//! openraft's face of [`GrpcConnection`].

use std::future::Future;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::error::{
    Fatal, InstallSnapshotError, PayloadTooLarge, RPCError, RaftError, ReplicationClosed,
    StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetwork};
use tokio::time::Instant;
use tonic::Code;
use tracing::Instrument;
use tracing::field::Empty;

use super::{Client, GrpcConnection, Kind};
use crate::codec::Message;
use crate::network::grpc::error::Cause;
use crate::network::grpc::peer::{Sort, pauses};
use crate::network::grpc::progress::PIECE;
use crate::network::grpc::transmission::Transmission;
use crate::statement::answer::Sent;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    Node, NodeId, Snapshot, SnapshotResponse, TypeConfig, Vote, VoteRequest, VoteResponse,
};

impl RaftNetwork<TypeConfig> for GrpcConnection {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse, RPCError<NodeId, Node, RaftError<NodeId>>> {
        let entries = rpc.entries.len();
        let bytes = if entries == 0 { 0 } else { rpc.encoded_len() };
        if entries > 1 && bytes > self.shared.max_message_bytes {
            return Err(PayloadTooLarge::new_entries_hint(entries as u64 / 2).into());
        }
        // Nothing is lost on a connection that works, so a call that carries entries is given up when
        // nothing moved for long, and on a slow link, of which its caller knows, for longer.
        let rpc_timeout = self.shared.config.rpc_timeout();
        let limit =
            if entries == 0 { self.limit(&option) } else { option.hard_ttl().max(rpc_timeout) };
        let kind = Kind { rpc: "AppendEntries", entries: Some(entries), long: bytes > PIECE };
        let send = async |mut client: Client, request| client.append_entries(request).await;
        let sent = Sent::of(&rpc);
        let judge = |answer: &AppendEntriesResponse| {
            self.peer.acknowledged().judge(self.asker(), &sent, answer)
        };
        let end = self.call(kind, rpc, limit, send, judge).await;
        let me = self.shared.identity.node_id;
        end.map_err(|error| error.into_rpc(me, RPCTypes::AppendEntries))
    }

    /// Never called: openraft sends whole snapshots by [`full_snapshot`](Self::full_snapshot).
    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest,
        _: RPCOption,
    ) -> Result<
        InstallSnapshotResponse,
        RPCError<NodeId, Node, RaftError<NodeId, InstallSnapshotError>>,
    > {
        let words = "the chunks of a snapshot travel in one stream";
        let cause = Cause::Failed { code: Code::Unimplemented, words: words.to_owned() };
        match self.peer.note::<InstallSnapshotResponse>(
            "InstallSnapshot",
            Sort::Snapshot,
            Err(cause),
        ) {
            Ok(never) => Ok(never),
            Err(error) => Err(Unreachable::new(&error).into()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RPCError<NodeId, Node, RaftError<NodeId>>> {
        let end = self.request_vote(rpc, self.limit(&option)).await;
        let me = self.shared.identity.node_id;
        end.map_err(|error| error.into_rpc(me, RPCTypes::Vote))
    }

    /// Goes on for as long as something moves, over cuts too; ends when `cancel` does.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<NodeId>>> {
        let span = tracing::info_span!(
            "rpc",
            peer = self.peer.id,
            kind = "FullSnapshot",
            bytes = snapshot.snapshot.len(),
            elapsed_us = Empty,
            outcome = Empty,
        );
        let started = Instant::now();
        let sent = async {
            let to = (&*self.peer, &self.shared.identity, &self.shared.summed);
            let last = snapshot.meta.last_log_id;
            let sent = Transmission::new(to, &self.shared.config, vote, snapshot).await?;
            let answer = sent.run().await?;
            self.asker().snapshot(vote, &answer)?;
            if answer.vote <= vote {
                self.peer.acknowledged().note(vote, last);
            }
            Ok(answer)
        };
        let end = tokio::select! {
            end = sent.instrument(span.clone()) => end,
            closed = cancel => {
                span.record("outcome", "cancelled");
                tracing::info!(parent: &span, reason = %closed, "snapshot cancelled");
                return Err(closed.into());
            }
        };
        let me = self.shared.identity.node_id;
        span.record("elapsed_us", started.elapsed().as_micros() as u64);
        span.record("outcome", end.as_ref().err().map_or("ok", Cause::word));
        let end = span.in_scope(|| self.peer.note("FullSnapshot", Sort::Snapshot, end));
        end.map_err(|error| error.into_streaming(me))
    }

    /// From 50 ms to half a second: an unreachable follower is asked again before a short
    /// interruption has cost it an election.
    fn backoff(&self) -> Backoff {
        Backoff::new(pauses(Duration::from_millis(50), Duration::from_millis(500)))
    }
}
