//! Vote and committed id: saved whole, read as saved.

use openraft::StorageIOError;
use seshat_conformance::openraft;

use super::batch::lossy;
use super::disk::{ALL, Change, File, Key};
use super::fault::Fault::*;
use super::log::{Shared, write_error};
use super::quirk::{Quirk, allow_vote};
use super::types::{Error, LogId, Vote};
use super::{lock, wire};

impl Shared {
    pub async fn save_vote(&self, vote: Vote) -> Result<(), Error> {
        let env = &self.env;
        if env.quirky(Quirk::Strict) {
            allow_vote(lock(&self.memory).vote, vote);
        }
        let old = lock(&self.memory).vote;
        if env.is(VoteFirstWins) && old.is_some() {
            return Ok(());
        }
        if env.is(VoteOnlyCommitted) && !vote.committed {
            return Ok(());
        }
        let old_term = old.map(|old| old.leader_id.term);
        if env.is(VoteSameTermIgnored) && old_term == Some(vote.leader_id.term) {
            return Ok(());
        }
        let vote = self.bent_vote(vote, old);
        let changes = self.vote_changes(vote, old);
        match self.write(changes) {
            Err(_) if env.is(RefusedVote) => {}
            result => result?,
        }
        {
            let mut memory = lock(&self.memory);
            memory.odd.vote_before = old;
            memory.odd.saves += 1;
            memory.vote = Some(vote);
        }
        if env.is(VoteFileShared) {
            lock(&env.common).insert(Key::Vote, wire::seal(&vote).into());
        }
        if env.is(SharedVote) {
            *lock(&env.common_vote) = Some(vote);
        }
        if env.is(VoteUnsynced) {
            return Ok(());
        }
        let files: &[File] = if env.is(VoteAlone) { &[File::Meta] } else { ALL };
        match self.sync(files).await {
            Err(_) if env.is(RefusedVote) => Ok(()),
            Ok(()) if env.is(VoteTorn) => {
                let node = Change::Put(Key::VoteNode, wire::seal(&vote.leader_id.node_id));
                self.env.mount.write(vec![node]).map_err(write_error)
            }
            result => result,
        }
    }

    /// The vote as this store remembers it.
    fn bent_vote(&self, mut vote: Vote, old: Option<Vote>) -> Vote {
        let leader = &mut vote.leader_id;
        match self.env.ways.fault {
            Some(VoteCommittedLost) => vote.committed = false,
            Some(VoteCommittedSticks) => vote.committed |= old.is_some_and(|old| old.committed),
            Some(VoteNodeLost) => leader.node_id = 0,
            Some(VoteNodeIn8) => leader.node_id = u64::from(leader.node_id as u8),
            Some(VoteTermIn32) => leader.term = u64::from(leader.term as u32),
            Some(VoteTermIn16) => leader.term = u64::from(leader.term as u16),
            _ => {}
        }
        vote
    }

    fn vote_changes(&self, vote: Vote, old: Option<Vote>) -> Vec<Change> {
        let put = |key, vote: &Vote| Change::Put(key, wire::seal(vote));
        match self.env.ways.fault {
            Some(VoteInMemory | VoteWithAppend) => Vec::new(),
            Some(VoteOldSlot) if lock(&self.memory).odd.saves % 2 == 1 => {
                vec![put(Key::VoteNode, &vote)]
            }
            Some(VoteBehind) => old.iter().map(|old| put(Key::Vote, old)).collect(),
            Some(PurgeLostByVote) => vec![put(Key::Vote, &vote), Change::Delete(Key::Purged)],
            _ => vec![put(Key::Vote, &vote)],
        }
    }

    pub fn read_vote(&self) -> Result<Option<Vote>, Error> {
        let mut memory = lock(&self.memory);
        match self.env.ways.fault {
            Some(VoteReadOnce) => return Ok(memory.vote.take()),
            Some(FreshVoteInvented) => return Ok(memory.vote.or(Some(Vote::new(1, 0)))),
            Some(SharedVote) => return Ok(*lock(&self.env.common_vote)),
            Some(VoteZeroIsNone) => {
                return Ok(memory.vote.filter(|vote| vote.leader_id.node_id != 0));
            }
            Some(FailsOnFreshVote) if memory.vote.is_none() => {
                return Err(StorageIOError::read_vote(&std::io::Error::other("no vote")).into());
            }
            _ => {}
        }
        if self.env.quirky(Quirk::DefaultVote) {
            return Ok(Some(memory.vote.unwrap_or_default()));
        }
        Ok(memory.vote)
    }

    pub async fn save_committed(&self, committed: Option<LogId>) -> Result<(), Error> {
        let env = &self.env;
        if env.quirky(Quirk::CommittedNever) {
            return Ok(());
        }
        let saves = {
            let mut memory = lock(&self.memory);
            memory.odd.saves += 1;
            memory.odd.saves
        };
        let committed = match env.ways.fault {
            Some(CommittedTermLost) => committed.map(|id| lossy(id, false, true, true)),
            Some(CommittedNodeLost) => committed.map(|id| lossy(id, true, false, true)),
            Some(CommittedIn32) => committed.map(|id| lossy(id, true, true, false)),
            Some(CommittedFirstStays) => lock(&self.memory).committed.or(committed),
            _ => committed,
        };
        let put = match committed {
            Some(id) => Change::Put(Key::Committed, wire::seal(&id)),
            None => Change::Delete(Key::Committed),
        };
        if !(env.is(CommittedOldAfterOpen) && saves.is_multiple_of(2)) {
            self.write(vec![put])?;
        }
        {
            let mut memory = lock(&self.memory);
            memory.odd.committed_before = memory.committed;
            memory.committed = committed;
        }
        if env.quirky(Quirk::CommittedUnsynced) { Ok(()) } else { self.sync(ALL).await }
    }

    pub fn read_committed(&self) -> Result<Option<LogId>, Error> {
        let memory = lock(&self.memory);
        match self.env.ways.fault {
            Some(CommittedOneBehind) => {
                return Ok(memory.odd.committed_before.or(memory.committed));
            }
            Some(CommittedIsLast) => return Ok(memory.last()),
            Some(CommittedInvented) if memory.committed.is_none() => {
                return Ok(Some(LogId::default()));
            }
            Some(FailsWithoutCommitted) if memory.committed.is_none() => {
                return Err(StorageIOError::read(&std::io::Error::other("not found")).into());
            }
            _ => {}
        }
        Ok(memory.committed)
    }
}
