//! The connection itself, where the sandbox can break it.
//!
//! - [`Lines`]: accepts connections
//! - [`Line`]: one connection, which watches out for being broken
//! - [`Wire`]: the handle by which a call breaks the connection it came over

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How long to wait before accepting again where the machine has run out of something, such as open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const SOUND: usize = 0;
const RESET: usize = usize::MAX;

/// Breaks the connection that a call came over. A plan that is made before the answer is handed over holds for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire {
    /// [`SOUND`], [`RESET`], else one more than the bytes of the body that may pass.
    plan: Arc<AtomicUsize>,
}

impl Wire {
    /// Resets the connection in place of the answer.
    pub(super) fn reset(&self) {
        self.plan.store(RESET, Ordering::Release);
    }

    /// Closes the connection after so many bytes of the answer's body.
    pub(super) fn cut_after(&self, body_bytes: usize) {
        self.plan.store(body_bytes.saturating_add(1), Ordering::Release);
    }

    fn plan(&self) -> usize {
        self.plan.load(Ordering::Acquire)
    }
}

impl Connected<IncomingStream<'_, Lines>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().wire.clone()
    }
}

/// Accepts connections.
#[derive(Debug)]
pub(super) struct Lines(pub(super) TcpListener);

impl Listener for Lines {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    // A small answer would wait for the client's acknowledgement otherwise. Failing to set it is
                    // no reason to refuse the connection.
                    let _ = stream.set_nodelay(true);
                    return (Line::new(stream), peer);
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    wire: Wire,
    /// Bytes that may still pass, once an answer that is to be cut has begun.
    left: Option<usize>,
}

impl Line {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            wire: Wire::default(),
            left: None,
        }
    }

    /// How much of `buffer` may pass.
    fn admit(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.wire.plan() {
            SOUND => Ok(buffer.len()),
            RESET => {
                // Without lingering, dropping the socket sends RST in place of FIN.
                self.stream.set_zero_linger()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            plan => {
                let left = *self.left.get_or_insert_with(|| head_bytes(buffer) + (plan - 1));
                if left == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(left.min(buffer.len()))
            }
        }
    }
}

/// The length of the head that `buffer` begins with: hyper hands it over in one piece.
fn head_bytes(buffer: &[u8]) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    buffer
        .windows(END.len())
        .position(|bytes| bytes == END)
        .map_or(buffer.len(), |at| at + END.len())
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let admitted = self.admit(buffer)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &buffer[..admitted]))?;
        if let Some(left) = &mut self.left {
            *left -= written;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.wire.plan() == SOUND {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        }
        // A connection about to break may be slow: one piece at a time is simpler to count.
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        self.poll_write(cx, first.map_or(&[], |buffer| buffer))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.plan() == RESET {
            // A FIN before the RST would look like an orderly end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
