//! P8: what a tool does to the world happens once, or is openly in doubt, whenever the process dies: the model is
//! told, or a person is asked.

mod world;

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use self::world::World;
use crate::dice::Dice;
use crate::harness::model_server::{ModelServer, Reply, Request};
use crate::harness::server::{PATIENCE, Server, Setup, events};
use crate::promise::Order;

/// A round's runs call all their tools in about this many milliseconds; the server is killed somewhere among them.
const ROUND_MILLIS: u64 = 400;
/// From the answer of a person to the call it allows, and some more.
const CONFIRMED_MILLIS: u64 = 120;

/// What the model asks for, question by question; then it is done.
fn answer(request: &Request) -> Reply {
    let messages = request.body["messages"].as_array().unwrap();
    let asked = messages.iter().filter(|message| message["tool_calls"].is_array()).count();
    let offered = request.body["tools"].as_array().unwrap();
    let is_offered = |name: &str| offered.iter().any(|tool| tool["function"]["name"] == name);
    let script: &[&[&str]] = if is_offered("confirmed_write") {
        &[&["confirmed_write"], &["write_once"]]
    } else {
        &[&["write_once"], &["post_once", "write_again"], &["post_again", "write_once"], &["post_once"]]
    };
    match script.get(asked) {
        Some(tools) => Reply::Calls(tools.iter().map(|name| ((*name).into(), json!({}))).collect()),
        None => Reply::Say(vec!["Done.".into()]),
    }
}

/// A tool that leaves its key in a file of its own name, in the middle of what it does.
fn writes(name: &str, more: &str) -> String {
    format!(
        "  - name: {name}\n    description: Writes.\n    kind: process\n    command: [sh, -c, \
         'sleep 0.02; echo \"$RUNHOLD_IDEMPOTENCY_KEY\" >> ../{name}; sleep 0.02; echo done']\n    {more}\n"
    )
}

/// A tool that leaves its key with a server.
fn posts(name: &str, world: &World, more: &str) -> String {
    format!(
        "  - name: {name}\n    description: Posts.\n    kind: http\n    method: POST\n    url: {}/{name}\n    \
         allow_private: [127.0.0.1]\n    {more}\n",
        world.url()
    )
}

fn agent(tools: &[String]) -> String {
    format!("---\nmodel: test/model\ntools:\n{}---\nYou do as you are told.\n", tools.concat())
}

/// What was seen in all.
#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    doubts: usize,
    happened: usize,
    repeated: usize,
}

/// `count` kills: while tools are being called, and between a confirmation and its call.
pub(crate) async fn effects(order: Order) -> String {
    let world = World::start().await;
    let model = ModelServer::answering(answer).await;
    let (once, again) = ("effect: once", "effect: idempotent");
    let doer = agent(&[
        writes("write_once", once),
        writes("write_again", again),
        posts("post_once", &world, once),
        posts("post_again", &world, again),
    ]);
    let gated = "effect: once\n    requires_confirmation: true";
    let asker = agent(&[writes("confirmed_write", gated), writes("write_once", once)]);
    let doubter = doer.replacen("---\n", "---\nin_doubt: ask_person\n", 1);
    let setup = Setup::default().model(&model.url()).agent("doer", &doer).agent("doubter", &doubter);
    let mut server = setup.agent("asker", &asker).start().await;

    let mut dice = Dice::new(order.seed);
    let mut runs = Vec::new();
    for round in 0..order.count {
        let agent = ["doer", "doer", "doubter", "asker"][dice.below(4) as usize];
        if agent == "asker" {
            let run = begin(&server, agent, &format!("{round}-0")).await;
            killed_beside_a_confirmation(&mut server, &run, dice.below(CONFIRMED_MILLIS)).await;
            runs.push(run);
        } else {
            for number in 0..2 {
                runs.push(begin(&server, agent, &format!("{round}-{number}")).await);
            }
            sleep(Duration::from_millis(dice.below(ROUND_MILLIS))).await;
            server.kill();
            server.restart().await;
        }
        for run in runs.iter().rev().take(2) {
            assert_eq!(end(&server, run).await["event"], "RunCompleted", "run {}", run.id);
        }
    }

    let mut seen = Seen::default();
    for run in &runs {
        judge(&server, &world, run, &mut seen).await;
    }
    let written: usize =
        ["write_once", "write_again", "confirmed_write"].iter().map(|name| lines(&server, name).len()).sum();
    assert_eq!(written + world.all().len(), seen.happened, "something happened under a key nobody gave out");
    model.assert_clean();
    format!(
        "{} kills, {} runs ended: of {} calls {} in doubt and said so, {} repeated under their key, 0 of `once` \
         twice",
        order.count,
        runs.len(),
        seen.calls,
        seen.doubts,
        seen.repeated
    )
}

struct Run {
    id: String,
    agent: &'static str,
    session: String,
}

async fn begin(server: &Server, agent: &'static str, session: &str) -> Run {
    let fields = [("message", "Go"), ("session_id", session), ("background", "true"), ("stream", "false")];
    let (status, body) = server.form(&format!("/agents/{agent}/runs"), &fields).await;
    assert_eq!(status, 202, "{body}");
    Run { id: body["run_id"].as_str().unwrap().into(), agent, session: session.into() }
}

/// The event with which a run's stream ends: of all promises the first is that it does.
async fn rest(server: &Server, run: &Run) -> Value {
    let path = format!("/agents/{}/runs/{}/resume", run.agent, run.id);
    let stream = events(server.send_form(&path, &[]).await);
    let ended = timeout(PATIENCE, stream.fold(Value::Null, async |_, event| event)).await;
    ended.unwrap_or_else(|_| panic!("run {} is stuck", run.id))
}

/// A run's last event; a doubt it waits with is left one.
async fn end(server: &Server, run: &Run) -> Value {
    loop {
        let last = rest(server, run).await;
        if last["event"] != "RunPaused" {
            return last;
        }
        assert_eq!(run.agent, "doubter", "{last}");
        let left = decision(server, run, &last, false).send().await.unwrap();
        assert_eq!(left.status(), 202);
    }
}

/// Confirms, kills the server so many milliseconds later, and sees that the confirmation holds if it was taken.
async fn killed_beside_a_confirmation(server: &mut Server, run: &Run, millis: u64) {
    let paused = rest(server, run).await;
    let confirmed = tokio::spawn(decision(server, run, &paused, true).send());
    sleep(Duration::from_millis(millis)).await;
    server.kill();
    server.restart().await;
    let taken = confirmed.await.unwrap().is_ok_and(|response| response.status() == 202);
    let now = rest(server, run).await;
    if now["event"] == "RunPaused" {
        assert!(!taken, "the confirmation of run {} was taken and is gone", run.id);
        let again = decision(server, run, &now, true).send().await.unwrap();
        assert_eq!(again.status(), 202);
    }
}

/// Says yes or no to all that a paused run waits for.
fn decision(server: &Server, run: &Run, paused: &Value, confirmed: bool) -> RequestBuilder {
    let mut tools = paused["tools"].clone();
    for tool in tools.as_array_mut().unwrap() {
        tool["confirmed"] = json!(confirmed);
    }
    let tools = tools.to_string();
    let fields = [
        ("session_id", run.session.as_str()),
        ("stream", "false"),
        ("background", "true"),
        ("tools", &tools),
    ];
    let path = format!("/agents/{}/runs/{}/continue", run.agent, run.id);
    let request = server.request(Method::POST, &path).body(serde_urlencoded::to_string(fields).unwrap());
    request.header("content-type", "application/x-www-form-urlencoded")
}

fn lines(server: &Server, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(server.path(name)).unwrap_or_default();
    text.lines().map(Into::into).collect()
}

/// Compares what each call of a run was said to have come to with what it came to.
async fn judge(server: &Server, world: &World, run: &Run, seen: &mut Seen) {
    let path = format!("/agents/{}/runs/{}?session_id={}", run.agent, run.id, run.session);
    let (_, body) = server.get(&path).await;
    for tool in body["tools"].as_array().unwrap() {
        let (name, call) = (tool["tool_name"].as_str().unwrap(), tool["tool_call_id"].as_str().unwrap());
        let key = format!("{}/{call}", run.id);
        let written = lines(server, name).into_iter().filter(|line| *line == key).count();
        let posted =
            world.all().into_iter().filter(|(path, posted)| *path == format!("/{name}") && *posted == key);
        let times = written + posted.count();
        let told = tool["result"].as_str().unwrap_or_default();
        let in_doubt = told.starts_with("It is not known whether");
        let is_once = !name.ends_with("_again");
        let what = format!("`{name}` happened {times} times under {key}, and was told as {told:?}");
        assert!(in_doubt || told.starts_with("done"), "{what}");
        assert!(is_once || !in_doubt, "{what}");
        assert!(times <= 1 || !is_once, "{what}");
        assert!(times >= 1 || in_doubt, "{what}");
        seen.calls += 1;
        seen.doubts += usize::from(in_doubt);
        seen.happened += times;
        seen.repeated += usize::from(times > 1);
    }
}
