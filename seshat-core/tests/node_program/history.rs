//! Clients that read and write registers, and note what they saw.

#[path = "../common/history.rs"]
mod common;

use std::time::Duration;

use bytes::Bytes;
use seshat_core::client::{Client, ClientError};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::common::History;
use self::common::Seen;
use crate::{DEADLINE, POLL};

const KEYS: u64 = 5;

impl History {
    /// Reads and writes until it is told to stop.
    pub(crate) async fn work(self, client: Client, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let called = self.now();
            // Values are unique, and so is the moment.
            let (key, value) = (called % KEYS, called);
            let name = format!("register-{key}");
            let seen = if called.is_multiple_of(3) {
                client.get(name).await.map(|value| Seen::Get(number(value)))
            } else {
                let previous = client.set_get(name, value.to_string()).await;
                previous.map(|it| Seen::Set { value, previous: Some(number(it)) })
            };
            match seen {
                Ok(seen) => self.answered(key, called, seen),
                Err(ClientError::Unknown { .. }) => self.unknown(key, called, value),
                // It certainly did nothing.
                Err(ClientError::TooLate { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for so many operations more.
    pub(crate) async fn goes_on(&self, more: usize) {
        let (from, deadline) = (self.count().0, Instant::now() + DEADLINE);
        while self.count().0 < from + more {
            assert!(Instant::now() < deadline, "the clients are stuck");
            tokio::time::sleep(POLL).await;
        }
    }
}

fn number(value: Option<Bytes>) -> Option<u64> {
    value.map(|value| String::from_utf8_lossy(&value).parse().unwrap())
}
