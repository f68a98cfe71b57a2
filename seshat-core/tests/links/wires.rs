//! What a wire does to the bytes that go through it. On a busy machine all of it takes longer, so
//! what is tested is how long it takes at least, and what comes before what.

use std::num::NonZeroU64;
use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::proxy::{Proxy, STALL, Way, Wire};

/// Longer than anything takes that goes well.
const DEADLINE: Duration = Duration::from_secs(20);
/// The clock ticks in milliseconds.
const TICK: Duration = Duration::from_millis(1);
const KIB: usize = 1 << 10;

fn rate(bytes_per_second: usize) -> Way {
    Way { bytes_per_second: NonZeroU64::new(bytes_per_second as u64), ..Way::FREE }
}

fn seconds(bytes: usize, rate: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

/// A wire, and where it leads.
struct Ends {
    proxy: Proxy,
    listener: TcpListener,
}

impl Ends {
    async fn of(wire: Wire) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap().to_string(), 7).await;
        proxy.set(wire);
        Self { proxy, listener }
    }

    /// A connection through it, and its other end.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let both = async {
            let near = TcpStream::connect(self.proxy.address).await.unwrap();
            (near, self.listener.accept().await.unwrap().0)
        };
        timeout(DEADLINE, both).await.unwrap()
    }
}

/// Not the same at any two places that are near each other.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Sends so many bytes, and returns when they have arrived as they were.
async fn send(from: &mut TcpStream, to: &mut TcpStream, count: usize) -> Instant {
    let sent = bytes(count);
    let mut arrived = vec![0; count];
    let both = async { tokio::join!(from.write_all(&sent), to.read_exact(&mut arrived)) };
    let (written, read) = timeout(DEADLINE, both).await.expect("in time");
    written.unwrap();
    read.unwrap();
    assert!(arrived == sent, "what arrives isn't what was sent");
    Instant::now()
}

#[rstest]
#[case::there(Wire::Whole { there: rate(512 * KIB), back: Way::FREE }, true)]
#[case::back(Wire::Whole { there: Way::FREE, back: rate(512 * KIB) }, false)]
#[tokio::test]
async fn each_way_carries_so_many_bytes_in_a_second(#[case] wire: Wire, #[case] slow_there: bool) {
    let ends = Ends::of(wire).await;
    let started = Instant::now();
    let (mut a, mut b) = ends.connect().await;
    let (mut c, mut d) = ends.connect().await;
    let (there, back) =
        tokio::join!(send(&mut a, &mut b, 256 * KIB), send(&mut d, &mut c, 256 * KIB));
    let (slow, fast) = if slow_there { (there, back) } else { (back, there) };
    assert!(slow - started >= seconds(256 * KIB, 512 * KIB), "{:?}", slow - started);
    assert!(fast < slow);
}

#[tokio::test]
async fn connections_share_the_wire_by_turns() {
    let ends = Ends::of(Wire::both(rate(512 * KIB))).await;
    let started = Instant::now();
    let (mut a, mut b) = ends.connect().await;
    let (mut c, mut d) = ends.connect().await;
    let small = async {
        let mut arrived = started;
        for _ in 0..3 {
            arrived = send(&mut c, &mut d, 1).await;
        }
        arrived
    };
    let (large, small) = tokio::join!(send(&mut a, &mut b, 512 * KIB), small);
    assert!(small < large, "{:?}, {:?}", small - started, large - started);
    assert!(large - started >= seconds(512 * KIB, 512 * KIB));

    let started = Instant::now();
    let (one, other) =
        tokio::join!(send(&mut a, &mut b, 128 * KIB), send(&mut c, &mut d, 128 * KIB));
    let took = one.max(other) - started;
    assert!(took >= seconds(2 * 128 * KIB, 512 * KIB), "{took:?}");
}

#[tokio::test]
async fn everything_arrives_later_by_the_delay_of_its_way() {
    let delays = [30, 70].map(Duration::from_millis);
    let [there, back] = delays.map(Way::slow);
    let ends = Ends::of(Wire::Whole { there, back }).await;
    let (mut a, mut b) = ends.connect().await;
    for _ in 0..2 {
        let started = Instant::now();
        let arrived = send(&mut a, &mut b, 10).await;
        assert!(arrived - started + TICK >= delays[0]);
        assert!(send(&mut b, &mut a, 10).await - arrived + TICK >= delays[1]);
    }
}

#[tokio::test]
async fn a_connection_that_loses_a_segment_stands_still() {
    let ends = Ends::of(Wire::both(Way { loss: 1.0, ..Way::FREE })).await;
    let (mut a, mut b) = ends.connect().await;
    for count in 1..=2 {
        let started = Instant::now();
        assert!(send(&mut a, &mut b, count).await - started + TICK >= STALL);
    }
    ends.proxy.set(Wire::WHOLE);
    send(&mut a, &mut b, 256 * KIB).await;
}

#[tokio::test]
async fn a_wire_that_is_cut_breaks_its_connections_and_makes_no_new_ones() {
    let ends = Ends::of(Wire::WHOLE).await;
    let (mut a, mut b) = ends.connect().await;
    send(&mut a, &mut b, KIB).await;
    ends.proxy.set(Wire::Cut);
    for end in [&mut a, &mut b] {
        let read = timeout(DEADLINE, end.read(&mut [0])).await.expect("it ends");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    let mut refused = TcpStream::connect(ends.proxy.address).await.unwrap();
    let read = timeout(DEADLINE, refused.read(&mut [0])).await.expect("it ends");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    ends.proxy.set(Wire::WHOLE);
    let (mut a, mut b) = ends.connect().await;
    send(&mut a, &mut b, KIB).await;
}
