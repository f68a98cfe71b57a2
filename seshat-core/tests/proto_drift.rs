//! The checked-in code of `src/proto/v1.rs` is what `proto/` generates.

#![allow(clippy::expect_used, reason = "a helper of a test")]
use std::path::Path;

const REGENERATE: &str = "SESHAT_REGENERATE=1 cargo test -p seshat-core --test proto_drift";

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut files: Vec<_> = std::fs::read_dir(root.join("seshat/v1"))
        .expect("proto/seshat/v1 is readable")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    files.sort();

    let descriptors = protox::compile(&files, [&root]).expect("proto/ compiles");
    let out = std::env::temp_dir().join(format!("seshat-proto-drift-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("a scratch directory");
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(&out)
        .compile_fds(descriptors)
        .expect("prost generates");
    let generated =
        std::fs::read_to_string(out.join("seshat.v1.rs")).expect("one package, one file");
    std::fs::remove_dir_all(&out).expect("the scratch directory goes away");
    generated
}

#[test]
fn generated_code_matches_proto() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto/v1.rs");
    let generated = generate();
    if std::env::var_os("SESHAT_REGENERATE").is_some() {
        std::fs::write(&checked_in, &generated).expect("src/proto/v1.rs is writable");
    }
    let found = std::fs::read_to_string(&checked_in).unwrap_or_default();
    assert!(
        found == generated,
        "src/proto/v1.rs is not what proto/ generates; mend it with\n\n    {REGENERATE}\n"
    );
}
