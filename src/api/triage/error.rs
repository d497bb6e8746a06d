//! Problems as triage clients read them: `{"data": null, "errors": [{"error", "message", "details"?}]}`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::api::problem::{Problem, Violation};
use crate::runtime;
use crate::triage;
use crate::triage::form::Fault;

/// What a handler of this surface fails with; `?` takes what the board says, runtime errors and problems.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Of the board.
    #[error(transparent)]
    Board(#[from] triage::error::Error),
    /// Of reading and guarding.
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        Self::Problem(error.into())
    }
}

impl From<triage::form::Faults> for Error {
    fn from(faults: triage::form::Faults) -> Self {
        Self::Board(faults.into())
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.told().problem.status
    }

    fn error_response(&self) -> HttpResponse {
        self.told().response()
    }
}

impl Error {
    /// As clients are told.
    pub fn told(&self) -> Told {
        use triage::error::Error as Board;
        match self {
            Self::Problem(problem) => Told::of(problem),
            Self::Board(Board::Runtime(error)) => Told::of(&error.clone().into()),
            Self::Board(Board::NotFound(_)) => Told::of(&Problem::not_found(self.to_string())),
            Self::Board(Board::Invalid(faults)) => Told {
                problem: Problem::bad_request(faults.to_string()),
                code: "bad_request",
                details: faults.0.clone(),
            },
            Self::Board(Board::Conflict { code, message, details }) => {
                Told { problem: Problem::conflict(message), code, details: details.clone() }
            }
        }
    }
}

/// The answer to a problem, in this surface's words.
pub fn response(problem: &Problem) -> HttpResponse {
    Told::of(problem).response()
}

/// A problem in this surface's words.
pub struct Told {
    problem: Problem,
    code: &'static str,
    details: Vec<Fault>,
}

impl Told {
    fn of(problem: &Problem) -> Self {
        let code = match problem.status {
            StatusCode::UNAUTHORIZED => {
                let problem = Problem { message: "Unauthorized".into(), ..problem.clone() };
                return Self { problem, code: "AUTH_FAILURE", details: Vec::new() };
            }
            StatusCode::UNPROCESSABLE_ENTITY => return Self::invalid(problem),
            StatusCode::BAD_REQUEST => "bad_request",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limited",
            StatusCode::INTERNAL_SERVER_ERROR => "internal_error",
            _ => problem.code,
        };
        Self { problem: problem.clone(), code, details: Vec::new() }
    }

    /// Here what cannot be read is a bad request.
    fn invalid(problem: &Problem) -> Self {
        let faults: Vec<Fault> = problem.violations.iter().map(fault).collect();
        let whole = |fault: &Fault| fault.path.is_empty();
        let texts = faults.iter().map(|fault| match whole(fault) {
            true => fault.message.clone(),
            false => format!("{}: {}", fault.path, fault.message),
        });
        let message =
            if faults.is_empty() { problem.message.clone() } else { texts.collect::<Vec<_>>().join("; ") };
        let details: Vec<Fault> = faults.into_iter().filter(|fault| !whole(fault)).collect();
        let problem = Problem { status: StatusCode::BAD_REQUEST, message, ..problem.clone() };
        Self { problem, code: "bad_request", details }
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.problem.message
    }

    /// The error object: `error`, `message` and, if there are some, `details`.
    pub fn object(&self) -> Value {
        let mut error = json!({ "error": self.code, "message": self.message() });
        if let (Some(fields), false) = (error.as_object_mut(), self.details.is_empty()) {
            let details = self.details.iter();
            let details = details.map(|Fault { path, message }| json!({ "path": path, "message": message }));
            fields.insert("details".into(), details.collect());
        }
        error
    }

    fn response(&self) -> HttpResponse {
        self.problem.dressed(&json!({ "data": null, "errors": [self.object()] }))
    }
}

/// A place without the `body` or `query` it is in.
fn fault(violation: &Violation) -> Fault {
    let parts = violation.place.iter().skip(1).map(|part| match part {
        Value::String(name) => name.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            part.to_string()
        }
    });
    Fault { path: parts.collect::<Vec<_>>().join("."), message: violation.message.clone() }
}
