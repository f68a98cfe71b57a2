//! [`Kept`]: what a log store keeps, in Seshat's own types: written to the store under test, and
//! read back from it.

use seshat_core::codec::Message;
use seshat_core::log::HardState;
use seshat_core::types::{Entry, LeaderId, LogId, Vote};

use super::{other_types, own};
use crate::driver::seen;
use crate::driver::seshat;
use crate::failure::Failure;
use crate::fixtures::wire::joined;
use crate::lab::Lab;
use crate::outcome::Verdict;
use crate::subject::Subject;

/// A hard state and the entries after its purged id.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) state: HardState,
    pub(super) entries: Vec<Entry>,
}

impl Kept {
    /// As a log segment.
    pub(super) fn encode(&self) -> Vec<u8> {
        let state = std::iter::once(self.state.encode());
        joined(state.chain(self.entries.iter().map(Message::encode)))
    }

    /// Writes it to a fresh store and looks at what is read, also after a restart where the log
    /// outlives one.
    pub(super) async fn through_a_store(
        &self,
        lab: &Lab,
        name: &str,
        look: impl Fn(&Self) -> Verdict,
    ) -> Verdict {
        let mut subject = Subject::fresh(lab).await?;
        self.write(&mut subject, name).await?;
        look(&self.read(&mut subject).await?)?;
        if lab.driver.capabilities().log_survives_restart {
            subject.reopen().await?;
            look(&self.read(&mut subject).await?)?;
        }
        Ok(())
    }

    /// By the calls that openraft makes: a log whose first entries are purged had a snapshot
    /// installed, and each leader's entries follow the vote that it was granted.
    pub(super) async fn write(&self, subject: &mut Subject<'_>, name: &str) -> Verdict {
        let lab = subject.lab;
        lab.record.step(format!("# write the fixture {name}"));
        if let Some(purged) = self.state.purged {
            granted(subject, purged.leader_id).await?;
            lab.call("purge", subject.log.purge(seshat::id(purged))).await?;
        }
        for run in self.entries.chunk_by(|a, b| a.log_id.leader_id == b.log_id.leader_id) {
            if let Some(first) = run.first() {
                granted(subject, first.log_id.leader_id).await?;
            }
            let entries = run.iter().cloned().map(seshat::entry).collect();
            lab.call("append", subject.log.append(entries)).await?;
        }
        if let Some(vote) = self.state.vote {
            lab.call("save_vote", subject.log.save_vote(seshat::vote(vote))).await?;
        }
        if let Some(committed) = self.state.committed {
            let committed = Some(seshat::id(committed));
            lab.call("save_committed", subject.log.save_committed(committed)).await?;
        }
        Ok(())
    }

    /// What the store shows. A committed id that it doesn't keep is taken for the one saved.
    async fn read(&self, subject: &mut Subject<'_>) -> Result<Self, Failure> {
        let lab = subject.lab;
        let shown = lab.call("get_log_state", subject.log.state()).await?;
        let id = |id: Option<seen::LogId>| id.map(|id| own::<LogId>(&id.own)).transpose();
        let (purged, last) = (id(shown.purged)?, id(shown.last)?);
        let vote = lab.call("read_vote", subject.log.vote()).await?;
        let vote: Option<Vote> = vote.map(|vote| own(&vote.own)).transpose()?;
        let committed = lab.call("read_committed", subject.log.committed()).await?;
        let committed = id(committed)?;

        let first = purged.map_or(0, |id| id.index.saturating_add(1));
        let end = last.map_or(first, |id| id.index.saturating_add(1)).max(first);
        let entries = if first == end {
            Vec::new()
        } else {
            let read = lab.call("try_get_log_entries", subject.log.read(first..end)).await?;
            let entry = |entry| seshat::entry_of(entry).cloned().ok_or_else(other_types);
            read.iter().map(entry).collect::<Result<_, _>>()?
        };
        let state = HardState {
            // What a store may show that has none.
            vote: vote.filter(|vote| *vote != Vote::default()),
            committed: committed.or(self.state.committed),
            purged,
        };
        Ok(Self { state, entries })
    }
}

/// Saves the vote that made a leader. The very first entry is nobody's.
async fn granted(subject: &mut Subject<'_>, leader_id: LeaderId) -> Verdict {
    if leader_id == LeaderId::default() {
        return Ok(());
    }
    let vote = seshat::vote(Vote { leader_id, committed: true });
    subject.lab.call("save_vote", subject.log.save_vote(vote)).await
}
