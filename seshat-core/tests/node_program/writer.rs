//! A client that writes on and on, each time to a key of its own.

use std::time::Duration;

use seshat_core::client::{Client, ClientError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::DEADLINE;
use crate::cluster::Cluster;

/// What it wrote, and what it heard of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// Numbers of writes that were acknowledged, and when.
    pub(crate) acknowledged: Vec<(u64, Instant)>,
    /// Numbers of those whose outcome is unknown, and why.
    pub(crate) unknown: Vec<(u64, String)>,
    /// How many of those had taken effect when it was asked.
    pub(crate) done: u64,
    /// Errors of the others.
    pub(crate) failed: Vec<String>,
    pub(crate) retries: u64,
}

pub(crate) struct Writer {
    stop: watch::Sender<bool>,
    written: watch::Receiver<Written>,
    task: JoinHandle<()>,
}

fn key(n: u64) -> String {
    format!("key-{n}")
}

impl Writer {
    pub(crate) fn start(client: Client) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (note, written) = watch::channel(Written::default());
        let task = tokio::spawn(async move {
            for n in 0_u64.. {
                if *stopped.borrow() {
                    return;
                }
                let end = client.set(key(n), n.to_string()).await;
                note.send_modify(|written| {
                    written.retries = client.retries();
                    match end {
                        Ok(_) => written.acknowledged.push((n, Instant::now())),
                        Err(error @ ClientError::Unknown { .. }) => {
                            written.unknown.push((n, error.to_string()));
                        }
                        Err(error) => written.failed.push(error.to_string()),
                    }
                });
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { stop, written, task }
    }

    /// Waits until that many more writes are acknowledged.
    pub(crate) async fn more(&mut self, count: usize) {
        let wanted = self.written.borrow().acknowledged.len() + count;
        let met = self.written.wait_for(|written| written.acknowledged.len() >= wanted);
        let met = tokio::time::timeout(DEADLINE, met).await.is_ok_and(|met| met.is_ok());
        assert!(met, "it does not go on: {:?}", self.written.borrow().failed);
    }

    /// What became of its writes. Every one that was acknowledged can be read; one whose outcome is unknown can or
    /// can't, and if so then as it was written.
    pub(crate) async fn finish(self, cluster: &Cluster) -> Written {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        let mut written = self.written.borrow().clone();
        let client = cluster.client();
        for (n, _) in &written.acknowledged {
            let value = client.get(key(*n)).await.unwrap();
            assert_eq!(
                value,
                Some(n.to_string().into()),
                "write {n} was acknowledged, and is lost"
            );
        }
        for (n, why) in &written.unknown {
            if let Some(value) = client.get(key(*n)).await.unwrap() {
                assert_eq!(value, n.to_string(), "write {n}: {why}");
                written.done += 1;
            }
        }
        written
    }
}

impl Written {
    /// The longest time without an acknowledgement from `since` on.
    pub(crate) fn gap(&self, since: Instant) -> Duration {
        let times: Vec<Instant> = self.acknowledged.iter().map(|(_, at)| *at).collect();
        let gaps = times.windows(2).filter(|pair| pair[1] >= since).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}
