//! P6 on the Everruns surface: messages that come at once, streams that are cut, a server that is killed; turns
//! come one after the other, and whoever follows has every event once.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{RwLock, watch};
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::harness::everruns::{Talk, types};
use crate::harness::model_server::{ModelServer, Reply, Request, words};
use crate::harness::server::{PATIENCE, Server, Setup};
use crate::promise::Order;

/// Conversations at a time.
const TALKS: u64 = 4;
/// Fewer than would make a run give its question up.
const KILLS_A_ROUND: u64 = 2;
/// A stream is cut after fewer frames than this.
const FRAMES: u64 = 30;

/// Adds something up before every other answer.
fn answer(request: &Request) -> Reply {
    let messages = request.body["messages"].as_array().unwrap();
    let text = "one and two and three and four and so on and on ";
    let is_new = messages.last().is_some_and(|last| last["role"] == "user");
    if is_new && messages.len() % 2 == 1 {
        return Reply::SayThenCalls(words(text), vec![("add".into(), json!({"a": 1, "b": 2}))]);
    }
    Reply::SlowPieces(words(text), Duration::from_millis(2))
}

/// What talkers, listeners and whoever kills the server share.
struct Scene {
    server: RwLock<Server>,
    cuts: watch::Sender<u64>,
}

/// So many rounds of conversations.
pub(crate) async fn conversations(order: Order) -> String {
    let model = ModelServer::answering(answer).await;
    let setup = Setup::default().config("default_model = \"test/model\"").model(&model.url());
    let scene = Arc::new(Scene { server: RwLock::new(setup.start().await), cuts: watch::Sender::new(0) });
    let mut dice = Dice::new(order.seed);
    let (mut kills, mut events, mut turns) = (0, 0, 0);
    for round in 0..order.count {
        let seeds: Vec<u64> = (0..TALKS).map(|talk| order.seed ^ (round * TALKS + talk + 1)).collect();
        let held = join_all(seeds.into_iter().map(|seed| hold(&scene, Dice::new(seed))));
        let held = tokio::select! {
            held = timeout(PATIENCE, held) => held.expect("a conversation that came to no end"),
            never = killed(&scene, &mut dice, &mut kills) => match never {},
        };
        for told in held {
            events += told.len();
            turns += types(&told).iter().filter(|kind| **kind == "turn.started").count();
        }
    }
    let cuts = *scene.cuts.borrow();
    format!(
        "{} conversations, {kills} kills, {cuts} cuts: {turns} turns, never two at once; {events} events, 0 lost, 0 doubled",
        order.count * TALKS
    )
}

/// Kills the server at random moments of a round, then lets it be.
async fn killed(scene: &Scene, dice: &mut Dice, kills: &mut u64) -> std::convert::Infallible {
    for _ in 0..KILLS_A_ROUND {
        sleep(Duration::from_millis(dice.below(600))).await;
        let mut server = scene.server.write().await;
        server.kill();
        *kills += 1;
        server.restart().await;
    }
    std::future::pending().await
}

/// Holds a conversation beside somebody who follows it; its events.
async fn hold(scene: &Scene, mut dice: Dice) -> Vec<Value> {
    let talk = Talk::with(&*scene.server.read().await, json!({"capabilities": [{"ref": "test_math"}]})).await;
    let (end, heard_to) = watch::channel(None);
    let listening = listen(scene, &talk, Dice::new(dice.below(u64::MAX)), heard_to);
    let speaking = async {
        let told = speak(scene, &talk, &mut dice).await;
        end.send_replace(told.last().cloned());
        told
    };
    let (heard, told) = tokio::join!(listening, speaking);
    assert_eq!(heard, told, "whoever followed {} and the list of its events", talk.0);
    told
}

/// Says several things at once, again and again, until nothing goes on any more.
async fn speak(scene: &Scene, talk: &Talk, dice: &mut Dice) -> Vec<Value> {
    let mut said = 0_usize;
    for _ in 0..=dice.below(2) {
        let burst = 1 + dice.below(5);
        join_all((0..burst).map(async |_| talk.say(&*scene.server.read().await, "Go on").await)).await;
        said += usize::try_from(burst).unwrap();
        sleep(Duration::from_millis(dice.below(200))).await;
    }
    while talk.status(&*scene.server.read().await).await == "active" {
        sleep(Duration::from_millis(10)).await;
    }
    let told = talk.events(&*scene.server.read().await, "").await;
    let sequences = told.iter().map(|event| event["sequence"].as_u64().unwrap());
    assert!(sequences.eq(1..=told.len() as u64), "{told:#?}");
    assert_eq!(types(&told).iter().filter(|kind| **kind == "input.message").count(), said);
    one_at_a_time(&told);
    told
}

fn one_at_a_time(told: &[Value]) {
    let mut open = 0_i32;
    for event in told {
        let kind = event["type"].as_str().unwrap();
        open += i32::from(kind == "turn.started") - i32::from(kind == "turn.completed");
        assert_ne!(kind, "turn.failed", "{event}");
        assert!((0..=1).contains(&open), "two turns at once: {:?}", types(told));
    }
    assert_eq!(open, 0, "{:?}", types(told));
}

/// Follows a conversation through cuts until it has its last event; the stored ones.
async fn listen(
    scene: &Scene,
    talk: &Talk,
    mut dice: Dice,
    end: watch::Receiver<Option<Value>>,
) -> Vec<Value> {
    let (mut heard, mut cursor) = (Vec::new(), None::<String>);
    while heard.is_empty() || heard.last() != end.borrow().as_ref() {
        let query = cursor.as_ref().map(|id| format!("?since_id={id}")).unwrap_or_default();
        let mut frames = talk.follow(&*scene.server.read().await, &query).await;
        for _ in 0..=dice.below(FRAMES) {
            // A stream on which nothing comes is left, too: the end may have been told by then.
            let Ok(Some(frame)) = timeout(Duration::from_millis(300), frames.next()).await else { break };
            let Some(id) = frame.data["id"].as_str() else { continue };
            cursor = Some(id.to_owned());
            if frame.id.is_some() {
                heard.push(frame.data);
            }
        }
        scene.cuts.send_modify(|cuts| *cuts += 1);
    }
    heard
}
