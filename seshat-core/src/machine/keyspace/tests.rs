//! Layers as they come and go.

use super::*;

fn key(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

/// Three layers, of which the upper ones overwrite and delete; the views that made them.
fn layered() -> (KeySpace, [View; 2]) {
    let mut keys = KeySpace::default();
    (0..100).for_each(|n| keys.set(&key(n), b"lowest"));
    let lower = keys.freeze();
    (0..150).step_by(2).for_each(|n| keys.set(&key(n), b"middle"));
    (0..20).for_each(|n| assert!(keys.remove(&key(n))));
    let upper = keys.freeze();
    (20..60).for_each(|n| assert!(keys.remove(&key(n))));
    (0..5).for_each(|n| keys.set(&key(n), b"top"));
    (keys, [lower, upper])
}

fn records(layer: &Layer) -> usize {
    layer.iter().filter(|record| !record.is_tombstone()).count()
}

#[test]
fn folding_bit_by_bit_ends_with_one_layer_that_holds_each_key_once_and_no_tombstone() {
    for step in [1, 3, 16, 1_000] {
        let (mut keys, views) = layered();
        drop(views);
        for _ in 0..1_000 {
            keys.fold(step);
        }
        assert!(keys.is_flat(), "folding {step} places at a time never ends");
        assert_eq!(keys.top.len() as u64, keys.size().keys);
        assert_eq!(records(&keys.top), keys.top.len());
    }
}

#[test]
fn folding_goes_on_after_a_view_interrupted_it() {
    let (mut keys, views) = layered();
    drop(views);
    for round in 0..5 {
        (0..50).for_each(|n| keys.set(&key(3 * n + round), b"again"));
        keys.fold(20);
        assert!(!keys.overlay.is_empty(), "nothing to interrupt");
        drop(keys.freeze());
    }
    for _ in 0..1_000 {
        keys.fold(3);
    }
    assert!(keys.is_flat());
    assert_eq!(records(&keys.top) as u64, keys.size().keys);
}

#[test]
fn a_held_view_keeps_what_it_froze_from_being_folded_into() {
    let (mut keys, [lower, upper]) = layered();
    drop(lower);
    keys.fold(1_000);
    assert_eq!((keys.frozen.len(), keys.overlay.len()), (2, 0), "the upper view holds both");
    let another = upper.clone();
    drop(upper);
    keys.fold(1_000);
    assert_eq!(keys.frozen.len(), 2, "its clone still does");
    drop(another);
    for _ in 0..2 {
        keys.fold(1_000);
    }
    assert!(keys.is_flat());
}

#[test]
fn removing_leaves_a_tombstone_only_where_it_hides_something() {
    let mut keys = KeySpace::default();
    keys.set(b"below", b"");
    let held = keys.freeze();
    keys.set(b"new", b"");
    assert!(keys.remove(b"new") && !keys.remove(b"never") && keys.remove(b"below"));
    assert_eq!(keys.top.len(), 1);
    let also_held = keys.freeze();
    assert!(!keys.remove(b"below"));
    assert!(keys.top.is_empty(), "a tombstone above a tombstone");
    drop((held, also_held));
}
