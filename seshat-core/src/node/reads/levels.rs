//! [`ReadLevel`]: which state a read is of, and the reads that say it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::error::ReadError;
use crate::machine::{Page, Scan};
use crate::node::RaftNode;
use crate::storage::StateReader;

/// Which state a read is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReadLevel {
    /// One that has all that was acknowledged before the read was asked for, whoever acknowledged it: the
    /// leader has a quorum confirm that it leads, and reads that wait share one round.
    #[default]
    Linearizable,
    /// What the leader has applied, without asking anybody. As long as no other node was elected that is
    /// the same; a leader that was deposed and hasn't heard of it yet answers without what was acknowledged
    /// since. No lease bounds for how long that may be: until a message reaches it.
    Leader,
    /// What this node has applied, which is some committed state; see [`RaftNode::behind`].
    Local,
}

/// How far a node's state is behind, as far as the node knows: what it hasn't heard of isn't in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behind {
    /// Index of the last entry applied here; `None` if none is.
    pub applied: Option<u64>,
    /// Index of the last entry that is known here to be committed; `None` if none is.
    pub committed: Option<u64>,
    /// How long ago a follower heard from its leader last, or a leader from a quorum; `None` where neither
    /// is known of, so that the rest may be of any age.
    pub heard: Option<Duration>,
}

impl<R: StateReader> RaftNode<R> {
    /// Returns once this node's state may answer reads of that level that were asked for before the call.
    /// Dropping the future gives that up, and nothing else.
    ///
    /// # Errors
    /// This node doesn't lead, or, where that is asked, no quorum confirmed it within `propose_timeout`.
    /// [`Local`](ReadLevel::Local) never fails.
    pub async fn await_level(&self, level: ReadLevel) -> Result<(), ReadError> {
        match level {
            ReadLevel::Local => return Ok(()),
            ReadLevel::Leader if self.reads().leads() => return Ok(()),
            // So is a leader confirmed that hasn't applied all that was acknowledged before its time.
            ReadLevel::Leader | ReadLevel::Linearizable => {}
        }
        let (started, patience) = (Instant::now(), self.config().propose_timeout());
        match timeout(patience, self.reads().confirm()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ReadError::from_raft(error, started.elapsed())),
            Err(_) => Err(ReadError::NoQuorum { waited: patience }),
        }
    }

    /// The values of `keys`, in their order, all of one state. Dropping the future does nothing.
    ///
    /// # Errors
    /// As [`await_level`](Self::await_level), or the values have more than `max_bytes` in all, or the state
    /// machine can't be read.
    pub async fn get_many(
        &self,
        keys: &[Bytes],
        max_bytes: usize,
        level: ReadLevel,
    ) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.await_level(level).await?;
        let values = self.reader().get_many(keys, max_bytes).await;
        Ok(values.map_err(|error| ReadError::Storage(Box::new(error)))??)
    }

    /// A page of one state. Looks at every key ([`Scan`]); dropping the future gives the page up.
    ///
    /// # Errors
    /// As [`await_level`](Self::await_level), or the state machine can't be read.
    pub async fn scan(&self, scan: Scan, level: ReadLevel) -> Result<Page, ReadError> {
        self.await_level(level).await?;
        let page = self.reader().scan(scan).await;
        page.map_err(|error| ReadError::Storage(Box::new(error)))
    }

    /// How far the state is behind that later reads on this node see. Asks the node's core, as long as
    /// that takes no longer than a heartbeat's interval: one that is busy with its disk, or stopped, isn't
    /// waited for. Dropping the future does nothing.
    pub async fn behind(&self) -> Behind {
        let (leads, acked, applied) = {
            let metrics = self.metrics();
            let now = metrics.borrow();
            let acked = now.millis_since_quorum_ack.map(Duration::from_millis);
            (now.state.is_leader(), acked, now.last_applied.map(|last| last.index))
        };
        let asked = self.raft().with_raft_state(|state| {
            let follows = state.vote_ref().is_committed();
            let heard = state.vote_last_modified().filter(|_| follows);
            (state.committed.map(|last| last.index), heard.map(|heard| heard.elapsed()))
        });
        let told = timeout(self.config().heartbeat_interval(), asked).await;
        let (committed, heard) = told.ok().and_then(Result::ok).unwrap_or_default();
        // The metrics are written after what they tell of.
        let committed = committed.max(applied);
        Behind { applied, committed, heard: if leads { acked } else { heard } }
    }
}
