//! A server under mixed load for a long time: memory and open files stay flat, and no run is left behind.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::harness::model_server::{ModelServer, Reply, Request, calls, fails, says, words};
use crate::harness::server::{Server, Setup, events, to_end};
use crate::promise::Order;
use crate::vitals::Vitals;

/// Clients at a time.
const CLIENTS: u64 = 16;

/// Sessions they share: few, and often deleted, so that what is stored soon stays as much as it is.
const SESSIONS: u64 = 40;

/// What a client thinks of between two things it does, at most.
const PAUSE: u64 = 100;

/// From this length on, in seconds, memory is held to be flat: before, there is too little to compare.
const LONG: u64 = 600;

/// When the server is warm.
const WARM: Duration = Duration::from_secs(180);

/// An agent with tools, which models call now and then.
const ADDER: &str = "---\nmodel: test/model\ncapabilities: [test_math]\n---\nYou add.\n";

/// So many seconds of everything.
pub(crate) async fn mixed(order: Order) -> String {
    let mut dice = Dice::new(order.seed);
    let model = ModelServer::answering(move |request| reply(&mut dice, request)).await;
    // What the store caches of what it holds grows until the cache is full: a small one soon is.
    let setup = Setup::default().model(&model.url()).config("[store.sled]\ncache_mib = 8");
    let setup = setup.agent("adder", ADDER).env("RUNHOLD_LOG", "error");
    let server = setup.start().await;
    let end = Instant::now() + Duration::from_secs(order.count);
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client { server: &server, dice: Dice::new(order.seed ^ (number << 40)), done: 0 };
        async move {
            while Instant::now() < end {
                client.act().await;
                tokio::time::sleep(Duration::from_millis(client.dice.below(PAUSE))).await;
            }
            client.done
        }
    });
    let (done, seen) = tokio::join!(join_all(clients), watch(&server, &model, end));
    let left = unfinished(&server).await;
    assert_eq!(left, Vec::<Value>::new(), "runs are left behind");
    let text: Vec<String> =
        seen.iter().map(|(at, vitals)| format!("{at}s {}M {}f", vitals.mib(), vitals.files)).collect();
    println!("        {}", text.join(", "));
    let (warm, last) = flat(&seen, order.count);
    format!(
        "{} s, {} things done: memory {} to {} MiB, open files {} to {}",
        order.count,
        done.iter().sum::<u64>(),
        warm.mib(),
        last.mib(),
        warm.files,
        last.files
    )
}

/// Memory and files when the server was warm, and the most at the end.
fn flat(seen: &[(u64, Vitals)], seconds: u64) -> (Vitals, Vitals) {
    let most = |part: &[(u64, Vitals)]| Vitals {
        kib: part.iter().map(|(_, vitals)| vitals.kib).max().unwrap(),
        files: part.iter().map(|(_, vitals)| vitals.files).max().unwrap(),
    };
    let warm = WARM.as_secs().min(seconds / 3);
    let is_then =
        |from: u64| move |(at, _): &&(u64, Vitals)| *at >= from && *at < from + seconds.min(600) / 10;
    let part = |from: u64| seen.iter().filter(is_then(from)).copied().collect::<Vec<_>>();
    let (begin, end) = (most(&part(warm)), most(&seen[seen.len() - seen.len().div_ceil(10)..]));
    if seconds >= LONG {
        assert!(end.kib * 10 < begin.kib * 11, "memory grew from {} to {} MiB", begin.mib(), end.mib());
        assert!(end.files <= begin.files + 32, "open files grew from {} to {}", begin.files, end.files);
    }
    (begin, end)
}

/// Looks at the server again and again.
async fn watch(server: &Server, model: &ModelServer, end: Instant) -> Vec<(u64, Vitals)> {
    let begun = Instant::now();
    let step = (end - begun).min(Duration::from_secs(600)) / 60;
    let mut seen = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(step).await;
        seen.push((begun.elapsed().as_secs(), Vitals::of(server.process())));
        model.forget();
    }
    seen
}

/// What the model does: mostly well, sometimes not.
fn reply(dice: &mut Dice, request: &Request) -> Reply {
    let last = request.body["messages"].as_array().and_then(|messages| messages.last());
    let has_tools = request.body["tools"].is_array() && last.is_some_and(|last| last["role"] == "user");
    match dice.below(20) {
        0 => fails(400, "bad", "no"),
        1 => Reply::CutStream(words("Half an ")),
        2 => Reply::NoFinishReason(words("Half an ")),
        3 => Reply::Say(vec!["more and more ".repeat(20); 200]),
        4..=6 => Reply::SlowPieces(words("one two three four five "), Duration::from_millis(30)),
        7..=14 if has_tools => calls([("add", json!({"a": 1, "b": 2}))]),
        _ => says("It is well."),
    }
}

struct Client<'a> {
    server: &'a Server,
    dice: Dice,
    done: u64,
}

impl Client<'_> {
    /// Does one thing.
    async fn act(&mut self) {
        let session = format!("s{}", self.dice.below(SESSIONS));
        match self.dice.below(22) {
            0..=5 => self.run(&session, "true", "false").await,
            6..=9 => self.run(&session, "false", "false").await,
            10 => self.run(&session, "false", "true").await,
            11 | 12 => self.leave(&session, "false").await,
            13 | 14 => self.resume(&session).await,
            15 => self.cancel(&session).await,
            16 => self.ask(Method::GET, "/sessions?limit=50", None, &[200]).await,
            17 => {
                let path = format!("/sessions/{session}?type=agent");
                let change = json!({"session_state": {"seen": self.dice.below(9)}});
                self.ask(Method::PATCH, &path, Some(change), &[200, 404, 409]).await;
            }
            18 => {
                let path = format!("/sessions/{session}/rename?type=agent");
                self.ask(Method::POST, &path, Some(json!({"session_name": "another"})), &[200, 404, 409])
                    .await;
            }
            _ => self.ask(Method::DELETE, &format!("/sessions/{session}"), None, &[204, 404]).await,
        }
        self.done += 1;
    }

    async fn start(&mut self, session: &str, stream: &str, background: &str) -> reqwest::Response {
        let agent = if self.dice.chance(40) { "adder" } else { "plain" };
        let form =
            [("message", "Hello"), ("session_id", session), ("stream", stream), ("background", background)];
        let response = self.server.send_form(&format!("/agents/{agent}/runs"), &form).await;
        let status = response.status().as_u16();
        assert!(matches!(status, 200 | 202 | 404 | 409 | 429), "a start was answered {status}");
        response
    }

    /// A run to its end.
    async fn run(&mut self, session: &str, stream: &str, background: &str) {
        let response = self.start(session, stream, background).await;
        if stream == "true" && response.status() == 200 {
            to_end(events(response)).await;
        } else {
            let _body = response.bytes().await.unwrap();
        }
    }

    /// A run whose client goes away.
    async fn leave(&mut self, session: &str, background: &str) {
        let response = self.start(session, "true", background).await;
        if response.status() == 200 {
            let _seen = events(response).take(2).count().await;
        }
    }

    /// A run in the background, left and taken up again.
    async fn resume(&mut self, session: &str) {
        let Some((path, index)) = self.begin(session).await else { return };
        let form = [("session_id", session), ("last_event_index", index.as_str())];
        let response = self.server.send_form(&format!("{path}/resume"), &form).await;
        if response.status() == 200 {
            to_end(events(response)).await;
        }
    }

    async fn cancel(&mut self, session: &str) {
        let Some((path, _)) = self.begin(session).await else { return };
        self.ask(Method::POST, &format!("{path}/cancel"), None, &[200]).await;
    }

    /// Begins a run in the background: its path, and the number of an event seen.
    async fn begin(&mut self, session: &str) -> Option<(String, String)> {
        let response = self.start(session, "true", "true").await;
        if response.status() != 200 {
            return None;
        }
        let mut events = events(response);
        let first = events.next().await?;
        let index = events.next().await.map_or(0, |event| event["event_index"].as_u64().unwrap_or_default());
        let (agent, run) = (first["agent_id"].as_str()?, first["run_id"].as_str()?);
        Some((format!("/agents/{agent}/runs/{run}"), index.to_string()))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>, good: &[u16]) {
        let mut request = self.server.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        assert!(good.contains(&status), "{method} {path} was answered {status} {body}");
    }
}

/// Runs that have not ended, some time after nobody asks for anything any more.
async fn unfinished(server: &Server) -> Vec<Value> {
    let mut left = Vec::new();
    for _ in 0..100 {
        left.clear();
        for session in 0..SESSIONS {
            let path = format!("/agents/plain/runs?session_id=s{session}&status=RUNNING&status=PENDING");
            let (_, plain) = server.get(&path).await;
            let (_, adder) = server.get(&path.replace("plain", "adder")).await;
            left.extend([plain, adder].iter().filter_map(Value::as_array).flatten().cloned());
        }
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    left
}
