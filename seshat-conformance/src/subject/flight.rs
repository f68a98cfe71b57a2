//! Appends in flight: returned, and not yet flushed.

#[cfg(feature = "storage-v2")]
use crate::driver::Flushed;
use crate::failure::Failure;
#[cfg(feature = "storage-v2")]
use crate::failure::Kind;
#[cfg(feature = "storage-v2")]
use crate::lab::Lab;
use crate::model::Item;
use crate::subject::Subject;

#[cfg(feature = "storage-v2")]
impl Subject<'_> {
    /// Appends, and gives what resolves with the callback. The oracle doesn't follow.
    pub(crate) async fn append_unawaited(&mut self, items: &[Item]) -> Result<Flushed, Failure> {
        let Ok((callback, flushed)) = self.lab.driver.callback().await else {
            return Err(Failure::new(Kind::Kit, "no callback could be made", "", ""));
        };
        let entries = self.entries(items)?;
        let appending = self.log.append_with(entries, callback);
        self.lab.call_of(items.len(), "append", appending).await?;
        Ok(flushed)
    }

    pub(super) async fn begin(&mut self, items: &[Item]) -> Result<(), Failure> {
        let flushed = self.append_unawaited(items).await?;
        self.in_flight.push(flushed);
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        for flushed in std::mem::take(&mut self.in_flight) {
            self.lab.flushed(flushed).await?;
        }
        Ok(())
    }

    /// Nobody waits for it any more.
    pub(super) fn give_up_flight(&mut self) {
        self.in_flight.clear();
        self.model.unflushed = None;
    }
}

/// What is waited for after an append.
#[cfg(feature = "storage-v2")]
const CALLBACK: &str = "callback";

#[cfg(feature = "storage-v2")]
impl Lab {
    /// The callback is called with success before patience ends.
    pub(crate) async fn flushed(&self, flushed: Flushed) -> Result<(), Failure> {
        let outcome = self.answer(CALLBACK, flushed).await;
        self.record.case();
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::broken(
                "append returned success, but its callback was dropped or called with an error",
                "log_io_completed(Ok(()))",
                error.to_string(),
            )),
            Err(late) => Err(late),
        }
    }
}

/// Without a callback in the kit's hands nothing is in flight: an append ends with its flush.
#[cfg(not(feature = "storage-v2"))]
impl Subject<'_> {
    pub(super) async fn begin(&mut self, items: &[Item]) -> Result<(), Failure> {
        let entries = self.entries(items)?;
        self.lab.call("append", self.log.append(entries)).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    pub(super) fn give_up_flight(&mut self) {
        self.model.unflushed = None;
    }
}
