//! [`poll_times`]: a call that is under way, and stays so.

use std::pin::Pin;
use std::task::Poll;

/// Polls a call this often at most, giving other tasks a turn in between. `None` if it isn't done.
pub(crate) async fn poll_times<F: Future + ?Sized>(
    mut call: Pin<&mut F>,
    polls: u32,
) -> Option<F::Output> {
    for _ in 0..polls {
        let poll = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
