//! The triage surface, `/v1/triage`: Bland's interface to issues, and Norm who works on them.
//!
//! `routes` is its table of contents. `envelope` and `error` are what every answer looks like, `body` and `query` how
//! requests are read; the other files are the handlers, and what they answer with (`…_body`). `mcp` offers them as tools,
//! `openapi` and `schemas` describe them.

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
pub mod mcp;
pub mod member;
mod openapi;
mod paging;
pub mod query;
mod relations;
mod resources;
mod routes;
mod schemas;
mod session_body;
mod sessions;

pub use openapi::{PATH as DOCUMENT_PATH, document};
pub use routes::configure;

use crate::domain::time::Timestamp;
use crate::triage;

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
