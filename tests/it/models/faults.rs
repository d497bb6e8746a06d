//! A provider that misbehaves: answers that are none, and texts that must not be passed on.

use super::*;

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
