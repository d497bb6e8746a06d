//! What every answer with a body looks like: `{"data": …, "errors": …}`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::{Value, json};

/// 200 with this.
pub fn ok(data: impl Serialize) -> HttpResponse {
    with(StatusCode::OK, data)
}

/// 201 with this.
pub fn created(data: impl Serialize) -> HttpResponse {
    with(StatusCode::CREATED, data)
}

/// 202 with this.
pub fn accepted(data: impl Serialize) -> HttpResponse {
    with(StatusCode::ACCEPTED, data)
}

/// 201 if it was made, 200 if it was there.
pub fn made(data: impl Serialize, is_new: bool) -> HttpResponse {
    with(if is_new { StatusCode::CREATED } else { StatusCode::OK }, data)
}

/// 204 with nothing.
pub fn gone() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// 200 with part of a list, and where the next part goes on.
pub fn page(items: Vec<Value>, next_cursor: Option<String>) -> HttpResponse {
    ok(json!({ "items": items, "next_cursor": next_cursor }))
}

fn with(status: StatusCode, data: impl Serialize) -> HttpResponse {
    /// In this order.
    #[derive(Serialize)]
    struct Envelope<T> {
        data: T,
        errors: Option<()>,
    }
    HttpResponseBuilder::new(status).json(Envelope { data, errors: None })
}
