//! What the stores cost: the log, the state machine and its snapshots, beside the naive stores of
//! [`common::naive`] and beside limits that no store can beat.
//!
//! `cargo bench -p seshat-core --bench storage`; with `-- --quick` or `SESHAT_BENCH_QUICK=1` at a
//! twentieth of the size, to see that everything runs. Keys of 16 bytes, values of 128, one `SET`
//! an entry unless said otherwise.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;
mod log;
mod machine;
mod scan;
mod snapshot;

use common::measure::{self, Measure, Scale, medians};
use common::table::{self, Aim, Row};

const MEASURES: &[(&str, Measure)] = &[
    ("append/1/naive", log::append_naive::<1>),
    ("append/1/ours", log::append_ours::<1>),
    ("append/1/limit", log::append_limit::<1>),
    ("append/16/naive", log::append_naive::<16>),
    ("append/16/ours", log::append_ours::<16>),
    ("append/16/limit", log::append_limit::<16>),
    ("append/256/naive", log::append_naive::<256>),
    ("append/256/ours", log::append_ours::<256>),
    ("append/256/limit", log::append_limit::<256>),
    ("store/1/naive", log::store_append_naive::<1>),
    ("store/1/ours", log::store_append_ours::<1>),
    ("store/16/naive", log::store_append_naive::<16>),
    ("store/16/ours", log::store_append_ours::<16>),
    ("store/256/naive", log::store_append_naive::<256>),
    ("store/256/ours", log::store_append_ours::<256>),
    ("steady/1/naive", log::steady_naive::<1>),
    ("steady/1/ours", log::steady_ours::<1>),
    ("steady/1/limit", log::steady_limit::<1>),
    ("steady/16/naive", log::steady_naive::<16>),
    ("steady/16/ours", log::steady_ours::<16>),
    ("steady/16/limit", log::steady_limit::<16>),
    ("steady/256/naive", log::steady_naive::<256>),
    ("steady/256/ours", log::steady_ours::<256>),
    ("steady/256/limit", log::steady_limit::<256>),
    ("log/naive", log::read_and_remove_naive),
    ("log/ours", log::read_and_remove_ours),
    ("log/limit", log::read_and_remove_limit),
    ("readers/naive", log::readers_naive),
    ("readers/ours", log::readers_ours),
    ("apply/naive", machine::apply_naive),
    ("apply/ours", machine::apply_ours),
    ("apply/packed", machine::apply_packed),
    ("apply/limit", machine::apply_limit),
    ("held/naive", machine::held_naive),
    ("held/ours", machine::held_ours),
    ("pages/naive", scan::pages_naive),
    ("pages/ours", scan::pages_ours),
    ("pages/limit", scan::pages_limit),
    ("pages/together", scan::pages_together),
    ("build/naive", snapshot::build_naive),
    ("build/ours", snapshot::build_ours),
    ("files", snapshot::write_files),
    ("install/naive", snapshot::install_naive),
    ("install/ours", snapshot::install_ours),
    ("install/limit", snapshot::install_limit),
    ("peak/build/naive", snapshot::peak_of_build_naive),
    ("peak/build/ours", snapshot::peak_of_build_ours),
    ("peak/install/naive", snapshot::peak_of_install_naive),
    ("peak/install/ours", snapshot::peak_of_install_ours),
    ("peak/install/limit", snapshot::peak_of_install_limit),
];

fn main() {
    let scale = Scale::from_environment();
    if measure::is_child(scale, MEASURES) {
        return;
    }
    table::print_machine(&scale);
    log_tables(scale);
    let overwrite_limit = apply_table(scale);
    held_table(scale, overwrite_limit);
    scan_table(scale);
    snapshot_table(scale);
}

/// A row of three measurements of the same thing.
fn row(what: impl Into<String>, numbers: [Option<f64>; 3], aim: Aim) -> Row {
    let [naive, ours, limit] = numbers;
    Row { what: what.into(), naive, ours: ours.unwrap_or(f64::NAN), limit, aim }
}

fn log_tables(scale: Scale) {
    let mut rows = Vec::new();
    let mut purge = None;
    for (kind, log) in [("steady", "log of 32 Ki"), ("append", "log that grows from empty")] {
        for batch in ["1", "16", "256"] {
            let names = ["naive", "ours", "limit"].map(|who| format!("{kind}/{batch}/{who}"));
            let taken = medians(scale, names.each_ref().map(String::as_str));
            let at = |i: usize| taken.each_ref().map(|numbers| numbers.get(i).copied());
            let what = format!("append, batches of {batch}, {log}");
            rows.push(row(what, at(0), Aim::TimesFaster(5.0)));
            if kind == "steady" {
                purge = Some(row("purge in steps of 1024, log of 32 Ki", at(1), Aim::None));
            }
        }
    }
    for batch in ["1", "16", "256"] {
        let names = ["naive", "ours"].map(|who| format!("store/{batch}/{who}"));
        let [naive, ours] = medians(scale, names.each_ref().map(String::as_str));
        let what = format!("append and openraft's callback, batches of {batch}");
        rows.push(row(what, [Some(naive[0]), Some(ours[0]), None], Aim::None));
    }
    let [naive, ours, limit] = medians(scale, ["log/naive", "log/ours", "log/limit"]);
    let at = |i: usize| [Some(naive[i]), Some(ours[i]), Some(limit[i])];
    rows.push(row("read ranges of 300", at(0), Aim::TimesFaster(3.0)));
    rows.push(row("truncate half", at(1), Aim::None));
    rows.push(row("purge in steps of 1024, log of half a million", at(2), Aim::None));
    rows.extend(purge);
    let [naive, ours] = medians(scale, ["readers/naive", "readers/ours"]);
    let at = |i: usize| [Some(naive[i]), Some(ours[i]), None];
    rows.push(row("append in 16s, two readers beside it", at(0), Aim::None));
    rows.push(row("the readers, ranges of 300 at the end", at(1), Aim::None));
    table::print("Log, ns an entry (limit: push to a Vec, clone of a slice, drop)", &rows);
    println!(
        "\nA log that grows takes new memory: page faults are most of its time, and of the limit's."
    );
    println!("memcpy of the payload, 300 entries at once: {:.1} ns an entry", limit[3]);
}

/// Returns the limit's ns an overwrite.
fn apply_table(scale: Scale) -> f64 {
    let names = ["apply/naive", "apply/ours", "apply/packed", "apply/limit"];
    let [naive, ours, packed, limit] = medians(scale, names);
    let mut rows = Vec::new();
    for (i, what) in ["fresh keys", "overwriting random keys"].into_iter().enumerate() {
        for (ours, how) in [(&ours, "one an entry"), (&packed, "256 an entry (as the node packs)")]
        {
            let numbers = [Some(naive[i]), Some(ours[i]), Some(limit[i])];
            rows.push(row(format!("{what}, {how}"), numbers, Aim::WithinLimit(1.6)));
        }
    }
    table::print("Apply, ns a SET (limit: foldhash map, pairs moved in)", &rows);
    println!(
        "\nlongest apply of 256 SETs, ms (tables grow): naive {:.2}, ours {:.2}, packed {:.2}, limit {:.2}",
        naive[2], ours[2], packed[2], limit[2]
    );
    limit[1]
}

fn held_table(scale: Scale, overwrite_limit: f64) {
    let [naive, ours] = medians(scale, ["held/naive", "held/ours"]);
    let at = |i: usize, limit| [Some(naive[i]), Some(ours[i]), limit];
    let limit = Some(overwrite_limit);
    let rows = [
        row("ms apply is blocked by a snapshot, longest of 16", at(0, None), Aim::Below(0.1)),
        row("ns a SET while a view is held, first quarter of the keys", at(1, limit), Aim::None),
        row("ns a SET after it was dropped, as many again", at(2, limit), Aim::None),
        row("ms longest apply of 256 SETs while held", at(3, None), Aim::None),
        row("ms longest apply of 256 SETs after", at(4, None), Aim::None),
    ];
    table::print("Apply beside snapshots, random overwrites (limit: the map, no snapshot)", &rows);
}

fn scan_table(scale: Scale) {
    let names = ["pages/naive", "pages/ours", "pages/limit", "pages/together"];
    let [naive, ours, limit, together] = medians(scale, names);
    let pages = scale.keys.div_ceil(scan::MANY as u64);
    let rows = [
        row("a page of 1000 keys", [Some(naive[0]), Some(ours[0]), Some(limit[0])], Aim::None),
        row(format!("all keys, {pages} pages"), [None, Some(ours[1]), Some(limit[1])], Aim::None),
        row(
            format!("{} such pages, asked for at once", scan::AT_ONCE),
            [None, Some(together[0]), None],
            Aim::None,
        ),
    ];
    table::print("Pages of keys in order, ms (limit: a look at each key of a map, a page)", &rows);
}

fn snapshot_table(scale: Scale) {
    let [naive, ours] = medians(scale, ["build/naive", "build/ours"]);
    let build = row(
        "build, ms (limit: memcpy to new memory)",
        [Some(naive[0]), Some(ours[0]), Some(ours[2])],
        Aim::WithinLimit(4.0),
    );
    let size = row(
        "bytes a key (limit: key and value)",
        [
            Some(naive[1]),
            Some(ours[1]),
            Some((common::data::KEY_LEN + common::data::VALUE_LEN) as f64),
        ],
        Aim::None,
    );
    let output_mib = ours[1] * scale.keys as f64 / f64::from(1 << 20);

    medians(Scale { rounds: 1, ..scale }, ["files"]);
    let who = ["install/naive", "install/ours", "install/limit"];
    let installs = medians(scale, who).map(|numbers| Some(numbers[0]));
    let who = ["peak/build/naive", "peak/build/ours"];
    let [naive, ours] = medians(scale, who).map(|numbers| Some(numbers[0]));
    let peak_of_build = [naive, ours, Some(output_mib)];
    let who = ["peak/install/naive", "peak/install/ours", "peak/install/limit"];
    let peaks_of_install = medians(scale, who).map(|numbers| Some(numbers[0]));
    snapshot::remove_files();

    let rows = [
        build,
        row("install, ms (limit: slices into a map)", installs, Aim::WithinLimit(1.5)),
        size,
        row("peak of a build, MiB (limit: the snapshot)", peak_of_build, Aim::None),
        row("peak of an install, MiB (limit: slices into a map)", peaks_of_install, Aim::None),
    ];
    table::print(&format!("Snapshot of {} keys", scale.keys), &rows);
}
