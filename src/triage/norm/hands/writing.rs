//! What only a run may that mends: change drafts and the issue. Each change is keyed by its call, so that one that is
//! repeated after a crash changes nothing.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Writing;
use crate::domain::Object;
use crate::triage::drafts::DraftEdit;
use crate::triage::error::Error;
use crate::triage::flag::Mark;
use crate::triage::issue::IssuePatch;
use crate::triage::norm::actor;
use crate::triage::norm::snapshot::issue_told;
use crate::triage::patch::Op;
use crate::triage::relation::NewRelation;

impl Writing {
    pub(in crate::triage::norm) async fn edit_draft(
        &self,
        id: &str,
        ops: &Value,
        summary: Option<&str>,
    ) -> Result<Value, Error> {
        let reading = &self.reading;
        let document = reading.document(id).await?;
        let ops: Vec<Op> = serde_json::from_value(ops.clone())
            .map_err(|error| Error::invalid("ops", format!("cannot be read: {error}")))?;
        let session = reading.run.session.to_string();
        let edit =
            DraftEdit { issue: reading.issue(), session: &session, key: &self.key, ops: &ops, summary };
        let saved = reading.board.edit_draft(id, &edit, actor()).await?;
        Ok(json!({
            "document_id": id, "document_name": document.name, "version_id": saved.version.id,
            "version_number": saved.version.number, "base_version_number": saved.version.base,
            "content_hash": saved.version.content_hash, "summary": saved.version.summary,
            "changes": saved.changes,
        }))
    }

    pub(in crate::triage::norm) async fn discard_draft(&self, id: &str) -> Result<Value, Error> {
        let reading = &self.reading;
        reading.document(id).await?;
        let number = reading.board.discard_for(reading.issue(), id, &self.key).await?;
        Ok(json!({ "document_id": id, "discarded": number }))
    }

    /// Changes status, severity or category; what is over is for people to say.
    pub(in crate::triage::norm) async fn update_issue(&self, arguments: &Object) -> Result<Value, Error> {
        let known = ["status", "severity", "category"];
        let fields = arguments.iter().filter(|(name, _)| known.contains(&name.as_str()));
        let patch = IssuePatch::read(&fields.map(|(name, value)| (name.clone(), value.clone())).collect())?;
        if patch.status.is_some_and(|status| status.is_over()) {
            return Err(Error::invalid("status", "only a person closes an issue"));
        }
        let issue = self.reading.board.change_issue(self.reading.issue(), patch, &actor()).await?;
        Ok(issue_told(&issue))
    }

    pub(in crate::triage::norm) async fn add_flag(&self, arguments: &Object) -> Result<Value, Error> {
        let mark = Mark::read(arguments)?;
        let id = Uuid::new_v5(&self.reading.run.id, self.key.as_bytes());
        let flag = self.reading.board.flag_as(id, self.reading.issue(), mark, &actor()).await?;
        Ok(json!({ "flag_id": flag.id, "call_id": flag.mark.call_id, "type": flag.mark.kind }))
    }

    pub(in crate::triage::norm) async fn link_issue(&self, arguments: &Object) -> Result<Value, Error> {
        let new = NewRelation::read(arguments)?;
        let (seen, is_new) = self.reading.board.relate(self.reading.issue(), new, &actor()).await?;
        Ok(json!({ "relation_id": seen.relation.id, "related": seen.other.triage_id(), "is_new": is_new }))
    }
}
