//! A provider that is slow or busy: how long it is waited for, and how often it is asked.

use super::*;

#[tokio::test]
async fn a_provider_that_never_begins_is_given_up() {
    for reply in [Reply::HangBeforeHead, Reply::HangBeforeFirstEvent, Reply::Drip(vec![])] {
        let server = ModelServer::start([reply]).await;
        let heard = hear(&provider(&server, short(500, 30_000)), question("Hello?")).await;
        let failure = timed_out("did not begin to answer within 500ms");
        assert_eq!(heard, Heard { pieces: vec![], end: Err(failure) });
        server.wait_for_hang_ups(1).await;
        server.assert_clean();
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_is_given_up_and_comments_do_not_count() {
    for reply in [Reply::HangMidStream(words("It is")), Reply::Drip(words("It is"))] {
        let server = ModelServer::start([reply]).await;
        let heard = hear(&provider(&server, short(30_000, 500)), question("Hello?")).await;
        let failure = timed_out("fell silent for 500ms in the middle of its answer");
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
        (
            Reply::Status(
                429,
                json!({"error": {"message": "pay", "code": 429, "type": "insufficient_quota"}}).to_string(),
                vec![],
            ),
            "answered 429: pay",
        ),
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
