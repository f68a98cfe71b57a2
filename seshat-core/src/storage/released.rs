//! [`Released`]: when a storage can be opened again.

use tokio::sync::watch;

/// Tells when nothing holds a storage open any more.
#[derive(Debug, Clone)]
pub struct Released(Option<watch::Receiver<()>>);

/// Held by whatever holds a storage open; dropped behind it.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "dropping it is what it tells")] watch::Sender<()>);

impl Hold {
    /// Tells by [`Released`] when it is dropped.
    pub fn new() -> (Self, Released) {
        let (held, released) = watch::channel(());
        (Self(held), Released(Some(released)))
    }
}

impl Released {
    /// Of a storage that nobody has to wait for.
    pub fn at_once() -> Self {
        Self(None)
    }

    /// Returns when it is. Dropping the future does nothing.
    pub async fn wait(self) {
        if let Some(mut held) = self.0 {
            // Nobody ever sends.
            while held.changed().await.is_ok() {}
        }
    }
}
