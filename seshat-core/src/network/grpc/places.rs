//! [`Places`]: who stays where there are as many connections as may be. Decides, and does nothing.
//!
//! Guarantees: there are never more than so many. One more takes the place of one that no call was
//! let in from yet: of the source that has the most of those, counting the one that comes, the oldest.
//! So strangers, however many connections they make, take places from each other. Where there is no
//! such connection, one gives way that has been idle for long, if those do at all. Whoever is at work
//! stays, and who comes is turned away.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When a call was let in from a connection the last time, in milliseconds of the clock that
/// [`Places`] are given.
#[derive(Debug, Default)]
pub(super) struct Usage(AtomicU64);

impl Usage {
    pub(super) fn note(&self, now: u64) {
        self.0.store(now.saturating_add(1), Ordering::Relaxed);
    }

    fn last(&self) -> Option<u64> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }
}

/// Places of connections, for each of which there is a `T`.
#[derive(Debug)]
pub(super) struct Places<T> {
    most: usize,
    /// After how many milliseconds one that was used gives way; `None` for never.
    idle: Option<u64>,
    next: u64,
    /// In the order in which they came.
    taken: BTreeMap<u64, Taken<T>>,
}

#[derive(Debug)]
struct Taken<T> {
    source: IpAddr,
    usage: Arc<Usage>,
    held: T,
}

/// A place, and what was held by whoever gave way for it.
pub(super) struct Entered<T> {
    pub(super) place: u64,
    pub(super) instead_of: Option<T>,
}

impl<T> Places<T> {
    pub(super) fn new(most: usize, idle: Option<u64>) -> Self {
        Self { most, idle, next: 0, taken: BTreeMap::new() }
    }

    /// A place for a connection from that address; `None` if nobody gives way.
    pub(super) fn enter(
        &mut self,
        address: IpAddr,
        usage: Arc<Usage>,
        held: T,
        now: u64,
    ) -> Option<Entered<T>> {
        let source = source(address);
        let instead_of = if self.taken.len() < self.most {
            None
        } else {
            let gives_way = self.unused(source).or_else(|| self.idlest(now))?;
            Some(self.taken.remove(&gives_way)?.held)
        };
        let place = self.next;
        self.next = self.next.wrapping_add(1);
        self.taken.insert(place, Taken { source, usage, held });
        Some(Entered { place, instead_of })
    }

    /// The connection of that place is gone, if it hadn't given way before.
    pub(super) fn leave(&mut self, place: u64) {
        self.taken.remove(&place);
    }

    fn unused(&self, comes: IpAddr) -> Option<u64> {
        let unused = || self.taken.iter().filter(|(_, taken)| taken.usage.last().is_none());
        let mut counts = HashMap::from([(comes, 1_usize)]);
        unused().for_each(|(_, taken)| *counts.entry(taken.source).or_default() += 1);
        let count = |taken: &Taken<T>| counts.get(&taken.source).copied().unwrap_or_default();
        let most = unused().map(|(_, taken)| count(taken)).max()?;
        unused().find(|(_, taken)| count(taken) == most).map(|(place, _)| *place)
    }

    fn idlest(&self, now: u64) -> Option<u64> {
        let idle = self.idle?;
        let used =
            self.taken.iter().filter_map(|(place, taken)| Some((taken.usage.last()?, *place)));
        let (last, place) = used.min()?;
        (now.saturating_sub(last) > idle).then_some(place)
    }
}

/// Whom an address stands for: one has a whole /64 of IPv6 as easily as one of its addresses.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests;
