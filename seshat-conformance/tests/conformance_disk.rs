//! Seshat's own store on disk, each check of the registry one test.

use seshat_conformance::embedded::OnDisk;

seshat_conformance::conformance_main!(OnDisk::default());
