//! A request under an `Idempotency-Key`, with the server killed at any moment and the request sent again until it is
//! answered: one effect, and one answer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::harness::server::{Server, Setup, answer};
use crate::promise::Order;

/// A server takes requests for up to so many milliseconds before it is killed.
const LONGEST_LIFE: u64 = 20;

/// Sends requests of all kinds, each under a key of its own, and kills the server under most of them.
pub(crate) async fn requests_are_carried_out_once(Order { count, seed }: Order) -> String {
    let mut dice = Dice::new(seed);
    let agent = "---\nmodel: scripted/demo\n---\nYou answer.\n";
    let mut server = Setup::default().agent("demo", agent).start().await;
    let (mut replayed, mut made) = (0, 0);
    for round in 0..count {
        let session = dice.chance(30);
        let key = format!("{seed}-{round}");
        if dice.chance(80) {
            let life = Duration::from_micros(dice.below(LONGEST_LIFE * 1000));
            let lost = tokio::time::timeout(life, send(&server, &key, session)).await;
            drop(lost);
            server.kill();
            server.restart().await;
        }
        let (again, first) = send(&server, &key, session).await.expect("an answer");
        let (second_again, second) = send(&server, &key, session).await.expect("an answer");
        assert!(second_again, "round {round}: the key was forgotten");
        assert_eq!(first, second, "round {round}: another answer");
        (replayed, made) = (replayed + u64::from(again), made + 1);
        let (_, list) = server.get("/sessions?limit=1").await;
        assert_eq!(list["meta"]["total_count"], made, "round {round}: each request makes one session");
    }
    format!("{made} requests had one effect each, {replayed} of them from before a kill")
}

/// Makes a session, or a run in one that is made for it. What it is told; an error if the server went away.
async fn send(server: &Server, key: &str, session: bool) -> reqwest::Result<(bool, Value)> {
    let path = if session { "/sessions" } else { "/agents/demo/runs" };
    let request = server.request(Method::POST, path).header("idempotency-key", key);
    let body = if session { json!({}) } else { json!({"message": "Hi", "stream": false}) };
    let response = request.json(&body).send().await?;
    let again = response.headers().contains_key("idempotency-replayed");
    let (status, mut body) = answer(response).await;
    assert!(status == 200 || status == 201, "{status}: {body}");
    Ok((again, body["session_id"].take()))
}
