//! Every faulty store is found out, and every Must check finds one out.
#![cfg(feature = "storage-v2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, dead_code, unused_imports)]

mod stores;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seshat_conformance::budget::Budget;
use seshat_conformance::check::{Level, Outcome};
use seshat_conformance::runner::{Filter, Options, run};
use stores::{FAULTS, Fault, Store};

/// Explores: every check on every fault, or on those named in `ONLY`.
#[test]
#[ignore = "takes minutes: to find out which checks find which fault"]
fn explore() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let skip = std::env::var("SKIP").unwrap_or("suite".to_owned());
    let next = AtomicUsize::new(0);
    let chosen: Vec<_> = FAULTS
        .iter()
        .filter(|f| only.is_empty() || only.split(',').any(|o| format!("{:?}", f.0) == o))
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((fault, _, _)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let mut filter = Filter::all();
                    filter.exclude.extend(skip.split(',').map(str::to_owned));
                    let options = Options {
                        budget: Budget::Quick,
                        patience: Duration::from_millis(300),
                        jobs: 1,
                        filter,
                        ..Options::default()
                    };
                    let report = run(Store::faulty(*fault), &options, &mut |_| {});
                    let mut killers = Vec::new();
                    for result in &report.results {
                        if let Outcome::Failed(failure) = &result.outcome {
                            let kind = failure.kind;
                            let mark = if result.spec.level == Level::Must { "" } else { "*" };
                            killers.push(format!("{}{mark}({kind:?})", result.spec.id));
                        }
                    }
                    println!(
                        "@ {fault:?} {:.1}s {} {}",
                        started.elapsed().as_secs_f32(),
                        killers.len(),
                        killers.join(" ")
                    );
                }
            });
        }
    });
}
