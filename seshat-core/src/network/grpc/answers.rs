//! [`Answers`]: the node behind the service, one method for each call.
//!
//! What arrives here was decoded, and passed the [gate](super::gate). What it says is judged by the
//! [`Follower`].

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status, Streaming};

use super::error::Refusal;
use super::follower::{Follower, stopped};
use super::identity::Sender;
use super::message::{FormatsRequest, SnapshotOffsetRequest, StandingRequest};
use super::reception::{Incoming, Receptions};
use super::services::transport_server;
use super::standing::Standing;
use crate::codec::{FormatsResponse, FullSnapshotPart, SnapshotOffsetResponse, StandingResponse};
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};

/// The node behind the service.
pub(super) struct Answers {
    pub(super) follower: Arc<Follower>,
    pub(super) limit: Duration,
    pub(super) receptions: Arc<Receptions>,
    pub(super) standing: Arc<Standing>,
    pub(super) formats: FormatsResponse,
}

#[tonic::async_trait]
impl transport_server::Transport for Answers {
    async fn append_entries(
        &self,
        request: Request<AppendEntriesRequest>,
    ) -> Result<Response<AppendEntriesResponse>, Status> {
        let (sender, vote) = (Sender::of(&request), request.get_ref().vote);
        match vote.committed {
            true => sender.check(vote.leader_id.node_id)?,
            false => self.follower.may_say(sender, vote).await?,
        }
        self.follower.append(request.into_inner()).await.map(Response::new)
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteResponse>, Status> {
        self.follower.may_say(Sender::of(&request), request.get_ref().vote).await?;
        // It can't come back once it is over, so a vote that is granted later is none too early.
        if let Some(probation) = self.standing.probation() {
            let committed = probation.leadership.committed;
            let words = format!(
                "the node began without a memory, and votes once its log has {committed}, which its leader \
                 had committed"
            );
            return Err(Refusal::NotAdmitted.status(words));
        }
        self.follower.vote(request.into_inner()).await.map(Response::new)
    }

    async fn full_snapshot(
        &self,
        request: Request<Streaming<FullSnapshotPart>>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        self.receptions.receive(Incoming::of(request)).await.map(Response::new)
    }

    async fn snapshot_offset(
        &self,
        request: Request<SnapshotOffsetRequest>,
    ) -> Result<Response<SnapshotOffsetResponse>, Status> {
        Ok(Response::new(self.receptions.offset(request.into_inner())))
    }

    async fn formats(
        &self,
        _: Request<FormatsRequest>,
    ) -> Result<Response<FormatsResponse>, Status> {
        Ok(Response::new(self.formats))
    }

    async fn standing(
        &self,
        request: Request<StandingRequest>,
    ) -> Result<Response<StandingResponse>, Status> {
        Sender::of(&request).check(request.get_ref().node_id)?;
        let answer = self.standing.answer(request.into_inner(), self.limit / 2).await;
        answer.map(Response::new).map_err(stopped)
    }
}
