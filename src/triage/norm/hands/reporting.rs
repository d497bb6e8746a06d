//! What a run may say that found something: it goes to the feed, and a verification to the draft it is about.

use serde_json::{Value, json};

use super::Reporting;
use crate::triage::document::Verdict;
use crate::triage::documents::WhichVersion;
use crate::triage::error::Error;
use crate::triage::form::Word;

impl Reporting {
    /// Ties a verdict to the issue's draft as it is now, which the run must know: what somebody made of it since was not
    /// looked at.
    pub(in crate::triage::norm) async fn verification(
        &self,
        id: &str,
        verdict: &str,
        summary: &str,
        checks: Value,
    ) -> Result<Value, Error> {
        let reading = &self.reading;
        let document = reading.document(id).await?;
        let known = Verdict::ALL.iter().find(|(_, word)| *word == verdict);
        let (verdict, _) =
            known.ok_or_else(|| Error::invalid("verdict", "must be pass, fail or inconclusive"))?;
        let draft = reading.board.open_draft(reading.issue(), id).await?.ok_or(Error::NotFound("Version"))?;
        let (run, hash) = (reading.run.id.to_string(), draft.content_hash.clone());
        if !reading.has_seen(&hash).await? {
            let message = "The draft is another than the one you know. Read it, and judge it as it is now.";
            return Err(Error::conflict("stale_draft", message));
        }
        let which = WhichVersion::Number(draft.number);
        let noted = reading.board.note_verification(id, which, *verdict, &run, &hash).await?;
        Ok(json!({
            "document_id": id, "document_name": document.name, "version_number": noted.number,
            "content_hash": hash, "verdict": verdict, "summary": summary, "checks": checks,
        }))
    }

    /// Says what the cause is. It is kept in the feed alone.
    pub(in crate::triage::norm) fn diagnosis(cause: &str, confidence: Value, suggestions: Value) -> Value {
        json!({ "root_cause": cause, "confidence": confidence, "suggestions": suggestions })
    }
}
