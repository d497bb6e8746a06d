//! Pictures over the Everruns surface.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::everruns::{Talk, until};
use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::{Server, Setup, answer};

async fn upload(server: &Server, bytes: Vec<u8>) -> Response {
    let head = "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"sky.png\"\r\n\r\n";
    let body = [head.as_bytes(), &bytes, b"\r\n--cut--\r\n"].concat();
    let request = server.request(Method::POST, "/v1/images").body(body);
    request.header("content-type", "multipart/form-data; boundary=cut").send().await.unwrap()
}

fn picture(size: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend((bytes.len()..size).map(|at| (at % 251) as u8));
    bytes
}

#[tokio::test]
async fn a_picture_comes_back_as_it_was_sent_until_it_is_deleted() {
    let mut server = Setup::default().start().await;
    let bytes = picture(2_500_000);
    let (status, image) = answer(upload(&server, bytes.clone()).await).await;
    assert_eq!(status, 201, "{image}");
    assert_eq!(
        [&image["filename"], &image["content_type"], &image["size_bytes"]],
        [&json!("sky.png"), &json!("image/png"), &json!(2_500_000)]
    );
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    server.kill();
    server.restart().await;
    let back = server.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(back.headers()["content-type"], "image/png");
    assert_eq!(back.headers()["x-content-type-options"], "nosniff");
    assert!(back.bytes().await.unwrap() == bytes);
    assert_eq!(server.get("/v1/images").await.1["data"], json!([image]));
    assert_eq!(server.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(server.get("/v1/images").await.1["data"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn what_is_no_picture_or_too_large_is_refused() {
    let server = Setup::default().start().await;
    assert_eq!(upload(&server, b"<svg/>".to_vec()).await.status(), 400);
    assert_eq!(upload(&server, picture(20 * 1024 * 1024 + 1)).await.status(), 413);
    assert_eq!(server.get("/v1/images/img_1").await.0, 400);
    assert_eq!(server.get("/v1/images/img_00000000000000000000000000000001").await.0, 404);
}

/// A server, its model, and a session.
async fn stage(model: &ModelServer) -> (Server, Talk) {
    let server = Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    let talk = Talk::with(&server, json!({})).await;
    (server, talk)
}

fn pointing(text: &str, images: &[&Value]) -> Value {
    let images = images.iter().map(|id| json!({"type": "image_file", "image_id": id, "filename": "sky.png"}));
    let text = std::iter::once(json!({"type": "text", "text": text}));
    json!({"message": {"content": text.chain(images).collect::<Vec<_>>()}})
}

/// What the model was shown of what the user said last.
fn shown(model: &ModelServer, request: usize, message: usize) -> Value {
    model.requests()[request]["messages"][message]["content"].clone()
}

#[tokio::test]
async fn a_picture_that_a_message_names_reaches_the_model_and_no_log() {
    let model = ModelServer::answering(|_| says("Blue.")).await;
    let (mut server, talk) = stage(&model).await;
    let bytes = picture(1_500_000);
    let image = answer(upload(&server, bytes.clone()).await).await.1;
    let body = pointing("What colour?", &[&image["id"]]);
    let (status, message) = server.post(&talk.path("/messages"), &body).await;
    assert_eq!((status, &message["content"]), (201, &body["message"]["content"]));
    talk.until_idle(&server).await;
    let url = format!("data:image/png;base64,{}", STANDARD.encode(&bytes));
    let parts = json!([
        {"type": "text", "text": "What colour?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]);
    assert!(shown(&model, 0, 1) == parts);
    // The next turn shows it again, also after a restart; what is stored and listed only names it.
    server.kill();
    server.restart().await;
    talk.say(&server, "And now?").await;
    let events = talk.until_idle(&server).await;
    until(&mut talk.follow(&server, "?after_sequence=11").await, "session.idled").await;
    assert!(shown(&model, 1, 1) == parts);
    assert!(serde_json::to_vec(&events).unwrap().len() < 100_000);
    let asked = &talk.events(&server, "?types=llm.generation").await[0]["data"]["messages"][1]["content"];
    assert_eq!(*asked, body["message"]["content"]);
    // Once it is deleted, the model is told so, and the turn goes on.
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    assert_eq!(server.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    talk.say(&server, "Once more?").await;
    until(&mut talk.follow(&server, "?after_sequence=21").await, "turn.completed").await;
    let told = "What colour?\n[The picture sky.png is not available any more.]";
    assert_eq!(shown(&model, 2, 1), json!(told));
}

#[tokio::test]
async fn pictures_that_are_too_large_together_are_left_out_the_oldest_first() {
    let model = ModelServer::answering(|_| says("Yes.")).await;
    let (server, talk) = stage(&model).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(answer(upload(&server, picture(12 * 1024 * 1024)).await).await.1["id"].clone());
    }
    let mut after = 0;
    for id in &ids {
        assert_eq!(server.post(&talk.path("/messages"), &pointing("This?", &[id])).await.0, 201);
        until(&mut talk.follow(&server, &format!("?after_sequence={after}")).await, "session.idled").await;
        after = talk.events(&server, "").await.len();
    }
    let told = "This?\n[The picture sky.png was left out: all pictures together are too large.]";
    assert_eq!(shown(&model, 1, 1), json!(told));
    assert_eq!(shown(&model, 1, 3)[1]["type"], "image_url");
}

#[tokio::test]
async fn a_message_that_names_no_picture_there_is_is_refused_and_not_stored() {
    let model = ModelServer::start([]).await;
    let (server, talk) = stage(&model).await;
    let nothing = json!("img_00000000000000000000000000000001");
    let refusals = [
        (
            pointing("a", &[&nothing]),
            400,
            "message: part 1: there is no image img_00000000000000000000000000000001",
        ),
        (pointing("a", &[&json!("img_1")]), 422, "message: part 1: `image_id` must be the id of an image"),
        (pointing("a", &[&json!(7)]), 422, "message: part 1: `image_id` must be text"),
        (pointing("a", &[&json!(talk.0)]), 422, "message: part 1: `image_id` must be the id of an image"),
    ];
    for (body, status, told) in refusals {
        let (found, problem) = server.post(&talk.path("/messages"), &body).await;
        assert_eq!((found, &problem["error"]["message"]), (status, &json!(told)));
    }
    assert_eq!(talk.events(&server, "").await, Vec::<Value>::new());
    assert_eq!(talk.status(&server).await, "started");
}
