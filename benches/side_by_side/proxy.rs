//! The yardstick: the least an actix-web server can do with a model's stream, which is to pass it on.

use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use crate::child::{announce, local};

/// Serves until the process ends. `upstream` is scheme, host and port.
pub(crate) fn serve(upstream: &str) {
    let url = format!("{upstream}/v1/chat/completions");
    actix_web::rt::System::new()
        .block_on(async move {
            let server = HttpServer::new(move || {
                // One client a worker: the connections live where they are used.
                let client = reqwest::Client::builder().tcp_nodelay(true).build().expect("a client");
                App::new()
                    .app_data(web::Data::new((client, url.clone())))
                    .route("/v1/chat/completions", web::post().to(pass_on))
            })
            .workers(2)
            // Without it the first piece waits for the client to acknowledge the head: 40 ms.
            .tcp_nodelay(true)
            .disable_signals()
            .bind(local(0))?;
            announce(*server.addrs().first().expect("it listens somewhere"));
            server.run().await
        })
        .expect("the proxy serves");
}

async fn pass_on(upstream: web::Data<(reqwest::Client, String)>, body: Bytes) -> HttpResponse {
    let (client, url) = upstream.get_ref();
    let json = HeaderValue::from_static("application/json");
    match client.post(url).header(CONTENT_TYPE, json).body(body).send().await {
        Ok(answer) => HttpResponse::build(
            actix_web::http::StatusCode::from_u16(answer.status().as_u16()).expect("a status"),
        )
        .content_type("text/event-stream")
        .streaming(answer.bytes_stream()),
        Err(error) => HttpResponse::BadGateway().body(error.to_string()),
    }
}
