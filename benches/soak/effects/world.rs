//! A little server to which things happen: it remembers under which key, and answers only a while later.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

/// Between the request and what it does, and between that and the answer.
const PAUSE: Duration = Duration::from_millis(20);

/// Path and key of each thing that happened.
type Happened = Arc<Mutex<Vec<(String, String)>>>;

/// The server; it ends when this is dropped.
pub(super) struct World {
    happened: Happened,
    url: String,
    task: AbortHandle,
}

impl World {
    /// On a free port.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let happened = Happened::default();
        let task = tokio::spawn(accept(listener, happened.clone())).abort_handle();
        Self { happened, url, task }
    }

    /// Where it is, without a slash at the end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Path and key of each thing that happened, in order.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        self.happened.lock().unwrap().clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, happened: Happened) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(serve(socket, happened.clone()));
    }
}

/// Serves one request. That its client is gone meanwhile changes nothing: so it is in the world.
async fn serve(mut socket: TcpStream, happened: Happened) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let key = fields.find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
    let key = key.expect("each call names its key").1.to_owned();
    sleep(PAUSE).await;
    happened.lock().unwrap().push((path, key));
    sleep(PAUSE).await;
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone").await
}
