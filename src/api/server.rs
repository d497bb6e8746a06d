//! The server around the application: its socket, its connections and their bounds.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::ApiState;
use super::pace::{Floor, Paced};

/// What the framework gathers of an answer before it writes, in bytes.
const GATHERED_BYTES: usize = 16 * 1024;

/// What open answers get to be written out when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a connection gets to end in good order.
const GOODBYE: Duration = Duration::from_secs(1);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Connections beyond the most that are told so at the same time, per worker.
const TURNED_AWAY: usize = 256;

/// The answer to a connection too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 33\r\n\r\n{\"detail\":\"too many connections\"}\n";

/// What clients are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Threads that serve.
    pub workers: usize,
    /// How long a request's head may take to arrive.
    pub head: Duration,
    /// How long a connection may say nothing between two requests.
    pub idle: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write: Duration,
    /// Connections at a time; one too many is answered 503.
    pub most_connections: usize,
}

/// A server for this state that listens on these addresses, and the first of them as it turned out. Serves once it
/// is awaited.
///
/// # Errors
/// What the sockets say.
pub fn listen(
    addresses: impl ToSocketAddrs,
    bounds: Bounds,
    state: Data<ApiState>,
) -> io::Result<(Server, SocketAddr)> {
    let places = Arc::new(Semaphore::new(bounds.most_connections.min(Semaphore::MAX_PERMITS)));
    let mut server = ServerBuilder::new()
        .workers(bounds.workers)
        .max_concurrent_connections(bounds.most_connections.saturating_add(TURNED_AWAY))
        .shutdown_timeout(LAST_WORDS.as_secs())
        .disable_signals();
    let mut first = None;
    for socket in bind(addresses)? {
        let address = socket.local_addr()?;
        first.get_or_insert(address);
        let (state, places, stopping) = (state.clone(), places.clone(), server.graceful_shutdown_signal());
        server = server.listen("http", socket, move || {
            let (state, places, stopping) = (state.clone(), places.clone(), stopping.clone());
            let application = super::app(state, |_| {}).into_factory();
            let application = application.map_err(|error| error.error_response());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KeepAlive::Timeout(bounds.idle))
                .client_request_timeout(bounds.head)
                .client_disconnect_timeout(GOODBYE)
                // A client that has gone is noticed at once, not at the next word it is sent: its run may end with it.
                .h1_allow_half_closed(false)
                .h1_write_buffer_size(GATHERED_BYTES)
                .local_addr(address)
                .on_connect_ext(|connection: &Paced, beside| {
                    beside.insert::<Floor>(connection.floor());
                })
                .h1(map_config(application, |_| AppConfig::default()));
            fn_service(move |io: TcpStream| {
                let place = places.clone().try_acquire_owned();
                async move {
                    let Ok(place) = place else { return Err(turn_away(io).await) };
                    let client = io.peer_addr().ok();
                    Ok((Paced::new(io, bounds.head, bounds.write, place), client))
                }
            })
            .and_then(http)
        })?;
    }
    let first = first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nothing to listen on"))?;
    Ok((server.run(), first))
}

/// Listens on every address that can be had; fails only if none can.
fn bind(addresses: impl ToSocketAddrs) -> io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::new();
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.to_socket_addrs()? {
        match bind_one(address) {
            Ok(socket) => sockets.push(socket),
            Err(error) => refused = error,
        }
    }
    if sockets.is_empty() { Err(refused) } else { Ok(sockets) }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Tells a client that there are too many. It gets a moment to read that before the connection is gone.
async fn turn_away(mut io: TcpStream) -> DispatchError {
    let telling = async {
        io.write_all(TOO_MANY).await?;
        io.shutdown().await?;
        let mut unread = [0; 1024];
        while io.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Whether it was heard or not: the connection ends here.
    let _heard = tokio::time::timeout(GOODBYE, telling).await;
    DispatchError::Io(io::ErrorKind::ConnectionRefused.into())
}
