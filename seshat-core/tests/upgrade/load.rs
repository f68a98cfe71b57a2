//! Clients that write and read on and on, each its own keys.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::DEADLINE;
use crate::cluster::{Cluster, Members};

const CLIENTS: usize = 2;
/// Keys of one client, each written again and again.
const KEYS: u64 = 50;

pub(crate) struct Load {
    stop: watch::Sender<bool>,
    acknowledged: watch::Receiver<u64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (note, acknowledged) = watch::channel(0);
        let clients = (0..CLIENTS).map(|client| {
            let (members, stopped) = (cluster.members.clone(), stopped.clone());
            tokio::spawn(work(client, members, stopped, note.clone()))
        });
        Self { clients: clients.collect(), stop, acknowledged }
    }

    /// Waits until that many more writes are acknowledged.
    pub(crate) async fn goes_on(&mut self, count: u64) {
        let wanted = *self.acknowledged.borrow() + count;
        let met = timeout(DEADLINE, self.acknowledged.wait_for(|written| *written >= wanted)).await;
        assert!(met.is_ok_and(|met| met.is_ok()), "clients don't get on");
    }

    /// Ends it, and reads all once more.
    pub(crate) async fn finish(self) {
        self.stop.send_replace(true);
        for client in self.clients {
            client.await.unwrap();
        }
        println!("{} writes acknowledged", *self.acknowledged.borrow());
    }
}

/// What one key holds: the value that was acknowledged last, or one of those that were sent since and
/// whose fate isn't known.
#[derive(Debug, Default)]
struct Register {
    acknowledged: String,
    sent_since: Vec<String>,
}

impl Register {
    fn may_hold(&self, value: &String) -> bool {
        *value == self.acknowledged || self.sent_since.contains(value)
    }
}

/// Nobody else writes these keys, so each holds what was written last, whoever leads and of whichever
/// build that is.
async fn work(
    client: usize,
    members: Members,
    stopped: watch::Receiver<bool>,
    note: watch::Sender<u64>,
) {
    let mut registers: Vec<Register> = (0..KEYS).map(|_| Register::default()).collect();
    let key = |place: u64| format!("key-{client}-{place}");
    for n in 0_u64.. {
        if *stopped.borrow() {
            break;
        }
        let place = n % KEYS;
        let (register, value) = (&mut registers[place as usize], n.to_string());
        register.sent_since.push(value.clone());
        match members.lead(&format!("set {} {value}", key(place))).await {
            Ok(_) => {
                *register = Register { acknowledged: value, sent_since: Vec::new() };
                note.send_modify(|written| *written += 1);
            }
            Err(why) => assert!(why.starts_with("unknown"), "{why}"),
        }
        check(&members, &key(place), register).await;
    }
    for (place, register) in registers.iter().enumerate() {
        check(&members, &key(place as u64), register).await;
    }
}

/// Reads it, again where a leader that was asked had lost its place.
async fn check(members: &Members, key: &str, register: &Register) {
    let found = loop {
        match members.lead(&format!("get {key}")).await {
            Ok(found) => break found,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert!(register.may_hold(&found), "{key} holds {found:?}: {register:?}");
}
