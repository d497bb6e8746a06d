//! Sessions of this runtime as evidence: their log is the transcript, so nothing is copied and nothing goes stale.

use serde_json::json;
use uuid::Uuid;

use super::{Circumstances, Persona, ResourceType, Said, Speaker, title_of};
use crate::domain::id::SessionId;
use crate::domain::spec::Spec;
use crate::domain::time::Timestamp;
use crate::domain::view::{Call, RunView};
use crate::runtime::{self, SessionDetail};
use crate::triage::Board;
use crate::triage::error::Error;

/// The prefix that another surface puts before a session's id.
const PREFIX: &str = "session_";

/// The name of a session, else how it begins, else its id.
pub(super) fn title(session: &SessionDetail, kind: ResourceType) -> String {
    title_of(session.title()).unwrap_or_else(|| kind.untitled(session.session.id.as_str()))
}

impl Board {
    /// A session of this runtime, by its id, or as `session_` and 32 hexadecimal digits.
    pub(super) async fn session(&self, id: &str) -> Result<Option<SessionDetail>, Error> {
        let bare = id.strip_prefix(PREFIX).and_then(|digits| Uuid::try_parse(digits).ok());
        let names = [Some(id.to_owned()), bare.map(|id| id.to_string())];
        for name in names.into_iter().flatten() {
            let Ok(name) = name.parse::<SessionId>() else { continue };
            match self.runtime.session(self.documents.owner(), &name).await {
                Ok(found) => return Ok(Some(found)),
                Err(runtime::Error::NoSession(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The agent is who spoke; the document it is bound to is what it ran on, in the version that was in force when
    /// the session was made.
    pub(super) async fn of_session(
        &self,
        found: &SessionDetail,
        kind: ResourceType,
    ) -> Result<Circumstances, Error> {
        let session = &found.session;
        let mut circumstances = Circumstances {
            title: title(found, kind),
            started: Some(session.created),
            ..Circumstances::default()
        };
        let Some(component) = &session.component else { return Ok(circumstances) };
        let spec = self.runtime.catalog().get(session.kind, component);
        let name = spec.map_or_else(|| component.to_string(), |spec| spec.name().to_owned());
        circumstances.persona = Some(Persona { id: component.to_string(), name });
        if let Some(document) = self.document_bound_to(component).await? {
            circumstances.version = document.in_force_at(session.created);
            circumstances.document = Some(document.id);
        }
        Ok(circumstances)
    }

    /// What was said in a session's own runs, oldest first.
    pub(super) async fn said_in(&self, session: &SessionId) -> Result<Vec<Said>, Error> {
        let owner = self.documents.owner();
        let mut said = Vec::new();
        for run in self.runtime.runs(owner, session).await? {
            if run.parent.is_none() {
                said.extend(transcript(&self.runtime.view(owner, &run).await?));
            }
        }
        Ok(said)
    }
}

impl Board {
    /// The run of a session in which the message with this number of its transcript was said; `None` of a conversation
    /// that was registered.
    ///
    /// # Errors
    /// What the store says.
    pub async fn run_behind(
        &self,
        kind: ResourceType,
        id: &str,
        index: usize,
    ) -> Result<Option<RunView>, Error> {
        let Some(kind) = kind.conversation() else { return Ok(None) };
        if self.conversation(id).await?.is_some_and(|found| found.kind == kind) {
            return Ok(None);
        }
        let Some(found) = self.session(id).await? else { return Ok(None) };
        let owner = self.documents.owner();
        let mut before = 0_usize;
        for run in self.runtime.runs(owner, &found.session.id).await? {
            if run.parent.is_none() {
                let view = self.runtime.view(owner, &run).await?;
                before = before.saturating_add(transcript(&view).len());
                if index < before {
                    return Ok(Some(view));
                }
            }
        }
        Ok(None)
    }
}

/// One run as a conversation: what was asked, said and done.
fn transcript(view: &RunView) -> Vec<Said> {
    let mut said = vec![spoken(Speaker::User, &view.input.text, Some(view.created))];
    if matches!(view.spec.as_ref(), Spec::Workflow(_)) {
        said.push(spoken(Speaker::Assistant, &view.answer(), view.ended));
    }
    let joined = |turns| view.steers_after(turns).map(|steer| (Speaker::User, &steer.input.text, steer.at));
    said.extend(joined(0).map(|(role, text, at)| spoken(role, text, Some(at))));
    for (before, turn) in view.said().enumerate() {
        said.push(spoken(Speaker::Assistant, &turn.text, turn.answered));
        said.extend(turn.calls.iter().map(done));
        said.extend(joined(before + 1).map(|(role, text, at)| spoken(role, text, Some(at))));
    }
    said.retain(|said| !said.text.is_empty());
    said
}

fn spoken(role: Speaker, text: &str, created: Option<Timestamp>) -> Said {
    Said { role, text: text.to_owned(), created, node_id: None, node_name: None }
}

/// A call and what came of it, as one line of JSON.
fn done(call: &Call) -> Said {
    let result = call.result.as_ref().map(|result| result.content.as_str());
    let text = json!({ "tool": call.call.name, "arguments": call.call.arguments, "result": result });
    spoken(Speaker::AgentAction, &text.to_string(), call.started)
}
