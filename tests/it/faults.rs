//! What a provider can do wrong, through the whole program: the stream says it, the run keeps it, the session goes on.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, Reply, calls, fails, fails_for_now, says, words};
use crate::harness::server::{Server, Setup, TOKEN, to_end};

const KEY: &str = "sk-a-key-that-nobody-may-ever-see";

const AGENT: &str =
    "---\nmodel: test/model\ncapabilities: [test_math]\nlimits: {model_calls: 4}\n---\nYou add.\n";

/// A provider that has a key, is waited for so long, and is asked twice.
fn waited_for(name: &str, model_url: &str, patience: &str) -> String {
    format!(
        "[providers.{name}]\nkind = \"openai\"\nbase_url = \"{model_url}\"\napi_key_env = \"TEST_MODEL_KEY\"\n\
         connect = \"1s\"\nfirst_byte = \"{patience}\"\nidle = \"{patience}\"\ntries = 2"
    )
}

/// Long enough for an answer that comes at once.
const LITTLE_PATIENCE: &str = "500ms";
/// Long enough for a huge answer, on a machine that does other things too.
const MUCH_PATIENCE: &str = "20s";

async fn server_with(model_url: &str) -> Server {
    server_that_waits(model_url, LITTLE_PATIENCE).await
}

async fn server_that_waits(model_url: &str, patience: &str) -> Server {
    let provider = waited_for("test", model_url, patience);
    Setup::default().config(&provider).env("TEST_MODEL_KEY", KEY).agent("adder", AGENT).start().await
}

/// What a client sees of a run that fails: code, whether to try again, message, text before.
#[derive(Debug, PartialEq)]
struct Seen {
    code: String,
    retryable: bool,
    message: String,
}

/// Plays a fault, and sees that it is told, kept, and not in the way of what follows.
async fn play(fault: impl IntoIterator<Item = Reply>) -> Seen {
    play_patiently(fault, LITTLE_PATIENCE).await
}

async fn play_patiently(fault: impl IntoIterator<Item = Reply>, patience: &str) -> Seen {
    let script: Vec<Reply> = fault.into_iter().chain([says("All is well.")]).collect();
    let model = ModelServer::start(script).await;
    let server = server_that_waits(&model.url(), patience).await;
    let seen = fail(&server).await;
    let fields = [
        ("message", "And now?"),
        ("session_id", "s1"),
        ("stream", "false"),
        ("add_history_to_context", "true"),
    ];
    let (status, next) = server.form("/agents/adder/runs", &fields).await;
    assert_eq!(
        (status, &next["status"], &next["content"]),
        (200, &json!("COMPLETED"), &json!("All is well."))
    );
    let asked = model.requests().last().unwrap()["messages"].clone();
    let asked: Vec<_> =
        asked.as_array().unwrap().iter().skip(1).map(|said| said["content"].clone()).collect();
    assert_eq!(asked, ["And now?"], "half an answer is no part of the conversation");
    model.assert_clean();
    assert_nobody_sees_the_key(&server, &next);
    seen
}

async fn fail(server: &Server) -> Seen {
    fail_in(server, "s1").await
}

/// Starts a session's first run, which fails, and sees that stream and record say the same.
async fn fail_in(server: &Server, session: &str) -> Seen {
    let fields = [("message", "2+3?"), ("session_id", session)];
    let events = to_end(server.stream("adder", &fields).await).await;
    let last = events.last().unwrap();
    assert_eq!(last["event"], "RunError", "{events:#?}");
    let run = last["run_id"].as_str().unwrap();
    let (status, body) = server.get(&format!("/agents/adder/runs/{run}?session_id={session}")).await;
    assert_eq!(
        (status, &body["status"], &body["content"]),
        (200, &json!("ERROR"), &last["content"]),
        "{body}"
    );
    let error = json!({
        "code": last["error_type"], "message": last["content"], "retryable": last["additional_data"]["retryable"],
    });
    let (_, listed) = server.get(&format!("/sessions/{session}/runs")).await;
    assert_eq!((&body["error"], &listed[0]["error"]), (&error, &error));
    assert_nobody_sees_the_key(server, &json!([events, body]));
    Seen {
        code: last["error_type"].as_str().unwrap().into(),
        retryable: last["additional_data"]["retryable"].as_bool().unwrap(),
        message: last["content"].as_str().unwrap().into(),
    }
}

fn assert_nobody_sees_the_key(server: &Server, bodies: &Value) {
    assert!(!bodies.to_string().contains(KEY), "the key is in an answer");
    assert!(!server.log().contains(KEY), "the key is in the log");
    for file in files(&server.path("data")) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let is_there = |secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_there(KEY) && !is_there(TOKEN), "a secret is in {}", file.display());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn seen(code: &str, retryable: bool, message: &str) -> Seen {
    Seen { code: code.into(), retryable, message: message.into() }
}

fn provider(what: &str) -> String {
    format!("model provider `test` {what}")
}

#[tokio::test]
async fn a_provider_that_is_not_there_fails_the_run_and_a_later_one_works() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = server_with(&format!("http://{port}/v1")).await;
    let seen = fail(&server).await;
    assert_eq!((seen.code.as_str(), seen.retryable), ("model_provider_error", true));
    assert!(seen.message.starts_with(&provider("could not be reached")), "{}", seen.message);
}

#[tokio::test]
async fn a_provider_that_hangs_up_is_asked_again_and_then_fails_the_run() {
    let seen = play([Reply::Refuse, Reply::Refuse]).await;
    assert_eq!((seen.code.as_str(), seen.retryable), ("model_provider_error", true));
}

#[tokio::test]
async fn a_provider_that_is_busy_or_broken_is_asked_again_and_then_fails_the_run() {
    for status in [429, 503] {
        let told = play([fails_for_now(status, "not now"), fails_for_now(status, "not now")]).await;
        assert_eq!(
            told,
            seen("model_provider_error", true, &provider(&format!("answered {status}: not now")))
        );
    }
}

#[tokio::test]
async fn a_provider_that_refuses_the_key_is_not_asked_again_and_does_not_get_it_shown() {
    let told = play([fails(401, "invalid_api_key", &format!("wrong key {KEY}"))]).await;
    assert_eq!(told, seen("model_provider_error", false, &provider("answered 401: wrong key ***")));
}

#[tokio::test]
async fn a_provider_that_never_begins_times_out() {
    let expected = provider("did not begin to answer within 500ms");
    for reply in [Reply::HangBeforeHead, Reply::HangBeforeFirstEvent, Reply::Drip(vec![])] {
        assert_eq!(play([reply]).await, seen("model_timeout", true, &expected));
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_times_out_and_comments_do_not_count() {
    let expected = provider("fell silent for 500ms in the middle of its answer");
    for reply in [Reply::HangMidStream(words("It is")), Reply::Drip(words("It is"))] {
        assert_eq!(play([reply]).await, seen("model_timeout", true, &expected));
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_truncated() {
    let expected = provider("ended its answer without saying that it was complete");
    assert_eq!(play([Reply::NoFinishReason(words("It is"))]).await, seen("truncated", true, &expected));
    let cut = play([Reply::CutStream(words("It is"))]).await;
    assert_eq!((cut.code.as_str(), cut.retryable), ("truncated", true));
}

#[tokio::test]
async fn a_page_for_people_is_no_answer() {
    let expected = provider("answered with `text/html` instead of an event stream: is its base URL right?");
    assert_eq!(play([Reply::Html200]).await, seen("model_provider_error", false, &expected));
}

#[tokio::test]
async fn an_event_that_is_no_json_fails_the_run() {
    let expected = provider("sent an event that is no JSON object");
    assert_eq!(play([Reply::Garbage(words("It is"))]).await, seen("model_provider_error", true, &expected));
}

#[tokio::test]
async fn arguments_that_are_no_json_are_the_models_to_mend_and_three_times_end_the_run() {
    let told = play((0..3).map(|_| Reply::BadToolArguments("add".into()))).await;
    let why = "The arguments of `add` are no JSON object.";
    let expected = format!("the model made 3 tool calls in a row that could not be tried: {why}");
    assert_eq!((told.code.as_str(), told.retryable), ("invalid_tool_calls", false));
    assert!(told.message.starts_with(&expected), "{}", told.message);
}

#[tokio::test]
async fn an_unknown_tool_is_the_models_to_mend_and_it_reads_which_there_are() {
    let model = ModelServer::start([calls([("conjure", json!({}))]), says("I cannot.")]).await;
    let server = server_with(&model.url()).await;
    let events = to_end(server.stream("adder", &[("message", "2-3?"), ("session_id", "s1")]).await).await;
    assert_eq!(events.last().unwrap()["event"], "RunCompleted");
    let told = model.requests()[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert!(told.as_str().unwrap().starts_with("Tool not found: conjure\nTools: add"), "{told}");
    model.assert_clean();
}

#[tokio::test]
async fn a_model_that_calls_tools_without_end_reaches_the_limit() {
    let told = play((0..4).map(|_| calls([("add", json!({"a": 1, "b": 1}))]))).await;
    assert_eq!(told, seen("limit", false, "the run reached the limit of 4 model calls"));
}

#[tokio::test]
async fn an_answer_without_measure_is_given_up() {
    let piece = json!({"choices": [{"delta": {"content": "x".repeat(1024 * 1024)}}]});
    let told = play_patiently([Reply::Events(vec![piece; 20])], MUCH_PATIENCE).await;
    assert_eq!(
        told,
        seen("model_provider_error", false, &provider("sent more than the 16777216 bytes allowed"))
    );
}

#[tokio::test]
async fn an_answer_in_one_huge_piece_ends_the_run_and_leaves_the_session_usable() {
    let piece = json!({"choices": [{"delta": {"content": "x".repeat(6 * 1024 * 1024)}}]});
    let told = play_patiently([Reply::Events(vec![piece])], MUCH_PATIENCE).await;
    assert!(["internal", "model_provider_error"].contains(&told.code.as_str()), "{told:?}");
}

#[tokio::test]
async fn a_run_that_failed_after_a_tool_call_leaves_a_history_the_provider_accepts() {
    let told = play([calls([("add", json!({"a": 1, "b": 1}))]), Reply::CutStream(words("It is"))]).await;
    assert_eq!((told.code.as_str(), told.retryable), ("truncated", true));
}

#[tokio::test]
async fn a_provider_whose_account_is_used_up_or_who_finds_the_question_wrong_is_not_asked_again() {
    for (status, code, what) in
        [(429, "insufficient_quota", "answered 429: no"), (400, "bad_request", "answered 400: no")]
    {
        let told = play([fails(status, code, "no")]).await;
        assert_eq!(told, seen("model_provider_error", false, &provider(what)));
    }
}

#[tokio::test]
async fn an_answer_of_a_hundred_megabytes_and_a_line_without_end_are_given_up() {
    let told = play_patiently([Reply::HugeAnswer(100_000_000)], MUCH_PATIENCE).await;
    let expected = provider("sent more than the 16777216 bytes allowed");
    assert_eq!(told, seen("model_provider_error", false, &expected));
    let endless = [b"data: ".to_vec(), vec![b'x'; 5 * 1024 * 1024]].concat();
    let expected = provider("sent more than the 4194304 bytes allowed");
    assert_eq!(
        play_patiently([Reply::RawThenHang(endless)], MUCH_PATIENCE).await,
        seen("model_provider_error", false, &expected)
    );
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_looked_for_three_times() {
    let told = play((0..3).map(|_| calls([("conjure", json!({}))]))).await;
    assert_eq!((told.code.as_str(), told.retryable), ("invalid_tool_calls", false));
}

#[tokio::test]
async fn a_call_without_an_id_gets_one_and_its_result_under_it() {
    let function = json!({"name": "add", "arguments": "{\"a\": 2, \"b\": 3}"});
    let nameless = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": function}]}}]});
    let end = json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]});
    let model = ModelServer::start([Reply::Events(vec![nameless, end]), says("Five.")]).await;
    let server = server_with(&model.url()).await;
    let events = to_end(server.stream("adder", &[("message", "2+3?")]).await).await;
    assert_eq!(events.last().unwrap()["content"], "Five.");
    assert_eq!(
        model.requests()[1]["messages"].as_array().unwrap().last().unwrap()["content"],
        r#"{"result":5,"operation":"add","a":2,"b":3}"#
    );
    model.assert_clean();
}

#[tokio::test]
async fn an_answer_that_was_cut_says_so_in_the_event_and_in_the_stored_run() {
    for reason in ["length", "content_filter"] {
        let piece = json!({"choices": [{"delta": {"content": "It is"}}]});
        let end = json!({"choices": [{"delta": {}, "finish_reason": reason}]});
        let model = ModelServer::start([Reply::Events(vec![piece, end])]).await;
        let server = server_with(&model.url()).await;
        let events = to_end(server.stream("adder", &[("message", "2+3?"), ("session_id", "s1")]).await).await;
        let last = events.last().unwrap();
        let run = last["run_id"].as_str().unwrap();
        let (_, body) = server.get(&format!("/agents/adder/runs/{run}?session_id=s1")).await;
        for told in [last, &body] {
            let reason_told = &told["model_provider_data"]["finish_reason"];
            assert_eq!((&told["content"], reason_told), (&json!("It is"), &json!(reason)));
        }
    }
}

#[tokio::test]
async fn models_that_fail_are_followed_by_the_next_in_order_and_no_half_answer_is_kept() {
    let first =
        ModelServer::start([Reply::CutStream(words("Half an ")), Reply::HangMidStream(words("a"))]).await;
    let second = ModelServer::start([fails(401, "invalid_api_key", "who?"), Reply::Html200]).await;
    let third = ModelServer::start([says("A whole one."), Reply::NoFinishReason(words("c"))]).await;
    let mut setup = Setup::default().env("TEST_MODEL_KEY", KEY);
    for (name, model) in [("one", &first), ("two", &second), ("three", &third)] {
        setup = setup.config(&waited_for(name, &model.url(), LITTLE_PATIENCE));
    }
    let agent = "---\nmodel: one/a\nfallback_models: [two/b, three/c]\n---\nYou answer.\n";
    let server = setup.agent("adder", agent).start().await;

    let events = to_end(server.stream("adder", &[("message", "Well?"), ("session_id", "s1")]).await).await;
    let superseded: Vec<_> = events.iter().filter(|event| event["kind"] == "attempt_superseded").collect();
    assert_eq!(superseded.len(), 2, "{events:#?}");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&json!("RunCompleted"), &json!("A whole one.")));
    let run = last["run_id"].as_str().unwrap();
    let (_, body) = server.get(&format!("/agents/adder/runs/{run}?session_id=s1")).await;
    assert_eq!((&body["content"], &body["model"]), (&json!("A whole one."), &json!("c")));
    assert!(!body.to_string().contains("Half an"), "{body}");

    let told = fail_in(&server, "s2").await;
    let expected = "model provider `three` ended its answer without saying that it was complete";
    assert_eq!(told, seen("truncated", true, expected));
    [first, second, third].iter().for_each(ModelServer::assert_clean);
}
