//! Who waits for a disk that takes its time.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use openraft::storage::RaftLogStorageExt;
use rstest::rstest;
use seshat_core::disk::DiskStorage;

use crate::run::{entry, options};
use crate::sim::Sim;

/// On a runtime with one thread, and on one with two whose disk was quick so far.
#[rstest]
fn while_a_disk_does_not_answer_the_other_tasks_go_on(
    #[values(1, 2)] threads: usize,
    #[values(0, 200)] quick: u64,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .unwrap();
    let sim = Sim::new(512);
    let DiskStorage { mut log, machine: _machine } =
        DiskStorage::open_on(sim.clone(), options()).unwrap();
    runtime.block_on(async {
        let appended = runtime.spawn(async move {
            for index in 0..quick {
                log.blocking_append([entry(1, index, 10)]).await.unwrap();
            }
            log
        });
        let mut log = appended.await.unwrap();

        sim.shared.gate.shut(true);
        let stalled =
            runtime.spawn(async move { log.blocking_append([entry(1, quick, 10)]).await });
        let at_the_gate = sim.clone();
        let waits = tokio::task::spawn_blocking(move || at_the_gate.shared.gate.await_waiting(1));
        // A thread of its own, as the runtime's may be waiting all of them.
        let (went_on, others) = channel();
        let opens = thread::spawn(move || {
            let went_on = others.recv_timeout(Duration::from_secs(20));
            sim.shared.gate.shut(false);
            went_on
        });
        waits.await.unwrap();
        // Each is woken by the one before, wherever that runs.
        for _ in 0..100 {
            runtime.spawn(tokio::task::yield_now()).await.unwrap();
        }
        let _ = went_on.send(());
        opens.join().unwrap().expect("others wait for the disk, too");
        stalled.await.unwrap().unwrap();
    });
}
