//! P26: more than the server takes is refused at once and in good order; what it takes comes to its end.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::dice::Dice;
use crate::harness::model_server::{ModelServer, Reply, words};
use crate::harness::server::{Server, Setup, events, to_end};
use crate::promise::{Order, completed};

/// Caps far below what comes.
const CAPS: &str = "[server]\nmost_streams = 30\n[runs]\nmost_at_once = 40\nqueue_depth = 3";

/// Clients that ask at the same time.
const CLIENTS: usize = 200;

/// What came of asking for a run.
enum Came {
    /// Accepted: its run and session.
    Accepted(String, String),
    /// Refused, after this time.
    Refused(Duration),
}

/// So many starts, all at once.
pub(crate) async fn overload(order: Order) -> String {
    let model = ModelServer::answering(|_| {
        Reply::SlowPieces(words("one two three four five six "), Duration::from_millis(20))
    })
    .await;
    let server = Setup::default().model(&model.url()).config(CAPS).start().await;
    let mut dice = Dice::new(order.seed);
    let asks: Vec<_> = (0..order.count).map(|_| (dice.below(3), dice.below(40))).collect();
    let asked = stream::iter(asks).map(|(kind, session)| ask(&server, kind, session));
    let asked = asked.buffer_unordered(CLIENTS).collect::<Vec<_>>();
    let mut slowest = Duration::ZERO;
    let came = tokio::select! {
        came = asked => came,
        () = health(&server, &mut slowest) => unreachable!("it never ends"),
    };
    let mut refused = Vec::new();
    let mut accepted = 0;
    for came in came {
        match came {
            Came::Refused(time) => refused.push(time),
            Came::Accepted(run, session) => {
                accepted += 1;
                completed(&server, &run, &session).await;
            }
        }
    }
    refused.sort();
    assert!(!refused.is_empty(), "nothing was refused: no overload");
    let p99 = refused[refused.len() * 99 / 100];
    let most = if order.count >= 10_000 { Duration::from_millis(500) } else { Duration::from_secs(5) };
    assert!(p99 < most, "a refusal took {p99:?}");
    format!(
        "of {} runs {accepted} were taken and came to their end, {} were refused (p50 {:?}, p99 {p99:?}), health \
         took {slowest:?} at most",
        order.count,
        refused.len(),
        refused[refused.len() / 2],
    )
}

async fn ask(server: &Server, kind: u64, session: u64) -> Came {
    let (stream, background) = [("true", "false"), ("false", "false"), ("false", "true")][kind as usize];
    let session = format!("s{session}");
    let mut form = vec![("message", "Hello"), ("stream", stream), ("background", background)];
    // Some all in the same few sessions, whose queues are short; the others alone.
    if session.len() < 3 {
        form.push(("session_id", &session));
    }
    let begun = Instant::now();
    let response = server.send_form("/agents/plain/runs", &form).await;
    let (status, time) = (response.status().as_u16(), begun.elapsed());
    if matches!(status, 429 | 503) {
        assert!(response.headers().contains_key("retry-after"), "{status} without Retry-After");
        let body: Value = response.json().await.unwrap();
        assert!(body["detail"].is_string(), "{body}");
        return Came::Refused(time);
    }
    assert!(matches!(status, 200 | 202), "answered {status}");
    let body = match stream {
        "true" => to_end(events(response)).await.pop().unwrap(),
        _ => response.json().await.unwrap(),
    };
    if stream == "true" {
        assert_eq!(body["event"], "RunCompleted", "{body}");
    }
    let named = |name: &str| body[name].as_str().unwrap().to_owned();
    Came::Accepted(named("run_id"), named("session_id"))
}

/// Asks again and again, and notes what took longest.
async fn health(server: &Server, slowest: &mut Duration) {
    loop {
        let begun = Instant::now();
        assert_eq!(server.get("/health").await.0, 200);
        *slowest = begun.elapsed().max(*slowest);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
