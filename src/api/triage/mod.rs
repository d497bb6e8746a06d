//! The triage surface, `/v1/triage`: Bland's interface to issues, and Norm who works on them.
//!
//! `routes` is its table of contents. `envelope` and `error` are what every answer looks like, `body` and `query` how
//! requests are read; the other files are the handlers, and what they answer with (`…_body`).

mod affected;
pub mod body;
mod conversation_body;
mod conversations;
mod document_body;
mod documents;
pub mod entry_body;
pub mod envelope;
pub mod error;
mod evidence_routes;
mod feed;
mod files;
pub mod issue_body;
mod issues;
mod paging;
pub mod query;
mod relations;
mod resources;
mod routes;
mod session_body;
mod sessions;

pub use routes::configure;

use actix_web::HttpRequest;
use uuid::Uuid;

use self::error::Error;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::domain::time::Timestamp;
use crate::triage::{self, Board, form};

/// The caller's board.
pub(super) fn board(state: &ApiState, caller: &Caller) -> Board {
    state.triage.of(caller.owner())
}

/// An id in the address. What is none names nothing.
///
/// # Errors
/// 404 `<what> not found`.
pub(super) fn path_uuid(request: &HttpRequest, name: &str, what: &'static str) -> Result<Uuid, Error> {
    let found = form::uuid(&path_text(request, name).to_ascii_lowercase());
    found.ok_or_else(|| triage::error::Error::NotFound(what).into())
}

/// The issue in the address.
///
/// # Errors
/// 404 for what is no id.
pub(super) fn path_issue(request: &HttpRequest) -> Result<Uuid, Error> {
    path_uuid(request, "id", "Issue")
}

/// A moment: RFC 3339 in UTC, with milliseconds.
pub(super) fn moment(at: Timestamp) -> String {
    triage::moment::written(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds_that_are_cut_and_not_rounded() {
        assert_eq!(moment(Timestamp(1_778_101_797_081_999)), "2026-05-06T21:09:57.081Z");
        assert_eq!(moment(Timestamp(1_778_101_797_000_000)), "2026-05-06T21:09:57.000Z");
    }
}
