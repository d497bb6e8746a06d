//! One numbering of a run's events, whoever asks, however, and whenever: dense from 0, the same in each stream.

use futures::{StreamExt, future};
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{PATIENCE, Server, Setup, events, to_end, until};

const ADDER: &str = "---\nmodel: test/model\ncapabilities: [test_math]\n---\nYou add.\n";

/// An agent whose only tool waits for a person.
const ASKER: &str = "---\nmodel: test/model\ntools:\n  - name: erase\n    description: Erases.\n    kind: process\n    \
                     command: [echo, gone]\n    parameters: {type: object, properties: {}}\n    \
                     requires_confirmation: true\n---\nYou erase.\n";

/// The events among frames; control frames have no number.
fn numbered(frames: Vec<Value>) -> Vec<Value> {
    frames.into_iter().filter(|frame| frame.get("event_index").is_some()).collect()
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["event_index"].as_u64().unwrap()).collect()
}

fn dense(events: &[Value]) -> bool {
    numbers(events) == (0..events.len() as u64).collect::<Vec<_>>()
}

fn run_of(events: &[Value]) -> String {
    events[0]["run_id"].as_str().unwrap().to_owned()
}

/// What a client gets that comes back to a run of this agent, saying this of where it stands.
async fn resumed(server: &Server, agent: &str, run: &str, fields: &[(&str, &str)]) -> Vec<Value> {
    let response = server.send_form(&format!("/agents/{agent}/runs/{run}/resume"), fields).await;
    numbered(to_end(events(response)).await)
}

#[tokio::test]
async fn every_form_of_stream_shows_the_events_of_a_replay_under_their_numbers() {
    for (background, all) in [("false", "true"), ("true", "true"), ("false", "false"), ("true", "false")] {
        let model = ModelServer::start([calls([("add", json!({"a": 2, "b": 3}))]), says("It is 5.")]).await;
        let server = Setup::default().model(&model.url()).agent("adder", ADDER).start().await;
        let fields = [("message", "2+3?"), ("background", background), ("stream_events", all)];
        let shown = to_end(server.stream("adder", &fields).await).await;
        let replayed = resumed(&server, "adder", &run_of(&shown), &[]).await;
        assert!(dense(&replayed), "{replayed:#?}");
        if all == "true" {
            assert_eq!(shown, replayed);
        } else {
            let picked: Vec<_> = numbers(&shown).iter().map(|at| replayed[*at as usize].clone()).collect();
            assert_eq!(shown, picked);
            assert!(shown.len() < replayed.len());
        }
    }
}

#[tokio::test]
async fn a_run_goes_on_counting_after_a_pause_and_a_restart_in_it() {
    let model = ModelServer::start([calls([("erase", json!({}))]), says("Erased.")]).await;
    let mut server = Setup::default().model(&model.url()).agent("asker", ASKER).start().await;
    let mut shown = to_end(server.stream("asker", &[("message", "Erase"), ("session_id", "s")]).await).await;
    let run = run_of(&shown);
    assert_eq!(shown.last().unwrap()["event"], "RunPaused");
    assert_eq!(resumed(&server, "asker", &run, &[]).await, shown, "a replay ends where the run waits");
    server.kill();
    server.restart().await;
    assert_eq!(resumed(&server, "asker", &run, &[]).await, shown);

    let mut tools = shown.last().unwrap()["tools"].clone();
    tools[0]["confirmed"] = json!(true);
    let path = format!("/agents/asker/runs/{run}/continue");
    let fields = [("session_id", "s"), ("tools", &tools.to_string())];
    shown.extend(to_end(events(server.send_form(&path, &fields).await)).await);
    assert!(dense(&shown), "{shown:#?}");
    assert_eq!(shown.last().unwrap()["content"], "Erased.");
    assert_eq!(resumed(&server, "asker", &run, &[]).await, shown, "a pause that is over ends nothing");
    model.assert_clean();
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_is_followed_from_its_first_event_to_its_last() {
    let gate = Gate::closed();
    let model =
        ModelServer::start([Reply::Gated(words("First "), gate.clone(), words("one.")), says("Second.")])
            .await;
    let server = Setup::default().model(&model.url()).start().await;
    let mut first = server.stream("plain", &[("message", "1"), ("session_id", "s")]).await;
    until(&mut first, "RunContent").await;
    let fields = [("message", "2"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    let (status, queued) = server.form("/agents/plain/runs", &fields).await;
    assert_eq!((status, &queued["status"]), (202, &json!("PENDING")));
    let run = queued["run_id"].as_str().unwrap();
    let watchers = (0..3).map(|_| resumed(&server, "plain", run, &[]));
    let open = async {
        model.wait_for_requests(1).await;
        gate.open();
        to_end(first).await
    };
    let (seen, _) = future::join(future::join_all(watchers), open).await;
    assert!(dense(&seen[0]) && seen[0].last().unwrap()["content"] == "Second.", "{seen:#?}");
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
}

#[tokio::test]
async fn a_run_that_was_cancelled_is_replayed_to_its_cancellation() {
    let line = Reply::Gated(words("Half an "), Gate::closed(), vec![]);
    let model = ModelServer::start([line]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let mut stream = server.stream("plain", &[("message", "1"), ("background", "true")]).await;
    let mut shown = until(&mut stream, "RunContent").await;
    let run = run_of(&shown);
    server.form(&format!("/agents/plain/runs/{run}/cancel"), &[]).await;
    shown.extend(to_end(stream).await);
    assert_eq!(shown.last().unwrap()["event"], "RunCancelled");
    assert_eq!(resumed(&server, "plain", &run, &[]).await, shown);
    assert!(dense(&shown));
}

#[tokio::test]
async fn a_stream_ends_when_its_session_is_deleted_and_its_run_is_then_unknown() {
    let line = Reply::Gated(words("Half an "), Gate::closed(), vec![]);
    let model = ModelServer::start([line]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "1"), ("session_id", "s"), ("background", "true")];
    let mut stream = server.stream("plain", &fields).await;
    let shown = until(&mut stream, "RunContent").await;
    let run = run_of(&shown);
    let path = format!("/agents/plain/runs/{run}/resume");
    let mut watcher = events(server.send_form(&path, &[]).await);
    until(&mut watcher, "RunContent").await;
    let deleted = server.request(reqwest::Method::DELETE, "/sessions/s").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    to_end(stream).await;
    to_end(watcher).await;
    let after = to_end(events(server.send_form(&path, &[]).await)).await;
    let unknown = format!("Run {run} not found in buffer or database");
    assert_eq!(after, [json!({"event": "error", "error": unknown})]);
}

#[tokio::test]
async fn last_event_id_says_where_a_reader_stands_and_the_field_goes_before_it() {
    let model = ModelServer::start([says("one two three")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let all = to_end(server.stream("plain", &[("message", "Count")]).await).await;
    let path = format!("/agents/plain/runs/{}/resume", run_of(&all));
    let last = all.len() as u64 - 1;
    let count = u64::MAX.to_string();
    for (id, field, from) in [
        ("2", None, 3),
        (" 2 ", None, 3),
        ("2", Some("4"), 5),
        ("junk", None, 0),
        ("-1", None, 0),
        ("", None, 0),
        (count.as_str(), None, last + 1),
        ("2", Some("-1"), 3),
    ] {
        let body = field.map_or(String::new(), |last| format!("last_event_index={last}"));
        let request = server.request(reqwest::Method::POST, &path).header("last-event-id", id).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let seen = numbered(to_end(events(request.send().await.unwrap())).await);
        assert_eq!(numbers(&seen), (from..=last).collect::<Vec<_>>(), "{id:?} {field:?}");
    }
}

#[tokio::test]
async fn readers_at_different_places_of_a_run_that_goes_on_all_see_the_same() {
    let gate = Gate::closed();
    let line = Reply::Gated(words("one two three four "), gate.clone(), words("five six."));
    let model = ModelServer::start([line]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let mut stream = server.stream("plain", &[("message", "Count"), ("background", "true")]).await;
    let mut shown = Vec::new();
    while shown.len() < 6 {
        shown.push(tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap());
    }
    let (path, beyond) = (format!("/agents/plain/runs/{}/resume", run_of(&shown)), shown.len().to_string());
    let mut readers = Vec::new();
    for last in ["-1", "0", "3", "5", &beyond] {
        let mut reader = events(server.send_form(&path, &[("last_event_index", last)]).await);
        let head = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap().unwrap();
        assert!(head.get("event_index").is_none(), "{head}");
        readers.push((last, reader));
    }
    gate.open();
    shown.extend(to_end(stream).await);
    assert!(dense(&shown));
    for (last, reader) in readers {
        let seen = numbered(to_end(reader).await);
        // Of a number that was not given out yet nothing is believed but that all there is was seen.
        let from = last.parse::<i64>().map_or(0, |last| (last + 1).min(6)) as usize;
        assert_eq!(seen, shown[from..], "{last}");
    }
}
