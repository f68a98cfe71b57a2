//! [`Halt`]: stops a run at once, on Ctrl-C or the wish of the system.

use std::process::Child;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::{io, thread};

/// What a run can be stopped with. Pulled once, it stays pulled.
#[derive(Debug, Default)]
pub(crate) struct Halt {
    /// 0 while not pulled.
    code: AtomicU8,
    /// Read by who has something on the disk that must not be left behind.
    busy: RwLock<()>,
    children: Mutex<Vec<Weak<Mutex<Child>>>>,
}

impl Halt {
    pub(crate) fn is_pulled(&self) -> bool {
        self.code().is_some()
    }

    /// The exit code that says why, if it is pulled.
    pub(crate) fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != 0)
    }

    /// Kills every child, those that are being started included.
    pub(crate) fn pull(&self, code: u8) {
        self.code.store(code, Ordering::SeqCst);
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.iter().filter_map(Weak::upgrade).for_each(|child| kill(&child));
    }

    /// From now on `child` goes when the halt is pulled.
    pub(super) fn mind(&self, child: &Arc<Mutex<Child>>) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(child));
        if self.is_pulled() {
            kill(child);
        }
    }

    /// Has [`Halt::leave`] wait until the guard is dropped.
    pub(super) fn busy(&self) -> RwLockReadGuard<'_, ()> {
        self.busy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process as soon as nobody is busy, and lets nobody begin: for a caller that can't
    /// be told to stop.
    pub(crate) fn leave(&self, code: u8) {
        let _nobody_is = self.busy.write().unwrap_or_else(PoisonError::into_inner);
        std::process::exit(code.into())
    }

    /// Pulls the halt on Ctrl-C, or when the system asks the process to end, and then calls
    /// `pulled` on a thread of its own; the second time calls `at_once`.
    ///
    /// # Errors
    /// The system offers no way to listen.
    pub(crate) fn listen(
        self: &Arc<Self>,
        pulled: fn(&Self, u8),
        at_once: fn(u8),
    ) -> io::Result<()> {
        let halt = Arc::clone(self);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(mut signals) = Signals::new() else { return };
                let code = signals.next().await;
                halt.pull(code);
                thread::spawn(move || pulled(&halt, code));
                at_once(signals.next().await);
            });
        })?;
        Ok(())
    }
}

pub(super) fn kill(child: &Mutex<Child>) {
    // It fails for a child that has ended, which is what is wanted.
    drop(child.lock().unwrap_or_else(PoisonError::into_inner).kill());
}

/// Wishes to end, as exit codes: 128 and the signal's number.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        drop(tokio::signal::ctrl_c().await);
        130
    }
}
