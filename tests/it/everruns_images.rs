//! Pictures over the Everruns surface.

use reqwest::{Method, Response};
use serde_json::{Value, json};

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
