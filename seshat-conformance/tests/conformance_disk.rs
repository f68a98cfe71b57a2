//! Seshat's own store on disk, each check of the registry one test. Not among those that `cargo test` runs by
//! itself:
//!
//! ```text
//! cargo test -p seshat-conformance --test conformance_disk
//! ```

use seshat_conformance::embedded::OnDisk;

seshat_conformance::conformance_main!(OnDisk::default());
