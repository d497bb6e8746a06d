//! A connection whose client must keep up the pace.
//!
//! The framework times the first head of a connection only; here every later one must be whole in time too. A
//! client that does not read is the kernel's to notice: it knows what the client has taken, we know only what the
//! kernel has taken from us.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::ServiceRequest;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// What the kernel may hold of an answer that is not on its way yet, in bytes. What is on its way the client has
/// made room for.
const UNSENT_BYTES: u32 = 32 * 1024;

/// A client's connection.
pub(super) struct Paced {
    io: TcpStream,
    head: Duration,
    turn: Rc<Cell<Turn>>,
    late: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

/// Whose turn it is to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The client's, and the framework's timer runs.
    First,
    /// Ours: a request is being answered.
    Ours,
    /// The client's again.
    Next,
}

impl Paced {
    /// Takes a connection in: a head may take `head` to arrive, and the client `write` to take anything of what is
    /// sent to it.
    pub(super) fn new(io: TcpStream, head: Duration, write: Duration, place: OwnedSemaphorePermit) -> Self {
        let socket = SockRef::from(&io);
        let set = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_tcp_user_timeout(Some(write)))
            .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_BYTES));
        if let Err(error) = set {
            // The client has gone already, or the kernel knows none of it: then its own bounds hold.
            tracing::debug!(%error, "a connection keeps the system's settings");
        }
        Self { io, head, turn: Rc::new(Cell::new(Turn::First)), late: None, _place: place }
    }

    /// To be put beside each of its requests.
    pub(super) fn floor(&self) -> Floor {
        Floor(self.turn.clone())
    }
}

/// Where requests of a connection say that they are being answered.
#[derive(Clone)]
pub(super) struct Floor(Rc<Cell<Turn>>);

/// Held while a request is being answered.
pub(super) struct Taken(Floor);

impl Floor {
    /// Takes the floor of a request's connection, if it has one.
    pub(super) fn take(request: &ServiceRequest) -> Option<Taken> {
        let floor = request.request().conn_data::<Self>()?.clone();
        floor.0.set(Turn::Ours);
        Some(Taken(floor))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.set(Turn::Next);
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        if this.turn.get() != Turn::Next {
            this.late = None;
            return polled;
        }
        if buffer.filled().len() > before {
            this.late.get_or_insert_with(|| Box::pin(sleep(this.head)));
        }
        let is_late = |late: &mut Pin<Box<Sleep>>| late.as_mut().poll(context).is_ready();
        if polled.is_pending() && this.late.as_mut().is_some_and(is_late) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
