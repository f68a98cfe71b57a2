//! [`Outline`]: what is known of which entries a log has.

use crate::types::LogId;

/// Some entries of a log, by which most of the others are known: the leaders of entries never go
/// back, so those between two of one leader are that leader's.
///
/// Invariant: the ids ascend, by index and by leader; the last is the log's last entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outline(Vec<LogId>);

/// What a log has at an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    /// This entry.
    Known(LogId),
    /// One of a leader between those.
    Between(LogId, LogId),
    /// One that lies before all that is known.
    Before,
    /// Nothing.
    Nothing,
}

impl FromIterator<LogId> for Outline {
    /// Of entries that follow each other.
    fn from_iter<I: IntoIterator<Item = LogId>>(ids: I) -> Self {
        let mut outline = Self::default();
        ids.into_iter().for_each(|id| outline.push(id));
        outline
    }
}

impl Outline {
    pub(super) fn last(&self) -> Option<LogId> {
        self.0.last().copied()
    }

    pub(super) fn at(&self, index: u64) -> There {
        let place = self.0.partition_point(|id| id.index < index);
        let (before, after) = self.0.split_at_checked(place).unwrap_or_default();
        match (before.last(), after.first()) {
            (_, None) => There::Nothing,
            (_, Some(id)) if id.index == index => There::Known(*id),
            (None, Some(_)) => There::Before,
            (Some(before), Some(after)) if before.leader_id == after.leader_id => {
                There::Known(LogId::new(before.leader_id, index))
            }
            (Some(before), Some(after)) => There::Between(*before, *after),
        }
    }

    /// The first entry known that has a later leader than `id`.
    pub(super) fn newer_than(&self, id: LogId) -> Option<LogId> {
        self.0.iter().find(|there| there.leader_id > id.leader_id).copied()
    }

    /// The log goes on with this entry.
    pub(super) fn push(&mut self, id: LogId) {
        if let [.., before, last] = &mut *self.0
            && before.leader_id == last.leader_id
            && last.leader_id == id.leader_id
        {
            *last = id;
        } else {
            self.0.push(id);
        }
    }

    /// The log loses its entries from `index` on. Where it ends then may not be known: the last id is
    /// that of the last entry known.
    pub(super) fn cut(&mut self, index: u64) {
        let last = index.checked_sub(1).map(|index| self.at(index));
        let kept = self.0.partition_point(|id| id.index < index);
        self.0.truncate(kept);
        if let Some(There::Known(last)) = last
            && self.last() != Some(last)
        {
            self.push(last);
        }
    }

    /// Forgets what comes before `index`.
    pub(super) fn forget_before(&mut self, index: u64) {
        let place = self.0.partition_point(|id| id.index < index);
        if place == 0 {
            return;
        }
        let known = self.at(index);
        self.0.drain(..place);
        if let There::Known(id) = known
            && self.0.first() != Some(&id)
        {
            self.0.insert(0, id);
        }
    }

    /// The log ends with `last`, and has these entries too. What contradicts that is forgotten.
    pub(super) fn learn(&mut self, last: Option<LogId>, has: impl Iterator<Item = LogId>) {
        let end = last.map_or(0, |last| last.index.saturating_add(1));
        self.cut(end);
        let known: Vec<LogId> = has.filter(|id| id.index < end).chain(last).collect();
        for id in &known {
            let place = self.0.partition_point(|there| there.index < id.index);
            match self.0.get(place) {
                Some(there) if there.index == id.index => {}
                _ => self.0.insert(place, *id),
            }
        }
        let agrees = known.iter().all(|id| self.at(id.index) == There::Known(*id));
        let ascends = self.0.is_sorted_by_key(|id| id.leader_id);
        if !(agrees && ascends) {
            let mut known = known;
            known.sort_by_key(|id| id.index);
            known.dedup();
            self.0 = known;
        }
    }
}
