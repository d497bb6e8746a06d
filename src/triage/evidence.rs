//! What an issue can point at: recorded conversations, files, and sessions of this runtime.
//!
//! Evidence is looked up by its kind and id wherever it is needed, so that what is gone is seen to be gone.

mod conversation;
mod file;
mod session;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::conversation::{Conversation, ConversationFilter, ConversationKind, Said, Speaker};
pub use self::file::{File, MAX_FILE_BYTES};
use super::error::Error;
use super::form::words;
use super::{Board, moment};
use crate::domain::Object;
use crate::domain::time::Timestamp;

/// Longest title made from what somebody said, in characters.
const MAX_TITLE_CHARS: usize = 120;

words! {
    /// What sort of evidence.
    ResourceType {
        /// A conversation by voice, or a session of this runtime.
        Call = "call",
        /// A conversation in writing, or a session of this runtime.
        SmsConversation = "sms_conversation",
        /// A file that was uploaded.
        File = "file",
    }
}

/// Evidence that is there, as a link shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// For people.
    pub title: String,
    /// What is worth keeping with the link, should the evidence go.
    pub metadata: Option<Object>,
}

/// What a conversation ran on, and who spoke.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Circumstances {
    /// For people.
    pub title: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// The document it ran on.
    pub document: Option<String>,
    /// Which version of it.
    pub version: Option<u32>,
    /// Who spoke.
    pub persona: Option<Persona>,
}

/// Who speaks for the software in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persona {
    /// Of an agent of this runtime: its id.
    pub id: String,
    /// For people.
    pub name: String,
}

impl Board {
    /// Evidence by its own id; `None` if this server does not know it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn resolve(&self, kind: ResourceType, id: &str) -> Result<Option<Resource>, Error> {
        if let Some(kind) = kind.conversation() {
            if let Some(found) = self.conversation(id).await?.filter(|found| found.kind == kind) {
                let messages = json!(found.message_count);
                return Ok(Some(snapshot(found.shown_title(), found.created, [("message_count", messages)])));
            }
            let Some(session) = self.session(id).await? else { return Ok(None) };
            let agent = json!(session.session.component);
            let title = session::title(&session, kind.into());
            return Ok(Some(snapshot(title, session.session.created, [("agent_id", agent)])));
        }
        let Some(found) = self.file(id).await? else { return Ok(None) };
        let about = [("mime_type", json!(found.mime_type)), ("size", json!(found.size))];
        Ok(Some(snapshot(found.name.clone(), found.created, about)))
    }

    /// What a conversation ran on; `None` if there is no such conversation.
    ///
    /// # Errors
    /// What the store says.
    pub async fn circumstances(&self, kind: ResourceType, id: &str) -> Result<Option<Circumstances>, Error> {
        let Some(kind) = kind.conversation() else { return Ok(None) };
        if let Some(found) = self.conversation(id).await?.filter(|found| found.kind == kind) {
            return Ok(Some(Circumstances {
                title: found.shown_title(),
                started: found.started,
                document: found.document,
                version: found.document_version,
                persona: found.persona,
            }));
        }
        match self.session(id).await? {
            Some(session) => Ok(Some(self.of_session(&session, kind.into()).await?)),
            None => Ok(None),
        }
    }

    /// What was said in a conversation, in order; `None` if there is no such conversation.
    ///
    /// # Errors
    /// What the store says.
    pub async fn transcript(&self, kind: ResourceType, id: &str) -> Result<Option<Vec<Said>>, Error> {
        let Some(kind) = kind.conversation() else { return Ok(None) };
        if self.conversation(id).await?.is_some_and(|found| found.kind == kind) {
            return self.recorded(id).await;
        }
        match self.session(id).await? {
            Some(session) => self.said_in(&session.session.id).await.map(Some),
            None => Ok(None),
        }
    }
}

impl ResourceType {
    /// What evidence is called that is not known here, or has no title.
    pub fn untitled(self, id: &str) -> String {
        let short: String = id.chars().take(8).collect();
        let what = match self {
            Self::Call => "Call",
            Self::SmsConversation => "SMS conversation",
            Self::File => "File",
        };
        format!("{what} {short}")
    }

    fn conversation(self) -> Option<ConversationKind> {
        match self {
            Self::Call => Some(ConversationKind::Call),
            Self::SmsConversation => Some(ConversationKind::SmsConversation),
            Self::File => None,
        }
    }
}

impl From<ConversationKind> for ResourceType {
    fn from(kind: ConversationKind) -> Self {
        match kind {
            ConversationKind::Call => Self::Call,
            ConversationKind::SmsConversation => Self::SmsConversation,
        }
    }
}

/// The start of a text, as a title; `None` if nothing is in it.
fn title_of(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_TITLE_CHARS).collect())
}

fn snapshot<const N: usize>(
    title: String,
    created: Timestamp,
    about: [(&str, serde_json::Value); N],
) -> Resource {
    let mut metadata = Object::new();
    metadata.insert("created_at".into(), moment::written(created).into());
    metadata.extend(about.map(|(name, value)| (name.to_owned(), value)));
    Resource { title, metadata: Some(metadata) }
}
