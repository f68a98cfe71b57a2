//! Keys in order, a page at a time, of a state machine that keeps them in none.
//!
//! The limit looks at each key of a map once, and keeps nothing: as cheap as a page can be without an order.

use std::collections::HashMap;

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use seshat_core::machine::{MachineStore, Scan};

use super::machine::{fill, full_machine};
use crate::common::data::{key, value};
use crate::common::measure::{Scale, Stopwatch, block_on, now};

/// Pages that are timed, spread over the keys.
const PAGES: u64 = 8;
/// Who ask at once.
pub(crate) const AT_ONCE: u64 = 33;
/// Keys in each.
const FEW: usize = 1000;
/// Keys in a page of a scan of all, as a node answers it.
pub(crate) const MANY: usize = 10_000;

/// Milliseconds: a page of few keys, and all keys, by pages of many.
pub(crate) fn pages_ours(scale: Scale) -> Vec<f64> {
    let view = full_machine(scale.keys).freeze();
    let (mut page, mut all) = (Stopwatch::new(), Stopwatch::new());
    for at in 0..PAGES {
        let after = Some(Bytes::from(key(scale.keys / PAGES * at)));
        let scan = Scan { after, max_keys: FEW, ..Scan::default() };
        assert!(page.time(|| view.scan(&scan)).more);
    }
    let mut scan = Scan { max_keys: MANY, max_bytes: 4 << 20, ..Scan::default() };
    let (mut keys, mut more) = (0, true);
    while more {
        let page = all.time(|| view.scan(&scan));
        keys += page.records.len() as u64;
        scan.after = page.records.last().map(|(key, _)| key.clone());
        more = page.more;
    }
    assert_eq!(keys, scale.keys);
    vec![page.total_ms() / PAGES as f64, all.total_ms()]
}

/// Milliseconds that as many who ask at once wait for a page of few keys each, all of them together.
pub(crate) fn pages_together(scale: Scale) -> Vec<f64> {
    let mut store = MachineStore::default();
    fill(scale.keys, |entries| drop(now(store.apply(entries)).unwrap()));
    let reader = store.reader();
    let page = |at: u64| {
        let after = Some(Bytes::from(key(scale.keys / AT_ONCE * at)));
        reader.scan(Scan { after, max_keys: FEW, ..Scan::default() })
    };
    let mut watch = Stopwatch::new();
    watch.time(|| block_on(futures_util::future::join_all((0..AT_ONCE).map(page))));
    vec![watch.total_ms()]
}

/// The same, where all keys are put in order for each page; all of them once.
pub(crate) fn pages_naive(scale: Scale) -> Vec<f64> {
    let map = full_map(scale);
    let mut page = Stopwatch::new();
    for at in 0..PAGES {
        let after = key(scale.keys / PAGES * at);
        page.time(|| {
            let mut keys: Vec<_> = map.iter().filter(|(key, _)| **key > after).collect();
            keys.sort_unstable();
            let page = keys.into_iter().take(FEW);
            page.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>()
        });
    }
    vec![page.total_ms() / PAGES as f64]
}

/// As many looks at each key as there are pages.
pub(crate) fn pages_limit(scale: Scale) -> Vec<f64> {
    let map = full_map(scale);
    let mut page = Stopwatch::new();
    for at in 0..PAGES {
        let after = key(scale.keys / PAGES * at);
        page.time(|| map.keys().filter(|key| **key > after).count());
    }
    let page = page.total_ms() / PAGES as f64;
    vec![page, page * scale.keys.div_ceil(MANY as u64) as f64]
}

type Map = HashMap<Vec<u8>, Vec<u8>, foldhash::fast::RandomState>;

fn full_map(scale: Scale) -> Map {
    (0..scale.keys).map(|number| (key(number), value(number))).collect()
}
