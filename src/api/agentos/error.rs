//! Problems as AgentOS clients read them: `{"detail": …}`, a list where parts of the request are wrong.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::api::problem::{Problem, Violation};
use crate::runtime;

/// What a handler of this surface fails with; `?` takes runtime errors and problems.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Error(Problem);

impl Error {
    /// 404 with this detail.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self(Problem::not_found(detail))
    }

    /// 400 with this detail.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self(Problem::bad_request(detail))
    }

    /// 409 with this detail.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self(Problem::conflict(detail))
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// What it dresses.
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        Self(error.into())
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        self.0.dressed(&body(&self.0))
    }
}

/// A problem's body.
pub fn body(problem: &Problem) -> Value {
    if problem.violations.is_empty() {
        return json!({ "detail": problem.message });
    }
    let items: Vec<Value> = problem.violations.iter().map(item).collect();
    json!({ "detail": items })
}

fn item(violation: &Violation) -> Value {
    let mut item = json!({
        "type": violation.kind,
        "loc": violation.place,
        "msg": violation.message,
        "input": violation.input,
    });
    if let (Some(context), Some(fields)) = (&violation.context, item.as_object_mut()) {
        fields.insert("ctx".into(), Value::Object(context.clone()));
    }
    item
}
