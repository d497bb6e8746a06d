//! What every answer with a body looks like: `{"data": …, "errors": …}`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::once;

/// What a handler answers when it did what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    status: StatusCode,
    data: Option<Value>,
    is_again: bool,
}

/// 200 with this.
pub fn ok(data: Value) -> Answer {
    with(StatusCode::OK, data)
}

/// 201 with this.
pub fn created(data: Value) -> Answer {
    with(StatusCode::CREATED, data)
}

/// 202 with this.
pub fn accepted(data: Value) -> Answer {
    with(StatusCode::ACCEPTED, data)
}

/// 201 if it was made, 200 if it was there.
pub fn made(data: Value, is_new: bool) -> Answer {
    with(if is_new { StatusCode::CREATED } else { StatusCode::OK }, data)
}

/// 204 with nothing.
pub fn gone() -> Answer {
    Answer { status: StatusCode::NO_CONTENT, data: None, is_again: false }
}

/// 200 with part of a list, and where the next part goes on.
pub fn page(items: Vec<Value>, next_cursor: Option<String>) -> Answer {
    ok(json!({ "items": items, "next_cursor": next_cursor }))
}

fn with(status: StatusCode, data: Value) -> Answer {
    Answer { status, data: Some(data), is_again: false }
}

impl Answer {
    /// The same, saying so if it answers a request that came before.
    #[must_use]
    pub fn again(self, is_again: bool) -> Self {
        Self { is_again, ..self }
    }

    /// What it holds, without the envelope.
    pub fn into_data(self) -> Option<Value> {
        self.data
    }
}

impl Responder for Answer {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        /// In this order.
        #[derive(Serialize)]
        struct Envelope {
            data: Value,
            errors: Option<()>,
        }
        let mut response = HttpResponseBuilder::new(self.status);
        let response = match self.data {
            Some(data) => response.json(Envelope { data, errors: None }),
            None => response.finish(),
        };
        once::marked(response, self.is_again)
    }
}
