//! The files that are generated from `proto/`, and checked in, are what it generates.

#![allow(clippy::expect_used, reason = "a helper of a test")]
use std::path::{Path, PathBuf};

use prost_build::Config;
use protox::prost::Message as _;
use protox::prost_reflect::prost_types::FileDescriptorSet;

const REGENERATE: &str = "SESHAT_REGENERATE=1 cargo test -p seshat-core --test proto_drift";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

/// What nodes store, and send each other.
const NODES: &str = "seshat/v1";
/// What clients and nodes send each other.
const CLIENTS: &str = "seshat/client/v1";
/// What the first generation stored and sent.
const LEGACY: &str = "eraftpb";

/// The packages in these folders, and what they import.
fn descriptors(folders: &[&str]) -> FileDescriptorSet {
    let list = |folder| std::fs::read_dir(root().join(folder)).expect("proto/ is readable");
    let entries = folders.iter().flat_map(list);
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    files.sort();
    protox::compile(&files, [root()]).expect("proto/ compiles")
}

/// What `generate` writes for the package of that name.
fn generated(name: &str, package: &str, generate: impl FnOnce(&Path)) -> Vec<u8> {
    let out = std::env::temp_dir().join(format!("seshat-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("a scratch directory");
    generate(&out);
    let code = std::fs::read(out.join(format!("{package}.rs"))).expect("one package, one file");
    std::fs::remove_dir_all(&out).expect("the scratch directory goes away");
    code
}

/// Every message of the package in that folder, and no service.
fn messages(folder: &str, package: &str) -> Vec<u8> {
    generated(package, package, |out| {
        let mut config = Config::new();
        config.bytes(["."]).out_dir(out);
        config.compile_fds(descriptors(&[folder])).expect("prost generates");
    })
}

/// Client and server of every service, on the messages' checked domain types.
fn services() -> Vec<u8> {
    generated("services", "seshat.v1", |out| {
        tonic_prost_build::configure()
            .out_dir(out)
            .build_transport(false)
            .extern_path(".seshat.v1", "crate::network::grpc::message")
            .codec_path("crate::network::grpc::message::Codec")
            .compile_fds(descriptors(&[NODES]))
            .expect("tonic generates");
    })
}

/// The clients' protocol: its messages as they are generated, on those of the other package.
fn client() -> Vec<u8> {
    generated("client", "seshat.client.v1", |out| {
        tonic_prost_build::configure()
            .out_dir(out)
            .build_transport(false)
            .bytes(".")
            .server_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
            .extern_path(".seshat.v1", "crate::proto::v1")
            .codec_path("crate::codec::client::ClientCodec")
            .compile_fds(descriptors(&[CLIENTS]))
            .expect("tonic generates");
    })
}

fn assert_checked_in(name: &str, generated: &[u8]) {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    if std::env::var_os("SESHAT_REGENERATE").is_some() {
        std::fs::write(&checked_in, generated).expect("src is writable");
    }
    let found = std::fs::read(&checked_in).unwrap_or_default();
    assert!(
        found == generated,
        "src/{name} is not what proto/ generates; mend it with\n\n    {REGENERATE}\n"
    );
}

#[test]
fn messages_match_proto() {
    assert_checked_in("proto/v1.rs", &messages(NODES, "seshat.v1"));
}

#[test]
fn legacy_messages_match_proto() {
    assert_checked_in("proto/eraftpb.rs", &messages(LEGACY, "eraftpb"));
}

#[test]
fn services_match_proto() {
    assert_checked_in("network/grpc/services.rs", &services());
}

#[test]
fn client_matches_proto() {
    assert_checked_in("proto/client.rs", &client());
}

/// What server reflection tells.
#[test]
fn descriptors_match_proto() {
    let mut descriptors = descriptors(&[NODES, CLIENTS]);
    descriptors.file.iter_mut().for_each(|file| file.source_code_info = None);
    assert_checked_in("proto/descriptors.bin", &descriptors.encode_to_vec());
}
