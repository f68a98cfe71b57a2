//! `cargo test --release`: each check a test of its own.

seshat_conformance::conformance_main!(store_conformance::MyBackend::default());
