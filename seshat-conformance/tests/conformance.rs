//! Seshat's own store in memory, each check of the registry one test.

use seshat_conformance::embedded::InMemory;

seshat_conformance::conformance_main!(InMemory::default());
