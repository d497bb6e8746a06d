//! A provider with habits of its own: what is passed over, and how tool calls are put together.

use super::*;

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
async fn events_without_an_empty_line_between_them_are_told_apart() {
    let body = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"One \"}}]}\n\
                data: {\"choices\":[{\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}],\"error\":{}}\ndata: [DONE]\n";
    let heard = play([Reply::Raw(body.into())], Patience::default()).await;
    assert_eq!(heard, Heard { pieces: texts("One two"), end: uncounted(vec![], Finish::Stop) });
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
    let results: Vec<Message> = earlier.iter().map(|call| result(call, "done")).collect();
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
async fn a_conversation_with_tools_goes_back_and_forth() {
    let server = ModelServer::answering(|request| match request.body["messages"].as_array().unwrap().len() {
        1 => calls([("add", json!({"a": 1, "b": 2}))]),
        _ => says("It is 3."),
    })
    .await;
    let model = provider(&server, Patience::default());
    let mut asked = question("What is 1 + 2?");
    let Ok(Chunk::Done { tool_calls, .. }) = hear(&model, asked.clone()).await.end else { panic!("no end") };
    let results: Vec<Message> = tool_calls.iter().map(|call| result(call, "3")).collect();
    asked.messages.push(Message::Assistant { text: String::new(), reasoning: String::new(), tool_calls });
    asked.messages.extend(results);
    assert_eq!(hear(&model, asked).await.pieces, texts("It is 3."));
    server.assert_clean();
}

#[tokio::test]
#[should_panic(expected = "no result for the call `c1`")]
async fn the_test_server_notices_a_call_without_a_result() {
    let server = ModelServer::start([says("ok")]).await;
    let tool_calls = vec![call("c1", "f", "{}")];
    let said = Message::Assistant { text: String::new(), reasoning: String::new(), tool_calls };
    hear(&provider(&server, Patience::default()), conversation(vec![said])).await.end.unwrap();
    server.assert_clean();
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
