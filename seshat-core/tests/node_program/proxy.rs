//! A wire between two nodes that can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Whole,
    /// Connections break, and no new one comes about.
    Cut,
    /// Connections come about and last, and nothing arrives.
    HalfOpen,
    /// Everything arrives that much later.
    Slow(Duration),
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, state) = watch::channel(Wire::Whole);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Dropped, and so closed.
                if *state.borrow() != Wire::Cut {
                    tokio::spawn(connect(stream, target.clone(), state.clone()));
                }
            }
        });
        Self { address, wire }
    }

    pub(crate) fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn connect(near: TcpStream, target: String, state: watch::Receiver<Wire>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    // Where one direction ends, so does the connection.
    tokio::select! {
        () = carry(near_in, far_out, state.clone()) => {}
        () = carry(far_in, near_out, state) => {}
    }
}

/// Carries bytes until either end closes, or the wire breaks. A connection that has lost bytes can't
/// go on when the wire is whole again.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<Wire>) {
    let mut bytes = vec![0; 64 << 10];
    let mut lost = false;
    loop {
        let count = tokio::select! {
            read = from.read(&mut bytes) => match read {
                Ok(count @ 1..) => count,
                _ => return,
            },
            changed = state.changed() => match changed {
                Ok(()) if *state.borrow() == Wire::Cut => return,
                Ok(()) if *state.borrow() != Wire::HalfOpen && lost => return,
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let wire = *state.borrow();
        match wire {
            Wire::Whole => {}
            Wire::Slow(delay) => tokio::time::sleep(delay).await,
            Wire::HalfOpen => {
                lost = true;
                continue;
            }
            Wire::Cut => return,
        }
        if lost || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
