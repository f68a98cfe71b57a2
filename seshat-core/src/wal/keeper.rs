//! [`Keeper`]: the thread that does what nobody should wait for.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::fs::FileSystem;
use super::{Lsn, Stopped, Wal};

/// How long nothing has to be submitted before it is [written](Wal::settle) that all is durable.
const IDLE: Duration = Duration::from_millis(10);
/// How often spares and segments are looked after if nobody [asks](Keeper::nudge) for it.
const EVERY: u32 = 100;

/// Maintains and settles a log until it is dropped, which waits for what is under way, or until the log
/// stops.
#[derive(Debug)]
pub struct Keeper {
    nudges: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start<F: FileSystem>(wal: Wal<F>) -> std::io::Result<Self> {
        let (nudges, nudged) = sync_channel(1);
        let keep = move || -> Result<(), Stopped> {
            wal.maintain()?;
            let (mut seen, mut rounds) = (wal.last(), 0);
            loop {
                match nudged.recv_timeout(IDLE) {
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    Ok(()) => rounds = EVERY,
                    Err(RecvTimeoutError::Timeout) => rounds += 1,
                }
                if rounds >= EVERY || wal.lacks_spares() {
                    wal.maintain()?;
                    rounds = 0;
                }
                if wal.last() == seen {
                    wal.settle()?;
                }
                seen = wal.last();
            }
        };
        // Whoever uses the log hears of a failure too.
        let thread =
            thread::Builder::new().name("seshat-wal".into()).spawn(move || drop(keep()))?;
        Ok(Self { nudges: Some(nudges), thread: Some(thread) })
    }

    /// There may be segments to let go: a purge is durable. Returns at once.
    pub fn nudge(&self) {
        if let Some(nudges) = &self.nudges {
            // One that wasn't heard yet is enough; a log that stopped needs none.
            let _ = nudges.try_send(());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.nudges.take());
        if let Some(thread) = self.thread.take() {
            // It panics only where a test's file system does.
            let _ = thread.join();
        }
    }
}

impl<F: FileSystem> Wal<F> {
    fn last(&self) -> Lsn {
        Lsn(self.core().last())
    }

    fn lacks_spares(&self) -> bool {
        let core = self.core();
        core.queue.short().is_none() && core.queue.spares() < self.shared.options.spares
    }
}
