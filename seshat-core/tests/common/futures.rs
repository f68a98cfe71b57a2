//! Futures that are polled by hand.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Polls a future once, whatever comes of it.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

/// Polls the futures in their order, until all are ready.
pub(crate) async fn in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> =
        futures.into_iter().map(|future| (Some(Box::pin(future)), None)).collect();
    poll_fn(|context| {
        for (future, output) in &mut pending {
            if let Some(running) = future
                && let Poll::Ready(ready) = running.as_mut().poll(context)
            {
                *output = Some(ready);
                *future = None;
            }
        }
        if pending.iter().all(|(future, _)| future.is_none()) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}

/// A future whose type is forgotten.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls a future whenever it is woken; gives it up if it isn't ready at the poll of that number.
pub(crate) async fn give_up_after<F: Future + Unpin>(
    polls: usize,
    future: &mut F,
) -> Option<F::Output> {
    let mut polled = 0;
    poll_fn(|context| {
        polled += 1;
        match Pin::new(&mut *future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Lets each task that can run now be polled once. tokio's own `yield_now` waits until none can run.
pub(crate) async fn after_the_others() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
