//! A provider that behaves: what is sent to it, and what comes back.

use super::*;

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

fn everything_there_is_to_send() -> ModelCall {
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
        extra: None,
    };
    let made_up = vec![call("c1", "look", "{\"at\":1}"), call("c2", "lo ok", "{oops")];
    let results = made_up.iter().map(|call| result(call, "seen")).collect();
    let said = Message::Assistant { text: String::new(), reasoning: "Hm.".into(), tool_calls: made_up };
    let asked = vec![Message::System { text: "Be brief.".into() }, Message::User { input }, said];
    ModelCall {
        tools: vec![tool("look", json!({"type": "object"}))],
        output_schema: Some(json!({"type": "object", "properties": {}})),
        ..conversation([asked, results].concat())
    }
}

#[tokio::test]
async fn the_whole_conversation_is_sent_in_the_providers_words() {
    let server = ModelServer::start([says("ok")]).await;
    hear(&provider(&server, Patience::default()), everything_there_is_to_send()).await.end.unwrap();
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
            {"role": "tool", "tool_call_id": "c1", "content": "seen"},
            {"role": "tool", "tool_call_id": "c2", "content": "seen"},
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
