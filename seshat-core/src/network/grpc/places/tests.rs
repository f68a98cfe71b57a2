use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const HERE: &str = "10.0.0.1";
const THERE: &str = "10.0.0.2";

/// Enters as `name`; says who gave way, or that nobody did.
fn enter(
    places: &mut Places<&'static str>,
    name: &'static str,
    address: &str,
    now: u64,
) -> (Option<u64>, Option<&'static str>, Arc<Usage>) {
    let usage = Arc::new(Usage::default());
    let entered = places.enter(address.parse().unwrap(), Arc::clone(&usage), name, now);
    let place = entered.as_ref().map(|entered| entered.place);
    (place, entered.and_then(|entered| entered.instead_of), usage)
}

#[test]
fn the_oldest_that_did_nothing_gives_way_and_who_is_at_work_stays() {
    let mut places = Places::new(3, None);
    let (_, _, at_work) = enter(&mut places, "at work", HERE, 0);
    at_work.note(1);
    enter(&mut places, "older", HERE, 2);
    enter(&mut places, "younger", HERE, 3);
    let (place, gave_way, usage) = enter(&mut places, "late", HERE, 4);
    assert_eq!((place, gave_way), (Some(3), Some("older")));
    usage.note(5);
    assert_eq!(enter(&mut places, "later", HERE, 6).1, Some("younger"));
    places.taken.values().for_each(|taken| taken.usage.note(7));
    let (place, gave_way, _) = enter(&mut places, "too late", HERE, u64::MAX);
    assert_eq!((place, gave_way), (None, None), "all are at work, and nobody is ever idle");
}

#[test]
fn who_has_the_most_idle_connections_loses_them_first() {
    let mut places = Places::new(4, None);
    enter(&mut places, "member", THERE, 0);
    for now in 1..4 {
        assert_eq!(enter(&mut places, "stranger", HERE, now).1, None);
    }
    for now in 4..100 {
        assert_eq!(enter(&mut places, "stranger", HERE, now).1, Some("stranger"));
    }
    assert_eq!(enter(&mut places, "member", THERE, 100).1, Some("stranger"));
    // One each way counts for the one that comes, too.
    let mut places = Places::new(2, None);
    enter(&mut places, "member", THERE, 0);
    enter(&mut places, "stranger", HERE, 1);
    assert_eq!(enter(&mut places, "stranger", HERE, 2).1, Some("stranger"));
}

#[test]
fn an_idle_client_gives_way_when_it_has_been_idle_for_long() {
    let mut places = Places::new(2, Some(1000));
    enter(&mut places, "idle", HERE, 0).2.note(0);
    let (place, _, usage) = enter(&mut places, "busy", HERE, 0);
    usage.note(1000);
    assert_eq!(enter(&mut places, "early", HERE, 1000).0, None);
    assert_eq!(enter(&mut places, "late", HERE, 1001).1, Some("idle"));
    places.leave(place.unwrap());
    assert_eq!(enter(&mut places, "after", HERE, 1001).1, None, "there was a place");
}

#[test]
fn a_prefix_is_one_source() {
    let same =
        |one: &str, other: &str| source(one.parse().unwrap()) == source(other.parse().unwrap());
    assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
    assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
    assert!(!same("10.0.0.1", "10.0.0.2"));
}

proptest! {
    /// Whatever comes, goes and works: the count is kept, and nobody that is at work gives way.
    #[test]
    fn the_total_is_kept(
        most in 1_usize..6,
        steps in prop::collection::vec((0_u8..4, 0_usize..8), 1..200),
    ) {
        let mut places = Places::new(most, None);
        let mut open: BTreeMap<u64, (Arc<Usage>, bool)> = BTreeMap::new();
        for (now, (kind, which)) in (0_u64..).zip(steps) {
            let chosen = open.keys().nth(which % open.len().max(1)).copied();
            match (kind, chosen) {
                (0, Some(place)) => {
                    places.leave(place);
                    open.remove(&place);
                }
                (1, Some(place)) => {
                    let (usage, at_work) = open.get_mut(&place).unwrap();
                    usage.note(now);
                    *at_work = true;
                }
                _ => {
                    let usage = Arc::new(Usage::default());
                    let address = [10, 0, 0, which as u8].into();
                    let full = open.len() == most;
                    let all_at_work = open.values().all(|(_, at_work)| *at_work);
                    match places.enter(address, Arc::clone(&usage), places.next, now) {
                        None => prop_assert!(full && all_at_work),
                        Some(Entered { place, instead_of }) => {
                            prop_assert_eq!(instead_of.is_some(), full);
                            if let Some(gone) = instead_of {
                                let (_, at_work) = open.remove(&gone).unwrap();
                                prop_assert!(!at_work);
                            }
                            open.insert(place, (usage, false));
                        }
                    }
                }
            }
            prop_assert!(places.taken.len() <= most);
            prop_assert!(places.taken.keys().eq(open.keys()));
        }
    }
}
