//! Entry by entry from where the log begins.

use super::super::configuration::Configuration;
use super::super::entry::{LegacyEntry, LegacyPayload};
use super::super::snapshot::LegacySnapshot;
use super::{Addresses, Damage, Found, ImportError, Kind, LeftBehind, Place, Reason, Summary};
use crate::log::Log;
use crate::machine::Machine;
use crate::proto::eraftpb;
use crate::types::LogId;

/// What is before the log.
#[derive(Debug)]
pub(super) struct Start {
    place: Place,
    configuration: Configuration,
    /// `None` if nothing is: see [`LegacySnapshot::read`].
    pub(super) snapshot: Option<LegacySnapshot>,
}

impl Start {
    pub(super) fn of(
        snapshot: Option<&Found<eraftpb::Snapshot>>,
        conf_state: Option<&Found<eraftpb::ConfState>>,
    ) -> Result<Self, ImportError> {
        if let Some(found) = snapshot {
            let read = LegacySnapshot::read(&found.value).map_err(|error| found.damaged(error))?;
            if let Some(snapshot) = read {
                let configuration = snapshot.configuration.clone();
                return Ok(Self { place: found.place, configuration, snapshot: Some(snapshot) });
            }
        }
        let found = conf_state.ok_or(ImportError::Missing { kind: Kind::ConfState })?;
        let configuration = (&found.value).try_into();
        let configuration = configuration.map_err(|error| found.damaged(error))?;
        Ok(Self { place: found.place, configuration, snapshot: None })
    }
}

/// The log so far, and what it made of the configuration.
pub(super) struct Replay<'a> {
    addresses: &'a Addresses<'a>,
    log: Log,
    machine: Machine,
    /// Index of the entry before, covered or not.
    previous: Option<u64>,
    /// What the configuration became, and at which index.
    history: Vec<(u64, Configuration)>,
    summary: Summary,
}

impl<'a> Replay<'a> {
    pub(super) fn begin(start: Start, addresses: &'a Addresses<'a>) -> Result<Self, ImportError> {
        let Start { place, configuration, snapshot } = start;
        // Without a snapshot raft-rs's dummy is before the log: index 0, of term 0.
        let snapshot = snapshot.unwrap_or_else(|| LegacySnapshot {
            last: LogId::default(),
            configuration: configuration.clone(),
            image: Default::default(),
        });
        let base = snapshot.last;
        let machine = snapshot.into_machine(addresses);
        let machine = machine.map_err(|error| ImportError::damaged(place, error))?;
        let mut log = Log::default();
        // A log without a history has no marker that this could contradict.
        let _ = log.purge(base);
        let summary = Summary {
            vote: None,
            committed: None,
            base,
            state: machine.size(),
            last: base,
            operations: 0,
            blanks: 0,
            changes: 0,
            configuration: configuration.clone(),
            left_behind: Vec::new(),
        };
        let history = vec![(base.index, configuration)];
        let mut replay = Self { addresses, log, machine, previous: None, history, summary };
        replay.leave_out_of_membership(place);
        Ok(replay)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn leave_behind(&mut self, place: Place, reason: Reason) {
        self.summary.left_behind.push(LeftBehind { place, reason });
    }

    fn leave_out_of_membership(&mut self, place: Place) {
        let Configuration { learners_next, auto_leave, .. } = &self.summary.configuration;
        let nodes: Vec<_> = learners_next.iter().copied().collect();
        let auto_leave = *auto_leave;
        if !nodes.is_empty() {
            self.leave_behind(place, Reason::LearnersNext { nodes });
        }
        if auto_leave {
            self.leave_behind(place, Reason::AutoLeave);
        }
    }

    /// The next entry.
    pub(super) fn entry(&mut self, found: &Found<eraftpb::Entry>) -> Result<(), Damage> {
        let entry = LegacyEntry::try_from(&found.value)?;
        let got = entry.log_id;
        let previous = self.previous.replace(got.index);
        if got.index <= self.summary.base.index {
            self.check_covered(got, previous)?;
            self.leave_behind(found.place, Reason::Covered { index: got.index });
            return Ok(());
        }
        let kept = match &entry.payload {
            LegacyPayload::Blank => &mut self.summary.blanks,
            LegacyPayload::Operation(_) => &mut self.summary.operations,
            LegacyPayload::Change(_) => &mut self.summary.changes,
        };
        *kept += 1;
        let change = match &entry.payload {
            LegacyPayload::Change(change) => Some(change.context.len()),
            LegacyPayload::Blank | LegacyPayload::Operation(_) => None,
        };

        let entry = entry.into_entry(&mut self.summary.configuration, self.addresses)?;
        self.log.append([entry])?;
        self.summary.last = got;
        let contexts = [found.value.context.len(), change.unwrap_or_default()];
        for bytes in contexts.into_iter().filter(|bytes| *bytes > 0) {
            self.leave_behind(found.place, Reason::Context { index: got.index, bytes });
        }
        if change.is_some() {
            self.history.push((got.index, self.summary.configuration.clone()));
            self.leave_out_of_membership(found.place);
        }
        Ok(())
    }

    /// Entries that the snapshot covers are the end of a log that leads up to it.
    fn check_covered(&self, got: LogId, previous: Option<u64>) -> Result<(), Damage> {
        if let Some(previous) = previous
            && previous.checked_add(1) != Some(got.index)
        {
            return Err(Damage::NotNext { got: got.index, previous });
        }
        let expected = self.summary.base;
        let same = got.index < expected.index && got.leader_id <= expected.leader_id;
        if same || got == expected {
            return Ok(());
        }
        Err(Damage::NotOfSnapshot { got, expected })
    }

    /// Whether the configuration that the node had applied last is one that it had: after the
    /// snapshot if there was one, and no later than what is committed.
    pub(super) fn confirm(
        &self,
        conf_state: &eraftpb::ConfState,
        after_snapshot: bool,
        committed: u64,
    ) -> Result<(), Damage> {
        let got = Configuration::try_from(conf_state)?;
        let first = self.summary.base.index;
        let last = committed.max(first);
        let mut so_far = self.history.iter().take_while(|(index, _)| *index <= last);
        if !after_snapshot {
            // It is where the history begins.
            let changed = so_far.nth(1).map(|(index, _)| *index);
            return changed.map_or(Ok(()), |changed_at| Err(Damage::Ambiguous { changed_at }));
        }
        let mut expected = None;
        for (_, was) in so_far {
            if *was == got {
                return Ok(());
            }
            expected = Some(was);
        }
        let (got, expected) = (Box::new(got), Box::new(expected.cloned().unwrap_or_default()));
        Err(Damage::NeverSo { got, expected, first, last })
    }

    pub(super) fn end(self) -> (Log, Machine, Summary) {
        (self.log, self.machine, self.summary)
    }
}
