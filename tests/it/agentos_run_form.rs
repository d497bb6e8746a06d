//! The form that starts a run: three encodings, one meaning, and everything that is refused.

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, test, web};
use runhold::api::agentos::error::Error;
use runhold::api::agentos::run_form::{RunForm, order};
use runhold::api::form::{Form, MAX_FIELD_BYTES, MAX_FORM_BYTES, MAX_MULTIPART_BYTES, MAX_PARTS};
use runhold::domain::spec::ComponentKind;
use serde_json::{Value, json};

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=B";

/// Answers with the order a form makes.
async fn echo(form: Form<RunForm>) -> Result<HttpResponse, Error> {
    let (stream, background) = (form.fields.stream, form.fields.background);
    let order = order(ComponentKind::Agent, "a".parse().unwrap(), form)?;
    Ok(HttpResponse::Ok().json(json!({
        "stream": stream, "background": background, "session": order.session, "user": order.user,
        "input": order.input, "options": order.options,
    })))
}

async fn send(kind: &str, body: impl Into<web::Bytes>) -> (StatusCode, Value) {
    let app = test::init_service(App::new().route("/", web::post().to(echo))).await;
    let request =
        test::TestRequest::post().insert_header(("content-type", kind)).set_payload(body).to_request();
    let response = test::call_service(&app, request).await;
    let status = response.status();
    (status, test::read_body_json(response).await)
}

fn part(name: &str, text: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
}

fn file(name: &str, kind: &str, text: &str) -> String {
    format!(
        "--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n{text}\r\n"
    )
}

fn multipart(parts: &[String]) -> String {
    parts.concat() + "--B--\r\n"
}

#[actix_web::test]
async fn the_three_encodings_mean_the_same() {
    let expected = json!({
        "stream": false, "background": true, "session": "s1", "user": "u1",
        "input": {"text": "grüß dich"},
        "options": {"session_state": {"k": 1}, "history": false}
    });
    let form = "message=gr%C3%BC%C3%9F+dich&stream=off&background=Y&session_id=s1&user_id=u1\
                &session_state=%7B%22k%22%3A1%7D&add_history_to_context=0&unknown=x";
    let parts = multipart(&[
        part("message", "grüß dich"),
        part("stream", "no"),
        part("background", "TRUE"),
        part("session_id", "s1"),
        part("user_id", "u1"),
        part("session_state", r#"{"k":1}"#),
        part("add_history_to_context", "f"),
    ]);
    let object = json!({
        "message": "grüß dich", "stream": false, "background": "1", "session_id": "s1", "user_id": "u1",
        "session_state": {"k": 1}, "add_history_to_context": false
    });
    assert_eq!(send(URLENCODED, form).await, (StatusCode::OK, expected.clone()));
    assert_eq!(send(MULTIPART, parts).await, (StatusCode::OK, expected.clone()));
    assert_eq!(send("application/json", object.to_string()).await, (StatusCode::OK, expected));
}

#[actix_web::test]
async fn an_empty_session_id_is_an_absent_one_and_streaming_is_the_default() {
    let (status, order) = send(URLENCODED, "message=hi&session_id=").await;
    assert_eq!((status, &order["session"], &order["stream"]), (StatusCode::OK, &Value::Null, &json!(true)));
}

#[actix_web::test]
async fn a_missing_message_is_named_as_fastapi_names_it() {
    let missing = json!({
        "detail": [{"type": "missing", "loc": ["body", "message"], "msg": "Field required", "input": null}]
    });
    for form in ["", "stream=true", "message="] {
        assert_eq!(
            send(URLENCODED, form).await,
            (StatusCode::UNPROCESSABLE_ENTITY, missing.clone()),
            "{form:?}"
        );
    }
    assert_eq!(send("application/json", "{}").await, (StatusCode::UNPROCESSABLE_ENTITY, missing));
}

#[actix_web::test]
async fn what_is_wrong_is_named_field_by_field() {
    let (status, body) = send(URLENCODED, "message=hi&stream=maybe&session_id=%20x").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let named: Vec<_> = body["detail"].as_array().unwrap().iter().map(|item| &item["loc"][1]).collect();
    assert_eq!(named, ["stream", "session_id"]);
    assert_eq!(body["detail"][0]["type"], "bool_parsing");
}

#[actix_web::test]
async fn json_fields_that_do_not_parse_are_dropped() {
    let (status, order) = send(URLENCODED, "message=hi&metadata=%7B&dependencies=%5B1%5D&images=x").await;
    assert_eq!((status, &order["options"]), (StatusCode::OK, &json!({})));
    assert_eq!(order["input"], json!({"text": "hi"}));
}

#[actix_web::test]
async fn text_that_no_store_can_keep_is_refused() {
    let refused = StatusCode::UNPROCESSABLE_ENTITY;
    assert_eq!(send(URLENCODED, "message=a%00b").await.0, refused);
    assert_eq!(send(MULTIPART, multipart(&[part("message", "a\0b")])).await.0, refused);
    assert_eq!(send(URLENCODED, "message=hi&metadata=%7B%22k%22%3A%22%5Cu0000%22%7D").await.0, refused);
    assert_eq!(send("application/json", r#"{"message":"\ud800"}"#).await.0, refused);
    assert_eq!(send(URLENCODED, "message=%ff").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(send(URLENCODED, "message=%ef%bf%bd").await.0, StatusCode::OK);
}

#[actix_web::test]
async fn files_become_media_by_type_and_empty_ones_are_passed_over() {
    let parts = multipart(&[
        part("message", "look"),
        file("a.png", "image/png", "PNG"),
        file("b.wav", "application/octet-stream", "WAV"),
        file("c.md", "text/markdown", "# c"),
        file("d.md", "text/markdown", ""),
    ]);
    let (status, order) = send(MULTIPART, parts).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        order["input"]["media"],
        json!([
            {"kind": "image", "id": "media-1", "format": "png", "mime_type": "image/png", "filename": "a.png",
             "source": {"base64": "UE5H"}},
            {"kind": "audio", "id": "media-2", "format": "wav", "mime_type": "application/octet-stream",
             "filename": "b.wav", "source": {"base64": "V0FW"}},
            {"kind": "file", "id": "media-3", "format": "md", "mime_type": "text/markdown", "filename": "c.md",
             "source": {"base64": "IyBj"}}
        ])
    );
}

#[actix_web::test]
async fn media_come_by_address_or_content_but_never_by_a_path_on_the_server() {
    let with = |images: Value| json!({"message": "look", "images": images}).to_string();
    let by_reference =
        with(json!([{"url": "https://example.org/a.png", "id": "x"}, {"content": "UE5H", "format": "png"}]));
    let (status, order) = send("application/json", by_reference).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        order["input"]["media"],
        json!([
            {"kind": "image", "id": "x", "source": {"url": "https://example.org/a.png"}},
            {"kind": "image", "id": "media-2", "format": "png", "source": {"base64": "UE5H"}}
        ])
    );
    for bad in [json!([{"filepath": "/etc/passwd"}]), json!([{"content": "%"}]), json!([{}])] {
        assert_eq!(send("application/json", with(bad)).await.0, StatusCode::BAD_REQUEST);
    }
}

#[actix_web::test]
async fn an_unsupported_file_is_refused() {
    let parts = multipart(&[part("message", "run"), file("a.exe", "application/x-msdownload", "MZ")]);
    let refused = (StatusCode::BAD_REQUEST, json!({"detail": "Unsupported file type"}));
    assert_eq!(send(MULTIPART, parts).await, refused);
}

#[actix_web::test]
async fn forms_over_their_limits_are_refused() {
    let message = "x".repeat(MAX_FIELD_BYTES + 1);
    assert_eq!(send(MULTIPART, multipart(&[part("message", &message)])).await.0, 422);
    assert_eq!(send(URLENCODED, format!("message={message}")).await.0, 422);
    assert_eq!(send(URLENCODED, "x".repeat(MAX_FORM_BYTES + 1)).await.0, 413);
    assert_eq!(send(MULTIPART, multipart(&vec![part("a", "b"); MAX_PARTS + 1])).await.0, 413);
    assert_eq!(send(MULTIPART, multipart(&[part(&"n".repeat(257), "b")])).await.0, 422);
    let large = "x".repeat(MAX_MULTIPART_BYTES);
    assert_eq!(send(MULTIPART, multipart(&[file("a.txt", "text/plain", &large)])).await.0, 413);
}

#[actix_web::test]
async fn a_body_that_is_cut_short_is_refused() {
    assert_eq!(send(MULTIPART, part("message", "hi")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(send("multipart/form-data", "x").await.0, StatusCode::BAD_REQUEST);
}
