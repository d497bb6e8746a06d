//! Many connections that say nothing do no harm.

use futures::stream::{self, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::{Server, Setup};
use crate::promise::Order;
use crate::vitals::Vitals;

/// What one may cost, in KiB.
const MOST_KIB: u64 = 64;

/// So many connections that have asked once and then say nothing.
pub(crate) async fn idle(order: Order) -> String {
    let model = ModelServer::answering(|_| says("Nothing holds me up.")).await;
    let server = Setup::default().model(&model.url()).config("[server]\nidle_seconds = 3600").start().await;
    let before = Vitals::of(server.process());
    let server_now = &server;
    let open = stream::iter(0..order.count).map(|_| connection(server_now)).buffer_unordered(64);
    let idle: Vec<TcpStream> = open.collect().await;
    let during = Vitals::of(server.process());
    assert_eq!(server.get("/health").await.0, 200);
    let (status, run) = server.form("/agents/plain/runs", &[("message", "Hello"), ("stream", "false")]).await;
    assert_eq!((status, run["content"].as_str()), (200, Some("Nothing holds me up.")));
    let each = (during.kib - before.kib) / order.count;
    assert!(each < MOST_KIB, "an idle connection costs {each} KiB");
    let held = during.files - before.files;
    drop(idle);
    format!("{held} idle connections cost {each} KiB each, a run goes on beside them")
}

async fn connection(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).await.unwrap();
    socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    socket
}
