//! [`Meter`]: lets the messages of a body in as there is room for them.
//!
//! Guarantees: nothing of a message passes by which its reader would learn its length, and reserve it,
//! before there is room for it; meanwhile nothing is read, so that HTTP/2 holds the sender. A body that
//! doesn't move, or that moves too slowly while others need its room or its place, ends with an error.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use super::announced::{Announced, Next};
use super::{Budget, LEAST_RATE, Room, SHORT};
use crate::network::grpc::error::Refusal;
use crate::network::grpc::progress::Progress;

/// What a call has room for: its first message, and the one that is on its way. The first may be kept as
/// long as the call lasts, and is where there is but one. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<[Option<Room>; 2]>>);

impl Held {
    /// Instead of what was there for the message before, unless that was the first.
    fn put(&self, room: Room) {
        let mut rooms = self.lock();
        let [first, current] = &mut *rooms;
        let slot = if first.is_none() { first } else { current };
        let before = slot.replace(room);
        drop(rooms);
        drop(before);
    }

    /// Nothing is left of the messages that were read.
    pub(crate) fn release(&self) {
        let before = std::mem::take(&mut *self.lock());
        drop(before);
    }

    // Every change under the lock is a single assignment.
    fn lock(&self) -> MutexGuard<'_, [Option<Room>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the body of a call is let in.
pub(in crate::network::grpc) struct Meter {
    pub(in crate::network::grpc) budget: Budget,
    /// Counts what passes.
    pub(in crate::network::grpc) progress: Progress,
    /// Whether there is one message, and no more.
    pub(in crate::network::grpc) single: bool,
    /// Whether its sender may pause between messages for as long as it likes.
    pub(in crate::network::grpc) pauses: bool,
    /// How long nothing may move; `None` where the reader sees to that.
    pub(in crate::network::grpc) stall: Option<Duration>,
}

impl Meter {
    /// `body`, and what its messages have room for. Who has that after the body is gone keeps the room.
    pub(in crate::network::grpc) fn let_in(self, body: Body) -> (Body, Held) {
        let held = Held::default();
        let metered = Metered {
            body,
            meter: self,
            held: held.clone(),
            begun: Instant::now(),
            announced: Announced::default(),
            messages: 0,
            bytes: 0,
            rest: Bytes::new(),
            waits: None,
            alarm: None,
            moved: false,
        };
        (Body::new(metered), held)
    }
}

type Waits = Pin<Box<dyn Future<Output = Result<Room, Status>> + Send>>;

struct Metered {
    body: Body,
    meter: Meter,
    held: Held,
    begun: Instant,
    announced: Announced,
    messages: u64,
    /// Of all messages that were announced.
    bytes: u64,
    /// What came, and didn't pass yet.
    rest: Bytes,
    /// For the room of the message that was announced, and its length.
    waits: Option<(u32, Waits)>,
    /// Goes off now and then while nothing comes.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Since the alarm went off.
    moved: bool,
}

impl Metered {
    /// A message of `len` bytes begins, now or when there is room.
    fn announce(&mut self, len: u32) -> Result<(), Status> {
        let longest = self.meter.budget.longest;
        if len as usize > longest {
            let words = format!("found {len} bytes, the limit is: {longest} bytes");
            return Err(Status::out_of_range(words));
        }
        if self.meter.single && self.messages > 0 {
            return Err(Refusal::Garbled.status("a second message, where there is one"));
        }
        self.messages += 1;
        if self.meter.pauses {
            (self.begun, self.bytes) = (Instant::now(), 0);
        }
        self.bytes = self.bytes.saturating_add(len.into());
        if len as usize <= SHORT {
            self.announced.begin(len);
        } else if let Some(room) = self.meter.budget.room_now(len) {
            self.held.put(room);
            self.announced.begin(len);
        } else {
            self.waits = Some((len, Box::pin(self.meter.budget.clone().room(len))));
        }
        Ok(())
    }

    fn pass(&mut self, bytes: usize) -> Frame<Bytes> {
        let piece = self.rest.split_to(bytes);
        self.announced.pass(&piece);
        self.meter.progress.add(piece.len());
        self.moved = true;
        Frame::data(piece)
    }

    /// Nothing came. Ready when that has been so for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if self.meter.pauses && self.announced == Announced::default() {
            self.alarm = None;
            return Poll::Pending;
        }
        let every = self.meter.stall.unwrap_or(self.meter.budget.limit);
        loop {
            let alarm = match &mut self.alarm {
                Some(alarm) => alarm,
                None => {
                    self.moved = false;
                    self.alarm.insert(Box::pin(sleep(every)))
                }
            };
            std::task::ready!(alarm.as_mut().poll(cx));
            alarm.as_mut().reset(Instant::now() + every);
            if let Some(stall) = self.meter.stall.filter(|_| !self.moved) {
                let words = format!("nothing moved for longer than {stall:?}");
                return Poll::Ready(Refusal::Stalled.status(words));
            }
            let budget = &self.meter.budget;
            if budget.is_needed() && self.begun.elapsed() > budget.patience(self.bytes) {
                let words =
                    format!("others wait, and it comes at less than {LEAST_RATE} bytes a second");
                return Poll::Ready(Refusal::Stalled.status(words));
            }
            self.moved = false;
        }
    }
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some((len, waits)) = &mut this.waits {
                let (len, room) = (*len, std::task::ready!(waits.as_mut().poll(cx)));
                this.waits = None;
                match room {
                    Ok(room) => this.held.put(room),
                    Err(busy) => return Poll::Ready(Some(Err(busy))),
                }
                this.announced.begin(len);
            }
            if !this.rest.is_empty() {
                match this.announced.next(&this.rest) {
                    Next::Pass(bytes) => return Poll::Ready(Some(Ok(this.pass(bytes)))),
                    Next::Message(len) => match this.announce(len) {
                        Ok(()) => continue,
                        Err(refused) => return Poll::Ready(Some(Err(refused))),
                    },
                }
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Pending => return this.poll_patience(cx).map(|status| Some(Err(status))),
                end @ Poll::Ready(_) => return end,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.waits.is_none() && self.body.is_end_stream()
    }
}
