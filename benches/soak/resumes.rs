//! P6: a client that returns with its last number gets exactly the rest, whatever happened meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, ready};
use futures::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::{RwLock, watch};
use tokio::time::timeout;

use crate::dice::Dice;
use crate::harness::model_server::{ModelServer, Reply, Request, words};
use crate::harness::server::{PATIENCE, Server, Setup, to_end};
use crate::promise::Order;

/// Runs at a time, each with so many readers.
const RUNS: u64 = 3;
const READERS: u64 = 3;
/// Fewer than would make a run give its question up.
const KILLS_A_ROUND: u64 = 2;
/// About as many events as a round shows; somewhere among them the server is killed.
const EVENTS_A_ROUND: u64 = 500;
/// A connection is cut after fewer bytes than this.
const CUT_BYTES: u64 = 6000;

const WORKER: &str = "---\nmodel: test/model\ntools:\n  - name: work\n    description: Works.\n    kind: process\n    \
                      command: [sh, -c, 'sleep 0.03; echo done']\n    \
                      parameters: {type: object, properties: {}}\n    effect: idempotent\n---\nYou work.\n";

/// Says much, works, says much, works, and ends slowly.
fn answer(request: &Request) -> Reply {
    let messages = request.body["messages"].as_array().unwrap();
    let worked = messages.iter().filter(|message| message["role"] == "tool").count();
    let text = "word after word after word and then there is some work to be done ";
    if worked < 2 {
        return Reply::SayThenCalls(words(text), vec![("work".into(), json!({}))]);
    }
    Reply::SlowPieces(words(&text.repeat(4)), Duration::from_millis(3))
}

/// What the readers and whoever kills the server share.
struct Scene {
    server: RwLock<Server>,
    seed: u64,
    cuts: watch::Sender<u64>,
    shown: watch::Sender<u64>,
}

/// At least `count` cuts, and a kill for each ten of them.
pub(crate) async fn resumes(order: Order) -> String {
    let model = ModelServer::answering(answer).await;
    let server = Setup::default().model(&model.url()).agent("worker", WORKER).start().await;
    let scene = Arc::new(Scene {
        server: RwLock::new(server),
        seed: order.seed,
        cuts: watch::Sender::new(0),
        shown: watch::Sender::new(0),
    });
    let (mut kills, mut runs, mut superseded) = (0, 0, 0);
    let mut dice = Dice::new(order.seed);
    while *scene.cuts.borrow() < order.count || kills < (order.count / 10).max(3) {
        let readers = join_all((0..RUNS).map(|number| followed(&scene, runs + number)));
        let followed = tokio::select! {
            followed = readers => followed,
            never = killed(&scene, &mut dice, &mut kills) => match never {},
        };
        superseded += followed.iter().sum::<usize>();
        runs += RUNS;
    }
    model.assert_clean();
    let (cuts, shown) = (*scene.cuts.borrow(), *scene.shown.borrow());
    format!(
        "{cuts} cuts and {kills} kills among {runs} runs with {READERS} readers each: {shown} events shown, \
         0 lost, 0 doubled, {superseded} attempts superseded"
    )
}

/// Kills the server at random moments of a round, then lets it be.
async fn killed(scene: &Scene, dice: &mut Dice, kills: &mut u64) -> std::convert::Infallible {
    for _ in 0..KILLS_A_ROUND {
        let at = *scene.shown.borrow() + 1 + dice.below(EVENTS_A_ROUND);
        scene.shown.subscribe().wait_for(|shown| *shown >= at).await.unwrap();
        let mut server = scene.server.write().await;
        server.kill();
        *kills += 1;
        server.restart().await;
    }
    std::future::pending().await
}

/// Starts a run, follows it with several readers to its end, and compares them with a replay from the start; how
/// often a model was asked again.
async fn followed(scene: &Arc<Scene>, number: u64) -> usize {
    let session = format!("s{number}");
    let (run, begun) = begin(scene, &session).await;
    let begun = Reader::new(scene, number * READERS, &run).begin(begun);
    let others = (1..READERS).map(|other| Reader::new(scene, number * READERS + other, &run).read());
    let (first, others) = timeout(PATIENCE, async { tokio::join!(begun, join_all(others)) })
        .await
        .unwrap_or_else(|_| panic!("a reader of run {run} never came to its end"));

    let server = scene.server.read().await;
    let response = server.send_form(&format!("/agents/worker/runs/{run}/resume"), &[]).await;
    let replay = to_end(frames(response).filter_map(|frame| ready(event_in(&frame)))).await;
    drop(server);
    for (at, reader) in std::iter::once(&first).chain(&others).enumerate() {
        assert_eq!(*reader, replay, "reader {at} of run {run} and a replay differ");
    }
    superseded(&replay)
}

/// The run and its own stream.
async fn begin(scene: &Scene, session: &str) -> (String, Response) {
    let server = scene.server.read().await;
    let fields = [("message", "Go"), ("session_id", session), ("background", "true")];
    let response = server.send_form("/agents/worker/runs", &fields).await;
    assert_eq!(response.status(), 200);
    let (_, runs) = server.get(&format!("/agents/worker/runs?session_id={session}")).await;
    (runs[0]["run_id"].as_str().unwrap().to_owned(), response)
}

/// Looks at a run as a client would: what was superseded is dropped, and the rest is the answer. How often.
fn superseded(replay: &[Value]) -> usize {
    let (mut whole, mut attempt, mut asked, mut dropped) = (String::new(), String::new(), 0, 0);
    for event in replay {
        match event["event"].as_str().unwrap() {
            "ModelRequestStarted" => asked += 1,
            "RunContent" => attempt.push_str(event["content"].as_str().unwrap()),
            "ModelRequestCompleted" => whole.push_str(&std::mem::take(&mut attempt)),
            "CustomEvent" => {
                assert_eq!(event["kind"], "attempt_superseded");
                attempt.clear();
                dropped += 1;
            }
            _ => {}
        }
    }
    let last = replay.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&"RunCompleted".into(), &whole.into()));
    assert_eq!(asked, 3 + dropped, "three questions, and those that were asked again");
    dropped
}

/// A client that cuts its connection again and again.
struct Reader {
    scene: Arc<Scene>,
    dice: Dice,
    run: String,
    has: Vec<Value>,
}

impl Reader {
    fn new(scene: &Arc<Scene>, number: u64, run: &str) -> Self {
        let dice = Dice::new(scene.seed.wrapping_add(number.wrapping_mul(0x5851_f42d_4c95_7f2d)));
        Self { scene: scene.clone(), dice, run: run.into(), has: Vec::new() }
    }

    /// Begins with the run's own stream.
    async fn begin(mut self, response: Response) -> Vec<Value> {
        self.watch(response).await;
        self.read().await
    }

    /// Reads on until the run's end.
    async fn read(mut self) -> Vec<Value> {
        while !self.has.last().is_some_and(|last| last["event"] == "RunCompleted") {
            let scene = self.scene.clone();
            let request = self.request(&*scene.server.read().await);
            // Nobody is there while the server is being started again.
            if let Ok(response) = request.send().await {
                assert_eq!(response.status(), 200);
                self.watch(response).await;
            }
        }
        self.has
    }

    /// Says where it stands, in one of the two ways there are.
    fn request(&mut self, server: &Server) -> RequestBuilder {
        let request = server.request(Method::POST, &format!("/agents/worker/runs/{}/resume", self.run));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let Some(last) = self.has.last().map(|last| last["event_index"].to_string()) else {
            return request.body("");
        };
        if self.dice.chance(50) {
            return request.header("last-event-id", last).body("");
        }
        request.body(format!("last_event_index={last}"))
    }

    /// Reads until it cuts the connection itself, be it in the middle of a frame, or the connection is gone.
    async fn watch(&mut self, response: Response) {
        let mut left = self.dice.below(CUT_BYTES);
        let mut frames = frames(response);
        while let Some(frame) = frames.next().await {
            let length = frame.len() as u64;
            if length > left {
                self.scene.cuts.send_modify(|cuts| *cuts += 1);
                return;
            }
            left -= length;
            if let Some(event) = event_in(&frame) {
                assert_eq!(event["event_index"], self.has.len(), "of run {}: {event}", self.run);
                self.has.push(event);
                self.scene.shown.send_modify(|shown| *shown += 1);
            }
        }
    }
}

/// The event in a whole frame; comments and frames about the stream itself hold none.
fn event_in(frame: &str) -> Option<Value> {
    let data = frame.lines().find_map(|line| line.strip_prefix("data: "))?;
    let event: Value = serde_json::from_str(data).unwrap();
    let number = event.get("event_index")?;
    let id = frame.lines().find_map(|line| line.strip_prefix("id: "));
    assert_eq!(id, Some(number.to_string().as_str()), "{frame}");
    Some(event)
}

/// Whole frames; what is left of one when the stream ends is dropped.
fn frames(response: Response) -> impl Stream<Item = String> + Unpin {
    let bytes = Box::pin(response.bytes_stream());
    Box::pin(futures::stream::unfold((bytes, Vec::<u8>::new()), |(mut bytes, mut text)| async move {
        loop {
            if let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = text.drain(..end + 2).collect();
                return Some((String::from_utf8(frame).unwrap(), (bytes, text)));
            }
            text.extend(bytes.next().await?.ok()?);
        }
    }))
}
