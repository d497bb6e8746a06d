//! What the tools of a run get hold of: by type, not by a flag.
//!
//! A run that may only read has a [`Reading`], which has no way to write; one that may report has a [`Reporting`] as
//! well; only a run that mends has a [`Writing`]. They are made here, of the run's own record.

mod reading;
mod reporting;
mod writing;

use uuid::Uuid;

use super::run::NormRun;
use crate::domain::id::RunId;
use crate::triage::Board;
use crate::triage::document::TriageDocument;
use crate::triage::error::Error;
use crate::triage::intent::Intent;

/// Reads what belongs to the run's issue.
pub(super) struct Reading {
    board: Board,
    run: NormRun,
}

/// Says what was found.
pub(super) struct Reporting {
    reading: Reading,
}

/// Changes the issue and its drafts.
pub(super) struct Writing {
    reading: Reading,
    /// Names the call: the same after a restart.
    key: String,
}

impl Reading {
    /// Of any run.
    pub(super) fn of(board: Board, run: NormRun) -> Self {
        Self { board, run }
    }

    fn issue(&self) -> Uuid {
        self.run.issue
    }

    /// Whether the run was told of a content: in its snapshot, or by a tool.
    async fn has_seen(&self, hash: &str) -> Result<bool, Error> {
        let runtime = self.board.runtime();
        let run = runtime.run(self.board.owner(), RunId(self.run.id)).await?;
        let view = runtime.view(self.board.owner(), &run).await?;
        let told = view.calls().filter_map(|call| call.result.as_ref()).map(|result| &result.content);
        Ok(view.options.context.iter().chain(told).any(|text| text.contains(hash)))
    }

    /// One of the documents the issue is about: no other may be read.
    async fn document(&self, id: &str) -> Result<TriageDocument, Error> {
        let about = self.board.documents_about(self.issue()).await?;
        about.into_iter().find(|document| document.id == id).ok_or(Error::NotFound("Document"))
    }
}

impl Reporting {
    /// Of a run that may report.
    pub(super) fn of(board: Board, run: NormRun) -> Option<Self> {
        let may = matches!(run.intent, Intent::Fix | Intent::Verify);
        may.then(|| Self { reading: Reading::of(board, run) })
    }
}

impl Writing {
    /// Of a run that may write.
    pub(super) fn of(board: Board, run: NormRun, key: &str) -> Option<Self> {
        let may = run.intent == Intent::Fix;
        may.then(|| Self { reading: Reading::of(board, run), key: key.to_owned() })
    }
}
