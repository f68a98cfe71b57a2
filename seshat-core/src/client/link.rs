//! [`Link`]: a connection to one node, and one stream on it that carries many calls.
//!
//! Guarantees: what waits goes into one message, as soon as HTTP/2 takes one, in the order in which it came; a
//! lone call goes at once. A call that was given up before it was packed is never sent. When the stream breaks
//! each call is told whether it was sent; what wasn't is certainly not done. Whoever is gone leaves nothing
//! behind.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use prost::Message;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::PATIENCE;
use super::calls::{AROUND, Calls, Heard, Lost};
use super::connect::Stub;
use super::error::words;
use crate::proto::client::{self as proto, answer, request};

/// See the [module](self). Dropped, it ends the stream.
#[derive(Debug)]
pub(super) struct Link {
    calls: Arc<Calls>,
    max_message_bytes: usize,
    hears: JoinHandle<()>,
}

impl Link {
    /// Opens a stream on a connection. Whatever fails here, nothing was asked for.
    pub(super) async fn open(mut stub: Stub) -> Result<Self, Status> {
        let calls = Arc::<Calls>::default();
        let packs = Packs(Arc::clone(&calls));
        let mut answers = stub.exchange(packs).await?.into_inner();
        let Some(proto::Answers { opening: Some(opening), .. }) = answers.message().await? else {
            return Err(Status::unavailable("it doesn't begin as a node of a cluster does"));
        };
        let max_message_bytes = usize::try_from(opening.max_message_bytes).unwrap_or(usize::MAX);
        let hears = tokio::spawn(hear(answers, Arc::clone(&calls)));
        Ok(Self { calls, max_message_bytes, hears })
    }

    /// Whether calls can be made.
    pub(super) fn is_open(&self) -> bool {
        self.calls.are_open()
    }

    /// Makes a call, until `deadline`. Dropping the future gives it up.
    pub(super) async fn call(
        &self,
        kind: request::Kind,
        deadline: Instant,
    ) -> Result<Option<answer::Kind>, Lost> {
        let (got, most) = (kind.encoded_len() + AROUND, self.max_message_bytes);
        if got > most {
            let reason = format!("it takes a message of {got} bytes, and {most} are allowed");
            return Err(Lost { reason: reason.into(), done: None });
        }
        let (id, heard) = self.calls.begin(kind)?;
        Waits { calls: &self.calls, id, heard, over: false }.wait(deadline).await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hears.abort();
        // Whoever made a call had it.
        self.calls.end(&Lost::unsent("nobody asks for more"), 0);
    }
}

/// Whoever waits for an answer. Dropped before, it gives the call up.
struct Waits<'a> {
    calls: &'a Calls,
    id: u64,
    heard: oneshot::Receiver<Heard>,
    over: bool,
}

impl Waits<'_> {
    async fn wait(mut self, deadline: Instant) -> Heard {
        let heard = timeout_at(deadline, &mut self.heard).await;
        self.over = true;
        match heard {
            Ok(heard) => heard.unwrap_or_else(|_| Err(Lost::broken("the connection broke"))),
            Err(_) => {
                let sent = self.calls.give_up(self.id);
                // It may have come meanwhile.
                let heard = self.heard.try_recv();
                let late = |_| Err(Lost { reason: "no answer in time".into(), done: Some(sent) });
                heard.unwrap_or_else(late)
            }
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.calls.give_up(self.id);
        }
    }
}

/// Hands out answers until the stream ends.
async fn hear(mut stream: Streaming<proto::Answers>, calls: Arc<Calls>) {
    loop {
        match stream.message().await {
            Ok(Some(proto::Answers { answers, closing, .. })) => {
                calls.answer(answers);
                if let Some(proto::Closing { taken }) = closing {
                    // If it has a reason, that is what it says last.
                    let reason = match timeout(PATIENCE, stream.message()).await {
                        Ok(Err(status)) => words(&status),
                        Ok(Ok(_)) | Err(_) => "the node is shutting down".to_owned(),
                    };
                    return calls.end(&Lost::broken(reason), taken);
                }
            }
            Ok(None) => {
                return calls.end(&Lost::broken("the node ended the stream"), u64::MAX);
            }
            // Whatever it says, it says of one message, and not of those before it.
            Err(status) => return calls.end(&Lost::broken(words(&status)), u64::MAX),
        }
    }
}

/// What is sent: messages, as HTTP/2 takes them. Dropped, it sends nothing more.
struct Packs(Arc<Calls>);

impl Stream for Packs {
    type Item = proto::Requests;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<proto::Requests>> {
        let Some(requests) = ready!(self.0.poll_pack(cx)) else { return Poll::Ready(None) };
        let encoded = requests.iter().map(|request| Bytes::from(request.encode_to_vec()));
        Poll::Ready(Some(proto::Requests { requests: encoded.collect() }))
    }
}

impl Drop for Packs {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests;
