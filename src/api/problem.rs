//! What went wrong, before a surface dresses it in its own format.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::Value;

use crate::domain::Object;
use crate::runtime;

/// Why a request was not answered as asked. A surface turns it into its own JSON.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs: `not_found`, `invalid`, …
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Which parts of the request are wrong; empty unless the request was invalid.
    pub violations: Vec<Violation>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// One part of a request that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// Stable name of what is wrong: `missing`, `string_type`, …
    pub kind: &'static str,
    /// Where: `body`, `query` or `path`, then keys and indices.
    pub place: Vec<Value>,
    /// For people.
    pub message: String,
    /// What was sent there.
    pub input: Value,
    /// The bounds that were broken, by name.
    pub context: Option<Object>,
}

impl Problem {
    /// A problem without anything special.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), violations: Vec::new(), retry_after: None }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401; carries `WWW-Authenticate`.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 413, naming the limit in bytes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("The request body is over the limit of {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 500, saying nothing.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
    }

    /// 422, naming the parts that are wrong.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let message = violations.first().map_or("invalid request", |first| &first.message).to_owned();
        Self { violations, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message) }
    }

    /// A response with this status, these headers and `body`.
    pub fn dressed(&self, body: &Value) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).json(body);
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<runtime::Error> for Problem {
    fn from(error: runtime::Error) -> Self {
        use runtime::Error;
        let message = error.to_string();
        match error {
            Error::NoComponent { .. } | Error::NoSession(_) | Error::NoRun(_) => Self::not_found(message),
            Error::SessionExists(_) | Error::SessionTaken { .. } | Error::Conflict(_) => {
                Self::conflict(message)
            }
            Error::KeyReused => Self::new(StatusCode::CONFLICT, "idempotency_conflict", message),
            Error::Invalid { field, message } => Self::invalid(vec![Violation {
                kind: "value_error",
                place: vec!["body".into(), field.into()],
                message,
                input: Value::Null,
                context: None,
            }]),
            Error::Busy { retry_after, .. } => Self {
                retry_after: Some(retry_after),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
            },
            Error::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            Error::Full => Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", message),
            Error::Unavailable(_) => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            },
            Error::Damaged => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", message),
            Error::Internal => Self::internal(),
        }
    }
}

/// The dress of requests that reached no surface: AgentOS' one, since it owns the root.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.dressed(&super::agentos::error::body(self))
    }
}
