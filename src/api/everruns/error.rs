//! Problems as Everruns clients read them: `{"error": {"code", "message"}}`, the one form all its SDKs understand.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::api::problem::Problem;
use crate::runtime;

/// What a handler of this surface fails with; `?` takes runtime errors and problems.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Error(Problem);

impl Error {
    /// 404 with this message: a well-formed id of nothing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self(Problem::not_found(message))
    }

    /// 400 with this message.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self(Problem::bad_request(message))
    }

    /// 400 for what is longer or more than is taken; it does not say what.
    pub fn over_limits() -> Self {
        Self::bad_request("Input exceeds allowed limits")
    }

    /// 409 with this message.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self(Problem::conflict(message))
    }

    /// 403 with this message.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self(Problem::new(StatusCode::FORBIDDEN, "forbidden", message))
    }

    /// 503: a part that this needs is not configured.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message))
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<runtime::Error> for Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "three are told in other words, the rest as everywhere"
    )]
    fn from(error: runtime::Error) -> Self {
        Self(match error {
            runtime::Error::NoSession(_) => Problem::not_found("Session not found"),
            runtime::Error::NoRun(_) => Problem::not_found("Turn not found"),
            runtime::Error::NoComponent { .. } => Problem::not_found("Agent not found"),
            other => other.into(),
        })
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        response(&self.0)
    }
}

/// The answer to a problem, in this surface's words.
pub fn response(problem: &Problem) -> HttpResponse {
    problem.dressed(&body(problem))
}

fn body(problem: &Problem) -> Value {
    let message = message(problem);
    json!({
        "error": { "code": code(problem.status), "message": message },
        "title": problem.status.canonical_reason().unwrap_or("Error"),
        "status": problem.status.as_u16(),
        "detail": message,
    })
}

/// What is wrong, each part with its place. Of our own faults nothing is told.
fn message(problem: &Problem) -> String {
    if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
        return "Internal server error".into();
    }
    if problem.violations.is_empty() {
        return problem.message.clone();
    }
    let told = problem.violations.iter().map(|wrong| {
        let parts = wrong.place.iter().skip(1).map(|part| match part {
            Value::String(name) => name.clone(),
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        });
        let place = parts.collect::<Vec<_>>().join(".");
        if place.is_empty() { wrong.message.clone() } else { format!("{place}: {}", wrong.message) }
    });
    told.collect::<Vec<_>>().join("; ")
}

/// The words of [`code`].
pub(super) const CODES: [&str; 9] = [
    "invalid_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "rate_limited",
    "unavailable",
    "internal_error",
];

/// Section 2: the few words that programs look at.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => "unavailable",
        status if status.is_server_error() => "internal_error",
        _ => "invalid_request",
    }
}
