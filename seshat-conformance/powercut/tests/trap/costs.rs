//! What watching takes, in bytes.

use std::os::unix::fs::{FileExt, MetadataExt};

use rstest::rstest;
use seshat_powercut::Model;

use crate::raw::{Mapping, call, fd};
use crate::{Bench, strict};

const SIZE: u64 = 64 << 20;

#[rstest]
#[case::reserved(|file: &std::fs::File| {
    call(libc::SYS_fallocate, [fd(file), 0, 0, SIZE, 0, 0]).unwrap();
})]
#[case::extended(|file: &std::fs::File| file.set_len(SIZE).unwrap())]
#[case::zeroed(|file: &std::fs::File| {
    let zeros = vec![0; 1 << 20];
    (0..SIZE >> 20).for_each(|n| file.write_all_at(&zeros, n << 20).unwrap());
})]
fn a_large_file_costs_what_is_written_to_it(#[case] prepare: fn(&std::fs::File)) {
    let Some(bench) = Bench::new() else { return };
    let file = bench.create("wal");
    prepare(&file);
    file.sync_all().unwrap();
    bench.sync_dir("");
    for n in 0..100 {
        file.write_all_at(&[7; 100], n * 100).unwrap();
        file.sync_data().unwrap();
    }
    let costs = bench.costs();
    assert_eq!((costs.captured, costs.compared), (10_000, 0));
    // An image has holes where the file has.
    let image = bench.outside("image");
    bench.least(Model::Posix).write_to(&image).unwrap();
    let meta = std::fs::metadata(image.join("wal")).unwrap();
    assert_eq!(meta.size(), SIZE);
    assert!(meta.blocks() * 512 < 1 << 20, "{} bytes on the disk", meta.blocks() * 512);
    // Images share what they have in common.
    let history = bench.history();
    let images: Vec<_> = history.images().collect();
    assert!(images.len() > 200);
    assert_eq!(images.last().unwrap().cut(strict(Model::Posix)).file("wal").unwrap().size(), SIZE);
    bench.all_seen();
}

#[test]
fn a_mapped_file_costs_what_is_in_it_at_each_sync() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.create("db");
    file.set_len(SIZE).unwrap();
    let mapping = Mapping::new(&file, SIZE as usize);
    for n in 0..10 {
        mapping.write(n << 20, b"data");
        mapping.sync(n << 20, 4096, libc::MS_SYNC).unwrap();
    }
    let costs = bench.costs();
    // One page more at each of ten syncs; a file system may give out more at once.
    assert!(costs.compared < SIZE, "{costs:?}");
    bench.sync_dir("");
    assert_eq!(&bench.left("db").unwrap()[9 << 20..][..4], b"data");
    bench.all_seen();
}
