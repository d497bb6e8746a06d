//! Models: what the adapter makes of a provider that behaves, and of one that does not.

mod scripted;

use std::time::Duration;

use futures::StreamExt;
use runhold::domain::fact::{Failure, Piece};
use runhold::domain::message::{Finish, Input, Media, MediaKind, MediaSource, Message, ModelCall, Usage};
use runhold::domain::tool::{Effect, Gate as ToolGate, ToolCall, ToolSpec};
use runhold::llm::openai::{BadProvider, OpenAi, OpenAiConfig};
use runhold::llm::secret::Secret;
use runhold::llm::{Chunk, Model, Patience};
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, Request, fails, fails_for_now, says, words};

const KEY: &str = "a-key-nobody-may-see";

/// All that came of asking.
#[derive(Debug, PartialEq)]
struct Heard {
    pieces: Vec<Piece>,
    end: Result<Chunk, Failure>,
}

fn question(text: &str) -> ModelCall {
    conversation(vec![Message::User { input: Input { text: text.into(), media: Vec::new() } }])
}

fn conversation(messages: Vec<Message>) -> ModelCall {
    let model = "acme/large".parse().unwrap();
    ModelCall { model, messages, tools: Vec::new(), output_schema: None }
}

fn tool(name: &str, parameters: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: format!("Does {name}."),
        parameters,
        effect: Effect::Pure,
        timeout: Duration::from_secs(1),
        gate: ToolGate::default(),
    }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.parse().unwrap(), name: name.into(), arguments: arguments.into() }
}

fn provider(server: &ModelServer, patience: Patience) -> OpenAi {
    let api_key = Some(Secret::new(KEY));
    OpenAi::new(OpenAiConfig { api_key, patience, ..OpenAiConfig::at(&server.url()) }).unwrap()
}

async fn hear(model: &dyn Model, call: ModelCall) -> Heard {
    let mut pieces = Vec::new();
    let mut answer = match model.answer(call).await {
        Ok(answer) => answer,
        Err(failure) => return Heard { pieces, end: Err(failure) },
    };
    loop {
        match answer.next().await.expect("an answer ends with Done or an error") {
            Ok(Chunk::Piece(piece)) => pieces.push(piece),
            end => {
                assert_eq!(answer.next().await, None, "nothing comes after the end");
                return Heard { pieces, end };
            }
        }
    }
}

/// Plays one script for one question.
async fn play(script: impl IntoIterator<Item = Reply>, patience: Patience) -> Heard {
    let server = ModelServer::start(script).await;
    let heard = hear(&provider(&server, patience), question("Hello?")).await;
    server.assert_clean();
    heard
}

async fn play_events(events: impl IntoIterator<Item = Value>) -> Heard {
    play([Reply::Events(events.into_iter().collect())], Patience::default()).await
}

fn texts(text: &str) -> Vec<Piece> {
    words(text).into_iter().map(Piece::Text).collect()
}

fn done(tool_calls: Vec<ToolCall>, finish: Finish) -> Result<Chunk, Failure> {
    let usage = Usage { input: 20, output: 10, reasoning: 2, cache_read: 4, cache_write: 0 };
    Ok(Chunk::Done { tool_calls, finish, usage, id: Some("chatcmpl-1".into()) })
}

fn uncounted(tool_calls: Vec<ToolCall>, finish: Finish) -> Result<Chunk, Failure> {
    let id = Some("chatcmpl-1".into());
    Ok(Chunk::Done { tool_calls, finish, usage: Usage::default(), id })
}

fn provider_error(what: &str) -> Failure {
    Failure::new("model_provider_error", format!("model provider `acme` {what}"))
}

fn timed_out(what: &str) -> Failure {
    Failure::new("model_timeout", format!("model provider `acme` {what}")).retryable()
}

fn truncated() -> Failure {
    let what = "ended its answer without saying that it was complete";
    Failure::new("truncated", format!("model provider `acme` {what}")).retryable()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"delta": {}, "finish_reason": reason}]})
}

fn short(first_byte: u64, idle: u64) -> Patience {
    let (first_byte, idle) = (Duration::from_millis(first_byte), Duration::from_millis(idle));
    Patience { first_byte, idle, ..Patience::default() }
}

// Answers

#[tokio::test]
async fn an_answer_comes_in_its_pieces_and_ends_with_what_it_cost() {
    let heard = play([says("It is noon.")], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: texts("It is noon."), end: done(vec![], Finish::Stop) });
}

#[tokio::test]
async fn pieces_come_before_the_answer_is_complete() {
    let gate = Gate::closed();
    let server = ModelServer::start([Reply::Gated(words("One "), gate.clone(), words("two."))]).await;
    let mut answer = provider(&server, Patience::default()).answer(question("Count.")).await.unwrap();
    assert_eq!(answer.next().await, Some(Ok(Chunk::Piece(Piece::Text("One ".into())))));
    gate.open();
    assert_eq!(answer.next().await, Some(Ok(Chunk::Piece(Piece::Text("two.".into())))));
}

#[tokio::test]
async fn tool_calls_come_assembled_after_the_text() {
    let script = Reply::SayThenCalls(
        words("Let me see."),
        vec![("add".into(), json!({"a": 1, "b": 2})), ("current_time".into(), json!({}))],
    );
    let called = vec![call("call_1_0", "add", r#"{"a":1,"b":2}"#), call("call_1_1", "current_time", "{}")];
    let heard = play([script], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: texts("Let me see."), end: done(called, Finish::ToolCalls) });
}

#[tokio::test]
async fn the_whole_conversation_is_sent_in_the_providers_words() {
    let server = ModelServer::start([says("ok")]).await;
    let media = |kind, id: &str, source| Media {
        kind,
        id: id.into(),
        format: None,
        mime_type: None,
        filename: Some(format!("{id}.bin")),
        source,
    };
    let input = Input {
        text: "What is this?".into(),
        media: vec![
            media(MediaKind::Image, "i", MediaSource::Url("https://example.org/i.png".into())),
            media(MediaKind::Image, "j", MediaSource::Base64("AAAA".into())),
            media(MediaKind::Audio, "a", MediaSource::Base64("BBBB".into())),
            media(MediaKind::File, "f", MediaSource::Base64("CCCC".into())),
        ],
    };
    let made_up = vec![call("c1", "look", "{\"at\":1}"), call("c2", "lo ok", "{oops")];
    let result = |id: &str, name: &str, content: &str| Message::Tool {
        call: id.parse().unwrap(),
        name: name.into(),
        content: content.into(),
        error: false,
    };
    let mut asked = conversation(vec![
        Message::System { text: "Be brief.".into() },
        Message::User { input },
        Message::Assistant { text: String::new(), reasoning: "Hm.".into(), tool_calls: made_up },
        result("c1", "look", "a cat"),
        result("c2", "lo ok", "no such tool"),
    ]);
    asked.tools = vec![tool("look", json!({"type": "object"}))];
    asked.output_schema = Some(json!({"type": "object", "properties": {}}));
    hear(&provider(&server, Patience::default()), asked).await.end.unwrap();
    server.assert_clean();

    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!({
        "model": "large",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.org/i.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                {"type": "file", "file": {
                    "filename": "f.bin", "file_data": "data:application/octet-stream;base64,CCCC",
                }},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                call("c1", "look", "{\"at\":1}"), call("c2", "lo_ok", "{\"invalid_json\":\"{oops\"}"),
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "c2", "content": "no such tool"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Does look.", "parameters": {"type": "object"},
        }}],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "answer", "schema": {"type": "object", "properties": {}},
        }},
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    assert_eq!(server.requests(), vec![expected]);
}

#[tokio::test]
async fn the_key_and_the_headers_of_the_configuration_are_sent() {
    let server = ModelServer::start([says("ok")]).await;
    let headers = vec![("X-Team".into(), Secret::new("blue"))];
    let api_key = Some(Secret::new(KEY));
    let model = OpenAi::new(OpenAiConfig { api_key, headers, ..OpenAiConfig::at(&server.url()) }).unwrap();
    hear(&model, question("Hello?")).await.end.unwrap();
    let Request { path, headers, .. } = server.whole_requests().remove(0);
    let seen = (path.as_str(), headers["authorization"].as_str(), headers["x-team"].as_str());
    assert_eq!(seen, ("/v1/chat/completions", "Bearer a-key-nobody-may-see", "blue"));
}

#[tokio::test]
async fn without_a_key_no_authorization_is_sent() {
    let server = ModelServer::start([says("ok"), says("ok")]).await;
    for api_key in [None, Some(Secret::new(" "))] {
        let config = OpenAiConfig { api_key, ..OpenAiConfig::at(&server.url()) };
        hear(&OpenAi::new(config).unwrap(), question("Hello?")).await.end.unwrap();
    }
    let sent = server.whole_requests();
    assert!(sent.iter().all(|request| !request.headers.contains_key("authorization")), "{sent:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_and_quotes_no_secret() {
    let of = |config: OpenAiConfig| OpenAi::new(config).unwrap_err();
    for url in ["", "api.example.org", "ftp://example.org", "http://me:pw@example.org", "http://e.org/?k=1"] {
        assert!(matches!(of(OpenAiConfig::at(url)), BadProvider::BaseUrl), "{url}");
    }
    let key = OpenAiConfig { api_key: Some(Secret::new("a\nb")), ..OpenAiConfig::at("http://localhost") };
    assert_eq!(of(key).to_string(), "the API key holds characters that no HTTP header can carry");
    let header = ("Bad Name".to_owned(), Secret::new(KEY));
    let header = OpenAiConfig { headers: vec![header], ..OpenAiConfig::at("http://localhost") };
    assert!(!of(header.clone()).to_string().contains(KEY));
    assert!(!format!("{header:?}").contains(KEY));
}

// Leniency

#[tokio::test]
async fn what_is_null_missing_unknown_or_of_another_type_is_passed_over() {
    let heard = play_events([
        json!({}),
        json!({"choices": null, "usage": null, "novelty": [1]}),
        json!({"choices": [{"index": 0, "delta": null, "finish_reason": null, "logprobs": {}}]}),
        delta(json!({"role": "assistant", "content": null, "tool_calls": null})),
        delta(json!({"content": "", "reasoning_content": "", "tool_calls": []})),
        delta(
            json!({"content": [{"type": "text", "text": "Yes"}, {"type": "other"}], "function_call": null}),
        ),
        delta(json!({"content": 5, "tool_calls": "none"})),
        json!({"id": 7, "choices": [{"message": {"content": "."}, "finish_reason": "eos_token"}]}),
    ])
    .await;
    assert_eq!(
        heard,
        Heard {
            pieces: texts("Yes ").into_iter().map(trimmed).chain(texts(".")).collect(),
            end: uncounted(vec![], Finish::Stop)
        }
    );
}

fn trimmed(piece: Piece) -> Piece {
    match piece {
        Piece::Text(text) => Piece::Text(text.trim().into()),
        Piece::Reasoning(text) => Piece::Reasoning(text),
    }
}

#[tokio::test]
async fn reasoning_is_read_under_either_name_and_once_under_both() {
    let heard = play_events([
        delta(json!({"reasoning_content": "One"})),
        delta(json!({"reasoning": "two"})),
        delta(json!({"reasoning": "three", "reasoning_content": "three"})),
        delta(json!({"content": "Four."})),
        finish("stop"),
    ])
    .await;
    let reasoning = ["One", "two", "three"].map(|text| Piece::Reasoning(text.into()));
    let pieces = reasoning.into_iter().chain(texts("Four.")).collect();
    assert_eq!(heard, Heard { pieces, end: uncounted(vec![], Finish::Stop) });
}

#[tokio::test]
async fn comments_and_line_ends_of_every_kind_and_a_missing_last_one_do_no_harm() {
    let body = ": hello\r\n\r\ndata:{\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\r\n\r\n\
                event: message\nid: 4\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}]}";
    let heard = play([Reply::Raw(body.into())], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: texts("Yes"), end: uncounted(vec![], Finish::Stop) });
}

#[tokio::test]
async fn each_reason_to_stop_is_understood() {
    let one = || {
        delta(json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}))
    };
    let cases = [
        ("stop", false, Finish::Stop),
        ("stop", true, Finish::ToolCalls),
        ("tool_calls", true, Finish::ToolCalls),
        ("function_call", true, Finish::ToolCalls),
        ("tool_calls", false, Finish::Stop),
        ("who_knows", true, Finish::ToolCalls),
        ("who_knows", false, Finish::Stop),
        ("length", false, Finish::Length),
        ("length", true, Finish::Length),
        ("content_filter", false, Finish::ContentFilter),
    ];
    for (reason, with_call, expected) in cases {
        let heard = play_events(with_call.then(one).into_iter().chain([finish(reason)])).await;
        let called = if with_call { vec![call("c", "f", "{}")] } else { vec![] };
        assert_eq!(heard.end, uncounted(called, expected), "{reason}, {with_call}");
    }
}

#[tokio::test]
async fn counts_are_taken_from_the_last_event_that_has_some() {
    let heard = play_events([
        json!({"choices": [{"delta": {"content": "Hi"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        json!({"choices": [{"finish_reason": "stop"}], "usage": null}),
        json!({"choices": [], "usage": {
            "prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": null,
        }}),
    ])
    .await;
    let usage = Usage { input: 3, output: 2, cache_read: 1, ..Usage::default() };
    let id = Some("chatcmpl-1".into());
    assert_eq!(heard.end, Ok(Chunk::Done { tool_calls: vec![], finish: Finish::Stop, usage, id }));
}

// Tool calls

async fn assembled(parts: impl IntoIterator<Item = Value>) -> Vec<ToolCall> {
    let deltas = parts.into_iter().map(|part| delta(json!({"tool_calls": part})));
    match play_events(deltas.chain([finish("tool_calls")])).await.end.unwrap() {
        Chunk::Done { tool_calls, .. } => tool_calls,
        Chunk::Piece(piece) => panic!("{piece:?} is no end"),
    }
}

#[tokio::test]
async fn parts_of_several_calls_may_come_mixed() {
    let called = assembled([
        json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\""}}]),
        json!([{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]),
        json!([{"index": 0, "function": {"arguments": ":1}"}}, {"index": 1, "function": {"arguments": "{\"y\""}}]),
        json!([{"index": 1, "id": "", "function": {"name": null, "arguments": ":2}"}}]),
    ])
    .await;
    assert_eq!(called, vec![call("a", "f", "{\"x\":1}"), call("b", "g", "{\"y\":2}")]);
}

#[tokio::test]
async fn parts_without_a_number_belong_to_the_call_of_their_id_or_to_the_last() {
    let called = assembled([
        json!([{"id": "a", "function": {"name": "f", "arguments": "{\"x\""}}]),
        json!([{"id": "b", "function": {"name": "g", "arguments": "{\"y\""}}]),
        json!([{"function": {"arguments": ":2}"}}]),
        json!([{"id": "a", "function": {"arguments": ":1}"}}]),
    ])
    .await;
    assert_eq!(called, vec![call("a", "f", "{\"x\":1}"), call("b", "g", "{\"y\":2}")]);
}

#[tokio::test]
async fn calls_that_are_all_numbered_0_are_told_apart() {
    let by_id = assembled([
        json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]),
        json!([{"index": 0, "id": "b", "function": {"name": "f", "arguments": "{}"}}]),
    ])
    .await;
    assert_eq!(by_id, vec![call("a", "f", "{}"), call("b", "f", "{}")]);
    let by_completeness = assembled([
        json!([{"index": 0, "function": {"name": "f", "arguments": {"x": 1}}}]),
        json!([{"index": 0, "function": {"name": "f", "arguments": {"x": 2}}}]),
    ])
    .await;
    assert_eq!(by_completeness, vec![call("call_1", "f", "{\"x\":1}"), call("call_2", "f", "{\"x\":2}")]);
}

#[tokio::test]
async fn ids_and_names_that_are_repeated_in_each_part_make_one_call() {
    let part = |id: &str, arguments: &str| json!([{"index": 0, "id": id, "function": {"name": "f", "arguments": arguments}}]);
    assert_eq!(assembled([part("a", "{\"x\""), part("a", ":1}")]).await, vec![call("a", "f", "{\"x\":1}")]);
    assert_eq!(
        assembled([part("", "{\"x\""), part("", ":1}")]).await,
        vec![call("call_1", "f", "{\"x\":1}")]
    );
}

#[tokio::test]
async fn ids_that_are_missing_impossible_or_used_before_are_replaced() {
    let long = "x".repeat(200);
    let function = json!({"name": "f", "arguments": "{}"});
    let parts: Vec<Value> = ["", "a\nb", &long, "used", "fine"]
        .iter()
        .enumerate()
        .map(|(index, id)| delta(json!({"tool_calls": [{"index": index, "id": id, "function": function}]})))
        .chain([finish("tool_calls")])
        .collect();
    let server = ModelServer::start([Reply::Events(parts)]).await;
    let earlier = vec![call("used", "f", "{}"), call("call_2", "f", "{}")];
    let result = |call: &ToolCall| Message::Tool {
        call: call.id.clone(),
        name: call.name.clone(),
        content: "done".into(),
        error: false,
    };
    let results: Vec<Message> = earlier.iter().map(result).collect();
    let said = Message::Assistant { text: String::new(), reasoning: String::new(), tool_calls: earlier };
    let asked = conversation([vec![said], results].concat());
    let heard = hear(&provider(&server, Patience::default()), asked).await;
    server.assert_clean();
    let ids = ["call_1", "call_3", "call_4", "call_5", "fine"];
    assert_eq!(heard.end, uncounted(ids.map(|id| call(id, "f", "{}")).to_vec(), Finish::ToolCalls));
}

#[tokio::test]
async fn arguments_that_are_no_json_are_handed_over_as_they_are() {
    let heard = play([Reply::BadToolArguments("add".into())], Patience::default()).await;
    assert_eq!(heard.end, done(vec![call("call_1_0", "add", "{\"a\": 1,,}")], Finish::ToolCalls));
}

#[tokio::test]
async fn the_older_form_of_a_call_is_understood() {
    let heard = play_events([
        delta(json!({"function_call": {"name": "f", "arguments": "{\"x\""}})),
        delta(json!({"function_call": {"arguments": ":1}"}})),
        finish("function_call"),
    ])
    .await;
    assert_eq!(heard.end, uncounted(vec![call("call_1", "f", "{\"x\":1}")], Finish::ToolCalls));
}

// Answers that are none

#[tokio::test]
async fn an_answer_without_a_reason_to_stop_is_truncated() {
    let heard = play([Reply::NoFinishReason(words("It is"))], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: texts("It is"), end: Err(truncated()) });
}

#[tokio::test]
async fn an_answer_that_ends_before_it_began_is_truncated() {
    let heard = play([Reply::Raw(b"data: [DONE]\n\n".to_vec())], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: vec![], end: Err(truncated()) });
}

#[tokio::test]
async fn an_answer_whose_last_event_is_cut_is_truncated() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\ndata: {\"choices\":[{\"finish_re";
    let heard = play([Reply::Raw(body.into())], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: texts("Yes"), end: Err(truncated()) });
}

#[tokio::test]
async fn an_answer_whose_connection_breaks_is_truncated_and_not_asked_for_again() {
    let heard = play([Reply::CutStream(words("It is"))], Patience::default()).await;
    let failure = heard.end.unwrap_err();
    assert_eq!((heard.pieces, failure.code.as_str(), failure.retryable), (texts("It is"), "truncated", true));
}

#[tokio::test]
async fn a_complete_answer_stays_complete_whatever_comes_after_it() {
    let whole = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"Yes\"},\"finish_reason\":\"stop\"}]}\n\n";
    let garbage = [whole, "data: {oops\n\n"].concat();
    let script = [Reply::Raw(whole.into()), Reply::Raw(garbage.into()), Reply::RawThenHang(whole.into())];
    for reply in script {
        let heard = play([reply], short(30_000, 200)).await;
        assert_eq!(heard, Heard { pieces: texts("Yes"), end: uncounted(vec![], Finish::Stop) });
    }
}

#[tokio::test]
async fn an_event_that_is_no_json_is_the_providers_error() {
    let heard = play([Reply::Garbage(words("It is"))], Patience::default()).await;
    let failure = provider_error("sent an event that is no JSON object").retryable();
    assert_eq!(heard, Heard { pieces: texts("It is"), end: Err(failure) });
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_is_the_providers_error() {
    let error = json!({"error": {"message": format!("overheated, {KEY}"), "code": 503}});
    let heard = play_events([delta(json!({"content": "It "})), error]).await;
    let failure = provider_error("reported an error: overheated, ***").retryable();
    assert_eq!(heard, Heard { pieces: texts("It "), end: Err(failure) });
}

#[tokio::test]
async fn a_page_for_people_is_no_answer() {
    let heard = play([Reply::Html200], Patience::default()).await;
    let what = "answered with `text/html` instead of an event stream: is its base URL right?";
    assert_eq!(heard, Heard { pieces: vec![], end: Err(provider_error(what)) });
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let server = ModelServer::start([Reply::HugeAnswer(10_000_000)]).await;
    let patience = Patience { answer_bytes: 50_000, ..Patience::default() };
    let heard = hear(&provider(&server, patience), question("Hello?")).await;
    assert_eq!(heard.end, Err(provider_error("sent more than the 50000 bytes allowed")));
    server.wait_for_hang_ups(1).await;
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let endless = [b"data: ".to_vec(), vec![b'x'; 5 * 1024 * 1024]].concat();
    let heard = play([Reply::Raw(endless)], Patience::default()).await;
    assert_eq!(heard.end, Err(provider_error("sent more than the 4194304 bytes allowed")));
}

// Patience

#[tokio::test]
async fn a_provider_that_never_begins_is_given_up() {
    for reply in [Reply::HangBeforeHead, Reply::HangBeforeFirstEvent, Reply::Drip(vec![])] {
        let server = ModelServer::start([reply]).await;
        let heard = hear(&provider(&server, short(200, 30_000)), question("Hello?")).await;
        let failure = timed_out("did not begin to answer within 200ms");
        assert_eq!(heard, Heard { pieces: vec![], end: Err(failure) });
        server.wait_for_hang_ups(1).await;
        server.assert_clean();
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_is_given_up_and_comments_do_not_count() {
    for reply in [Reply::HangMidStream(words("It is")), Reply::Drip(words("It is"))] {
        let server = ModelServer::start([reply]).await;
        let heard = hear(&provider(&server, short(30_000, 200)), question("Hello?")).await;
        let failure = timed_out("fell silent for 200ms in the middle of its answer");
        assert_eq!(heard, Heard { pieces: texts("It is"), end: Err(failure) });
        server.wait_for_hang_ups(1).await;
        server.assert_clean();
    }
}

#[tokio::test]
async fn a_slow_provider_may_take_longer_in_all_than_between_two_events() {
    let slow = Reply::SlowPieces(words("a b c d e f g h i j k l"), Duration::from_millis(100));
    let heard = play([slow], short(30_000, 1_000)).await;
    assert_eq!(heard, Heard { pieces: texts("a b c d e f g h i j k l"), end: done(vec![], Finish::Stop) });
}

#[tokio::test]
async fn dropping_an_answer_ends_the_request() {
    let server = ModelServer::start([Reply::HangMidStream(words("It is"))]).await;
    let mut answer = provider(&server, Patience::default()).answer(question("Hello?")).await.unwrap();
    assert_eq!(answer.next().await, Some(Ok(Chunk::Piece(Piece::Text("It ".into())))));
    drop(answer);
    server.wait_for_hang_ups(1).await;
}

#[tokio::test]
async fn dropping_a_question_ends_the_request() {
    let server = ModelServer::start([Reply::HangBeforeHead]).await;
    let model = provider(&server, Patience::default());
    let asking = tokio::spawn(async move { model.answer(question("Hello?")).await.map(|_| ()) });
    server.wait_for_requests(1).await;
    asking.abort();
    server.wait_for_hang_ups(1).await;
}

// Tries

#[tokio::test]
async fn a_provider_that_cannot_answer_now_is_asked_again() {
    for status in [408, 409, 429, 500, 503] {
        let script = [fails_for_now(status, "not now"), fails_for_now(status, "not now"), says("Now.")];
        let heard = play(script, Patience::default()).await;
        assert_eq!(heard.pieces, texts("Now."), "{status}");
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_is_tried_again() {
    let heard = play([Reply::Refuse, Reply::CutStream(vec![]), says("Now.")], Patience::default()).await;
    assert_eq!(heard.pieces, texts("Now."));
}

#[tokio::test]
async fn after_the_last_try_the_failure_says_so_and_may_pass() {
    let script = [fails_for_now(503, "one"), fails_for_now(502, "two"), fails_for_now(500, "three")];
    let heard = play(script, Patience::default()).await;
    assert_eq!(heard, Heard { pieces: vec![], end: Err(provider_error("answered 500: three").retryable()) });
}

#[tokio::test]
async fn what_another_try_cannot_mend_is_not_tried_again() {
    let cases = [
        (fails(400, "bad_request", "no such parameter"), "answered 400: no such parameter"),
        (fails(401, "invalid_api_key", "who are you?"), "answered 401: who are you?"),
        (fails(404, "model_not_found", "no such model"), "answered 404: no such model"),
        (fails(429, "insufficient_quota", "pay first"), "answered 429: pay first"),
        (Reply::Status(403, "Forbidden".into(), vec![]), "answered 403: Forbidden"),
        (Reply::Status(302, String::new(), vec![("location".into(), "/elsewhere".into())]), "answered 302"),
    ];
    for (reply, what) in cases {
        let heard = play([reply], Patience::default()).await;
        assert_eq!(heard, Heard { pieces: vec![], end: Err(provider_error(what)) });
    }
}

#[tokio::test]
async fn a_wish_to_wait_is_granted_up_to_the_cap() {
    let an_hour = vec![("retry-after".into(), "3600".into())];
    let a_date = vec![
        ("date".into(), "Wed, 21 Oct 2015 07:28:00 GMT".into()),
        ("retry-after".into(), "Wed, 21 Oct 2015 08:28:00 GMT".into()),
    ];
    let busy = |headers| Reply::Status(429, String::new(), headers);
    let patience = Patience { retry_after_cap: Duration::from_millis(10), ..Patience::default() };
    let heard = play([busy(an_hour), busy(a_date), says("Now.")], patience).await;
    assert_eq!(heard.pieces, texts("Now."));
}

#[tokio::test]
async fn nobody_at_the_address_is_told_after_the_last_try() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let patience = Patience { tries: 2, ..Patience::default() };
    let model = OpenAi::new(OpenAiConfig { patience, ..OpenAiConfig::at(&url) }).unwrap();
    let failure = hear(&model, question("Hello?")).await.end.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("model_provider_error", true));
    assert!(failure.message.starts_with("model provider `acme` could not be reached: "), "{failure}");
}

// Secrets

#[tokio::test]
async fn no_failure_quotes_a_key() {
    let quoting =
        format!("Incorrect API key provided: {KEY} (or sk-proj-abcdefgh123). {}", "x".repeat(5_000));
    let cases = [
        fails(401, "invalid_api_key", &quoting),
        Reply::Status(400, quoting.clone(), vec![]),
        Reply::Events(vec![json!({"error": quoting})]),
    ];
    for reply in cases {
        let failure = play([reply], Patience::default()).await.end.unwrap_err();
        assert!(failure.message.contains("Incorrect API key provided: *** (or sk-***)"), "{failure}");
        assert!(failure.message.len() < 600, "{failure}");
    }
}
