//! A wire between two nodes that speak TCP: it can be cut, slow, lossy, and different each way.
//!
//! All connections through a [`Proxy`] share the wire as they would share a physical one: each
//! direction has one bandwidth, which goes round by segments. What hasn't had its turn waits where it
//! does on a real link, in the buffers of its connection, which are small on the wire's side.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../../src/network/switchboard/bandwidth.rs"]
mod bandwidth;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use bandwidth::Track;

/// Of each connection, each way and on either side: what a small router holds.
const BUFFER: u32 = 64 << 10;
/// The most that a connection is carried at a time.
const SEGMENT: usize = 64 << 10;
/// Segments of a connection that are on their way at most, for which time passes. At a bandwidth
/// of some megabytes a second this is half a second.
const IN_FLIGHT: usize = 256;
/// How long a connection stands still that has lost a segment: Linux's least retransmission timeout.
pub(crate) const STALL: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire {
    /// Everything arrives, as each way allows.
    Whole { there: Way, back: Way },
    /// Connections break, and no new one comes about.
    Cut,
    /// Connections come about and last, and nothing arrives.
    HalfOpen,
}

impl Wire {
    /// As fast as the machine is.
    pub(crate) const WHOLE: Self = Self::both(Way::FREE);

    /// The same both ways.
    pub(crate) const fn both(way: Way) -> Self {
        Self::Whole { there: way, back: way }
    }
}

/// One direction of a wire. Where it takes time at all it takes up to 2 ms more, since timers tick in
/// milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Way {
    /// Bytes it carries in a second, of all connections together; no limit if `None`.
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    /// Everything arrives that much later.
    pub(crate) delay: Duration,
    /// The probability that a segment is lost, of which TCP shows no more than that the
    /// connection stands still for [`STALL`]. A segment is what goes in 2 ms, or a packet.
    pub(crate) loss: f64,
}

impl Way {
    /// No limit, no delay, no loss.
    pub(crate) const FREE: Self = Self { bytes_per_second: None, delay: Duration::ZERO, loss: 0.0 };

    pub(crate) const fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::FREE }
    }
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: watch::Sender<Wire>,
    tracks: Tracks,
}

/// Of each direction.
type Tracks = [Arc<Mutex<Track>>; 2];

impl Proxy {
    /// A whole wire to `target`, an IPv4 address and port. Which segments are lost follows from the
    /// seed, as far as the segments do.
    pub(crate) async fn to(target: String, seed: u64) -> Self {
        let socket = small_socket().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        // What is accepted has the listener's buffers.
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, state) = watch::channel(Wire::WHOLE);
        let tracks = Tracks::default();
        let shared = tracks.clone();
        let mut rng = SmallRng::seed_from_u64(seed);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let ends = [End::There, End::Back].map(|end| Direction {
                    end,
                    state: state.clone(),
                    track: Arc::clone(&shared[end as usize]),
                    rng: SmallRng::from_rng(&mut rng),
                });
                // Dropped, and so closed.
                if *state.borrow() != Wire::Cut {
                    tokio::spawn(connect(stream, target.clone(), ends));
                }
            }
        });
        Self { address, wire, tracks }
    }

    pub(crate) fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
        // What has begun its turn on a slower wire is no longer in the way.
        self.tracks.iter().for_each(|track| *track.lock().unwrap() = Track::default());
    }
}

fn small_socket() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    Ok(socket)
}

async fn dial(target: &str) -> io::Result<TcpStream> {
    let address = target.parse().map_err(io::Error::other)?;
    small_socket()?.connect(address).await
}

async fn connect(near: TcpStream, target: String, [there, back]: [Direction; 2]) {
    let Ok(far) = dial(&target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let mut state = there.state.clone();
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    // Where one direction ends, so does the connection.
    tokio::select! {
        () = there.carry(near_in, far_out) => {}
        () = back.carry(far_in, near_out) => {}
        _ = state.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

#[derive(Clone, Copy)]
enum End {
    There,
    Back,
}

/// One connection's share of one direction.
struct Direction {
    end: End,
    state: watch::Receiver<Wire>,
    track: Arc<Mutex<Track>>,
    rng: SmallRng,
}

/// Bytes that are on their way, and when they arrive.
type Flight = (Vec<u8>, Instant);

impl Direction {
    /// Carries bytes until either end closes.
    async fn carry(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (sender, flights) = mpsc::channel(IN_FLIGHT);
        let send = async {
            self.send(from, sender).await;
            // What is on its way still arrives.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = send => {}
            () = arrive(flights, to) => {}
        }
    }

    /// The way that the wire goes now; `None` if nothing arrives.
    fn way(&self) -> Option<Way> {
        match (*self.state.borrow(), self.end) {
            (Wire::Whole { there, .. }, End::There) => Some(there),
            (Wire::Whole { back, .. }, End::Back) => Some(back),
            (Wire::Cut | Wire::HalfOpen, _) => None,
        }
    }

    /// A connection that has lost bytes can't go on when the wire is whole again.
    async fn send(mut self, from: OwnedReadHalf, flights: mpsc::Sender<Flight>) {
        let mut buffer = vec![0; SEGMENT];
        let (mut ready, mut lost) = (Instant::now(), false);
        loop {
            let rate = self.way().and_then(|way| way.bytes_per_second);
            let most =
                rate.map_or(SEGMENT, |rate| bandwidth::segment(rate).min(SEGMENT as u64) as usize);
            let count = match from.try_read(&mut buffer[..most]) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        readable = from.readable() => if readable.is_err() { return },
                        changed = self.state.changed() => {
                            if changed.is_err() || (lost && self.way().is_some()) {
                                return;
                            }
                        }
                    }
                    ready = Instant::now();
                    continue;
                }
                Ok(_) | Err(_) => return,
            };
            let Some(way) = self.way() else {
                lost = true;
                continue;
            };
            if lost {
                return;
            }
            ready = self.turn(way, ready, count).await;
            let flight = (buffer[..count].to_vec(), ready + way.delay);
            if flights.send(flight).await.is_err() {
                return;
            }
        }
    }

    /// Waits until so many bytes have had their turns; returns when that was.
    async fn turn(&mut self, way: Way, mut ready: Instant, count: usize) -> Instant {
        if let Some(rate) = way.bytes_per_second {
            let mut left = count as u64;
            while left > 0 {
                let turn = self.track.lock().unwrap().turn(rate, ready, left);
                wait_until(turn.over).await;
                (ready, left) = (turn.over, left - turn.bytes);
            }
        } else {
            ready = Instant::now();
        }
        if self.rng.random_bool(way.loss) {
            sleep(STALL).await;
            ready += STALL;
        }
        ready
    }
}

/// A timer waits for the next tick even where the time has come.
async fn wait_until(due: Instant) {
    if due > Instant::now() {
        sleep_until(due).await;
    }
}

/// Ends when nothing more is sent, or taken in.
async fn arrive(mut flights: mpsc::Receiver<Flight>, mut to: OwnedWriteHalf) {
    while let Some((bytes, due)) = flights.recv().await {
        wait_until(due).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
