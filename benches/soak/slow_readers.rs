//! P11: readers that are stuck hold up nobody, and cost next to nothing.

use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::model_server::{Gate, ModelServer, Reply};
use crate::harness::server::{Server, Setup, TOKEN, events, text, to_end, until};
use crate::promise::Order;
use crate::vitals::Vitals;

/// Readers that keep up.
const READERS: usize = 3;

/// What the stuck ones may cost together.
const MOST_MIB: u64 = 32;

/// What those may cost that come when all is over, some of them for the second half.
const MOST_LATE_MIB: u64 = 32;

/// Rounds without stuck readers, after which memory stays where it is.
const WARM_UP: usize = 3;

/// So many readers that read nothing while a run goes on, and so many after it; of some 20 MB at the full count.
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
pub(crate) async fn slow_readers(order: Order) -> String {
    let pieces = usize::try_from(order.count).unwrap() * 1300;
    let answer = vec!["twenty words or so ".repeat(10); pieces];
    let said = answer.clone();
    let (opened, gates) = std::sync::mpsc::channel();
    let model = ModelServer::answering(move |_| {
        let gate = Gate::closed();
        opened.send(gate.clone()).unwrap();
        Reply::Gated(vec!["> ".into()], gate, said.clone())
    })
    .await;
    let server = Setup::default().model(&model.url()).config("[store.sled]\ncache_mib = 16").start().await;
    let expected = format!("> {}", answer.concat());
    let (mut before, mut during, mut after, mut bytes, mut without) = (0, 0, 0, 0, 0);
    for round in 0..=WARM_UP {
        let form = [("message", "Go"), ("stream", "true"), ("background", "true")];
        let mut starter = server.stream("plain", &form).await;
        let first = until(&mut starter, "RunContent").await;
        let path = format!("/agents/plain/runs/{}/resume", first[0]["run_id"].as_str().unwrap());
        let mut stuck = Vec::new();
        without = u64::saturating_sub(during, before) / 1024;
        before = Vitals::of(server.process()).kib;
        if round == WARM_UP {
            for _ in 0..order.count {
                stuck.push(stuck_reader(&server, &path, None).await);
            }
        }
        let session = [("session_id", first[0]["session_id"].as_str().unwrap())];
        let readers = join_all((0..READERS).map(|_| server.send_form(&path, &session))).await;
        gates.recv().unwrap().open();
        let seen = join_all(readers.into_iter().map(|reader| to_end(events(reader)))).await;
        for events in &seen {
            assert_eq!(text(events).len(), expected.len(), "a reader missed something");
            assert!(text(events) == expected, "a reader got something else");
        }
        bytes = seen[0].iter().map(|event| event.to_string().len() + 30).sum();
        to_end(starter).await;
        during = Vitals::of(server.process()).kib;
        if round == WARM_UP {
            // As many again, who come when all is over; every other one has the first half.
            for number in 0..order.count {
                let has = (number % 2 == 1).then_some(seen[0].len() / 2);
                stuck.push(stuck_reader(&server, &path, has).await);
            }
            // They have been told where they stand, and so all that was read to find it.
            join_all(stuck.iter().map(TcpStream::readable)).await;
            let late = server.send_form(&path, &session).await;
            assert!(text(&to_end(events(late)).await) == expected, "a late reader got something else");
        }
        after = Vitals::of(server.process()).kib;
        drop(stuck);
    }
    // The run itself costs something too, as the round before shows.
    let cost = (during.saturating_sub(before) / 1024).saturating_sub(without);
    let late = after.saturating_sub(during) / 1024;
    assert!(cost < MOST_MIB, "stuck readers cost {cost} MiB");
    assert!(late < MOST_LATE_MIB, "readers that came late and are stuck cost {late} MiB");
    format!(
        "{} readers stuck on {} MB cost {cost} MiB beside the {without} of the run, as many that came late {late} MiB; \
         the others got everything",
        order.count,
        bytes / 1_000_000
    )
}

/// Asks for what follows an event, or for everything, and reads nothing of it.
async fn stuck_reader(server: &Server, path: &str, has: Option<usize>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n");
    let last = has.map_or_else(String::new, |has| format!("Last-Event-ID: {has}\r\n"));
    socket.write_all((head + &last + "Content-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
    socket
}
