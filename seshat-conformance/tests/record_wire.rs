//! A store's wire format recorded into its author's crate: here the embedded store's.
#![cfg(feature = "storage-v2")]

use seshat_conformance::embedded::InMemory;

#[test]
fn the_wire_format_is_as_recorded() {
    seshat_conformance::record_wire!(InMemory::default());
}
