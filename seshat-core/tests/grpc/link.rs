//! A link to a node that carries no more than so much a second, and breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// Carried at once.
const PIECE: usize = 4 << 10;

pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Bytes a second towards the node, of all connections together.
    rate: AtomicU64,
    /// The connection that carries more than that towards the node breaks.
    limit: AtomicU64,
    connections: AtomicU64,
    carried: AtomicU64,
    /// Whoever has it is on the link.
    turn: Mutex<()>,
}

impl Link {
    /// A link whose connections break after `limit` bytes.
    pub(crate) async fn to(target: impl Into<String>, rate: u64, limit: u64) -> Self {
        let target = target.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (rate, limit) = (AtomicU64::new(rate), AtomicU64::new(limit));
        let (connections, carried, turn) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        let state = Arc::new(State { rate, limit, connections, carried, turn });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connect(near, target.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// From now on.
    pub(crate) fn set(&self, rate: u64, limit: u64) {
        self.state.rate.store(rate, Ordering::Relaxed);
        self.state.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes that were carried towards the node.
    pub(crate) fn carried(&self) -> u64 {
        self.state.carried.load(Ordering::Relaxed)
    }

    /// Connections that there were.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

async fn connect(near: TcpStream, target: String, state: Arc<State>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (mut far_in, far_out)) = (near.into_split(), far.into_split());
    let mut near_out = near_out;
    // Where one direction ends, so does the connection.
    tokio::select! {
        () = carry(near_in, far_out, &state) => {}
        _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
    }
}

/// One piece after the other, in turn with the other connections.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut bytes = vec![0; PIECE];
    let mut carried = 0;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let turn = state.turn.lock().await;
        let rate = state.rate.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1).mul_f64(count as f64 / rate as f64)).await;
        drop(turn);
        carried += count as u64;
        if carried > state.limit.load(Ordering::Relaxed)
            || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
        state.carried.fetch_add(count as u64, Ordering::Relaxed);
    }
}
