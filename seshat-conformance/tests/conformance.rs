//! Seshat's own store in memory, each check of the registry one test.

use seshat_conformance::embedded::Embedded;

seshat_conformance::conformance_main!(Embedded::default());
