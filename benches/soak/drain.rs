//! P12: told to end, a server ends well and in time, whatever goes on; what it took comes to its end after the next
//! start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{join, join_all};

use crate::dice::Dice;
use crate::harness::model_server::{ModelServer, Reply, says, words};
use crate::harness::server::{Server, Setup, events};
use crate::promise::{Order, completed};

/// What runs get.
const DRAIN: Duration = Duration::from_secs(1);

/// What the server gets beside.
const BESIDE: Duration = Duration::from_secs(5);

/// Clients at a time.
const CLIENTS: u64 = 12;

/// So many ends, each at a random moment under load.
pub(crate) async fn drain(order: Order) -> String {
    let calm = Arc::new(AtomicBool::new(false));
    let (is_calm, mut dice) = (calm.clone(), Dice::new(order.seed));
    let model = ModelServer::answering(move |_| match dice.below(4) {
        _ if is_calm.load(Ordering::Relaxed) => says("A whole answer."),
        0 => Reply::HangMidStream(words("Half an ")),
        1 => Reply::HangBeforeHead,
        _ => Reply::SlowPieces(words("one two three "), Duration::from_millis(dice.below(300))),
    })
    .await;
    let config = format!("[runs]\ndrain_seconds = {}", DRAIN.as_secs());
    let mut server = Setup::default().model(&model.url()).config(&config).start().await;
    let mut dice = Dice::new(order.seed);
    let (mut slowest, mut taken) = (Duration::ZERO, 0);
    for round in 0..order.count {
        calm.store(false, Ordering::Relaxed);
        let asks: Vec<_> = (0..CLIENTS).map(|_| (dice.below(3), dice.below(400))).collect();
        let load = join_all(asks.into_iter().map(|(kind, wait)| ask(&server, kind, wait)));
        let moment = Duration::from_millis(dice.below(400));
        let end = async {
            tokio::time::sleep(moment).await;
            server.terminate();
            Instant::now()
        };
        let (runs, told) = join(load, end).await;
        assert_eq!(server.code().await, Some(0), "round {round} of seed {}", order.seed);
        slowest = slowest.max(told.elapsed());
        calm.store(true, Ordering::Relaxed);
        server.restart().await;
        for (run, session) in runs.into_iter().flatten() {
            taken += 1;
            completed(&server, &run, &session).await;
        }
    }
    assert!(slowest < DRAIN + BESIDE, "an end took {slowest:?}");
    format!("{} ends under load, the slowest after {slowest:?}; {taken} runs came to their end", order.count)
}

/// Asks for a run after a while, and reads as long as there is something; which run it was, if it was taken.
async fn ask(server: &Server, kind: u64, wait: u64) -> Option<(String, String)> {
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let (stream, background) = [("true", "true"), ("true", "false"), ("false", "true")][kind as usize];
    let form = [("message", "Hello"), ("stream", stream), ("background", background)];
    let body = serde_urlencoded::to_string(form).unwrap();
    let request = server.request(reqwest::Method::POST, "/agents/plain/runs").body(body);
    // A server that has ended takes no connection.
    let response = request.header("content-type", "application/x-www-form-urlencoded").send().await.ok()?;
    let named = |body: &serde_json::Value, name: &str| body[name].as_str().map(str::to_owned);
    match response.status().as_u16() {
        200 => {
            let mut events = events(response);
            let first = events.next().await?;
            let last = events.collect::<Vec<_>>().await.pop();
            let last = last.as_ref().and_then(|event| event["event"].as_str());
            let told = matches!(last, Some("RunCompleted" | "RunCancelled" | "error"));
            assert!(told, "a stream ended without a word: {last:?}");
            Some((named(&first, "run_id")?, named(&first, "session_id")?))
        }
        202 => {
            let body = response.json().await.unwrap();
            Some((named(&body, "run_id")?, named(&body, "session_id")?))
        }
        503 => None,
        other => panic!("answered {other}"),
    }
}
