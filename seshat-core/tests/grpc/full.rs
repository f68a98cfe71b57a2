//! A node whose disk is full, among others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use seshat_core::error::ProposeError;
use seshat_core::log::LogStore;
use seshat_core::machine::{MachineReader, MachineStore};
use seshat_core::network::grpc::Admission;
use seshat_core::storage::{MemStorage, Room, Storage};
use tokio::time::{Instant, sleep};

use crate::host::{DEADLINE, Host, Ports, leader, set};

/// A disk that is as full as a test says.
#[derive(Debug, Default)]
struct Limited(AtomicBool);

impl Room for Limited {
    fn lacks(&self) -> Option<u64> {
        self.0.load(Ordering::SeqCst).then_some(4096)
    }

    fn fits(&self, _: u64) -> bool {
        self.lacks().is_none()
    }

    fn make(&self, _: u64) -> bool {
        self.lacks().is_none()
    }
}

struct On(MemStorage, Arc<Limited>);

impl Storage for On {
    type Log = LogStore;
    type Machine = MachineStore;
    type Reader = MachineReader;

    fn room(&self) -> Option<Arc<dyn Room>> {
        Some(Arc::clone(&self.1) as Arc<dyn Room>)
    }

    fn into_parts(self) -> (LogStore, MachineStore, MachineReader) {
        self.0.into_parts()
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A follower with a full disk stores nothing and hears its leader; a leader with a full disk hands over to the
/// one that has room; and each catches up when it has some again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_ends_nobody() {
    let mut ports = Ports::of(3).await;
    let (mut hosts, mut rooms) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let (config, room) = (ports.config(id).build().unwrap(), Arc::new(Limited::default()));
        let storage = On(MemStorage::new(), Arc::clone(&room));
        hosts.push(Host::on(config, ports.listener(id), storage).await);
        rooms.push(room);
    }
    let admitted = hosts.iter().map(|host| host.admit());
    for end in futures_util::future::join_all(admitted).await {
        assert_eq!(end, Ok(Admission::Forms));
    }
    set(&hosts, "key", "0").await;
    let first = leader(&hosts).await.node.id() as usize - 1;
    let (second, third) = ((first + 1) % 3, (first + 2) % 3);
    let fill = |host: usize, full| rooms[host].0.store(full, Ordering::SeqCst);
    let last = |host: usize| hosts[host].node.metrics().borrow().last_log_index;
    until("equal logs", async || last(second) == last(first)).await;

    fill(second, true);
    let behind = last(second);
    for n in 1..=8 {
        set(&hosts, "key", n.to_string()).await;
    }
    // Longer than it would follow one that it doesn't hear.
    let patience = hosts[second].node.config().election_timeout_max();
    sleep(2 * patience).await;
    assert_eq!(last(second), behind);
    let followed = hosts[second].node.metrics().borrow().vote;
    assert_eq!(followed, hosts[first].node.metrics().borrow().vote);

    fill(first, true);
    let refused = hosts[first].node.set("key", "9").await.unwrap_err();
    assert!(
        matches!(&refused, ProposeError::DiskFull(full) if full.node_id == first as u64 + 1),
        "{refused}"
    );
    until("the one with room to lead", async || hosts[third].node.is_leader()).await;

    fill(second, false);
    set(&hosts, "key", "10").await;
    fill(first, false);
    until("all to catch up", async || {
        (0..3).all(|host| last(host) == last(third))
            && hosts.iter().all(|host| host.node.reader().get(b"key").as_deref() == Some(b"10"))
    })
    .await;
    for host in hosts {
        host.shutdown().await;
    }
}
