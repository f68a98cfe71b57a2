//! Clients, each of which writes keys of its own and knows what it was told of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use seshat_core::error::ProposeError;
use tokio::task::JoinHandle;

use crate::nodes::{Running, Trouble};

/// Before another node is asked.
const PAUSE: Duration = Duration::from_millis(20);

/// What each key may be: the version that was acknowledged last, or one whose answer was lost since.
pub(crate) type Expected = BTreeMap<String, Vec<Option<u64>>>;

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    clients: usize,
    keys: usize,
    value_bytes: usize,
}

impl Load {
    pub(crate) fn new(clients: usize, keys: usize, value_bytes: usize) -> Self {
        let clients = clients.max(1);
        Self { clients, keys: keys.max(clients), value_bytes: value_bytes.max(8) }
    }

    /// What a state takes at most, roughly.
    pub(crate) fn state_bytes(&self) -> u64 {
        (self.keys * (self.value_bytes + 128)) as u64
    }

    /// Begins with its version, and is as long as that says.
    fn value(&self, version: u64) -> Vec<u8> {
        let len = 8 + (mix(version) as usize) % (self.value_bytes - 7);
        let mut value = version.to_be_bytes().to_vec();
        value.resize(len, version as u8);
        value
    }
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The version that a value begins with.
pub(crate) fn version(value: Option<&[u8]>) -> Option<u64> {
    let head = value?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*head))
}

pub(crate) struct Clients {
    tasks: Vec<JoinHandle<Result<Expected, Trouble>>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Clients {
    pub(crate) fn start(load: &Load, running: Running) -> Self {
        let (stop, acknowledged) = (Arc::default(), Arc::default());
        let client = |number| Client {
            number,
            load: *load,
            running: running.clone(),
            stop: Arc::clone(&stop),
            acknowledged: Arc::clone(&acknowledged),
            known: HashMap::new(),
        };
        let tasks = (0..load.clients).map(|number| tokio::spawn(client(number).work())).collect();
        Self { tasks, stop, acknowledged }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Whether one has ended before its time. Why is told when they are stopped.
    pub(crate) fn ended(&self) -> bool {
        self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// What they know.
    pub(crate) async fn stop(self) -> Result<Expected, Trouble> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Expected::new();
        for task in self.tasks {
            all.extend(task.await.map_err(|_| Trouble::Client)??);
        }
        Ok(all)
    }
}

struct Client {
    number: usize,
    load: Load,
    running: Running,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    /// By key: what it may be, the acknowledged first.
    known: HashMap<usize, Vec<Option<u64>>>,
}

impl Client {
    fn key(key: usize) -> String {
        format!("key-{key}")
    }

    async fn work(mut self) -> Result<Expected, Trouble> {
        let share = self.load.keys / self.load.clients;
        for step in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let random = mix(step << 16 | self.number as u64);
            let key = self.number + self.load.clients * (random as usize % share);
            let done = if random >> 32 & 3 == 0 {
                self.read(key).await?
            } else {
                // A number per client, greater each time.
                self.write(key, (step + 1) * self.load.clients as u64 + self.number as u64).await
            };
            if !done {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(self.known.into_iter().map(|(key, may)| (Self::key(key), may)).collect())
    }

    /// Whether it was answered.
    async fn write(&mut self, key: usize, version: u64) -> bool {
        let Some(leader) = self.running.leader() else { return false };
        let may = self.known.entry(key).or_insert_with(|| vec![None]);
        match leader.set(Self::key(key), self.load.value(version)).await {
            Ok(_) => {
                // What was in doubt before came before it, or never will.
                *may = vec![Some(version)];
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(
                ProposeError::Deposed { .. }
                | ProposeError::NoQuorum { .. }
                | ProposeError::Stopped(_)
                | ProposeError::Unanswered { .. },
            ) => {
                may.push(Some(version));
                false
            }
            Err(_) => false,
        }
    }

    /// Whether it was answered; and as it should be.
    async fn read(&self, key: usize) -> Result<bool, Trouble> {
        let (Some(leader), Some(expected)) = (self.running.leader(), self.known.get(&key)) else {
            return Ok(false);
        };
        let Ok(read) = leader.read_linearizable(Self::key(key).as_bytes()).await else {
            return Ok(false);
        };
        let got = version(read.as_deref());
        if expected.contains(&got) {
            return Ok(true);
        }
        Err(Trouble::Wrong { key: Self::key(key), got, expected: expected.clone() })
    }
}
