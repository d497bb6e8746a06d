//! What speaks for an issue: conversations and files that are known here.

use crate::domain::Object;
use crate::domain::id::SessionId;
use crate::runtime;

use super::Board;
use super::error::Error;
use super::form::words;

words! {
    /// What sort of evidence.
    ResourceType {
        /// A conversation by voice.
        Call = "call",
        /// A conversation in writing.
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

impl Board {
    /// Evidence by its own id; `None` if this server does not know it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn resolve(&self, kind: ResourceType, id: &str) -> Result<Option<Resource>, Error> {
        match kind {
            ResourceType::Call | ResourceType::SmsConversation => self.resolve_session(id).await,
            ResourceType::File => Ok(None),
        }
    }

    /// A session of this runtime is a conversation too.
    async fn resolve_session(&self, id: &str) -> Result<Option<Resource>, Error> {
        let Ok(id) = id.parse::<SessionId>() else { return Ok(None) };
        match self.runtime.session(self.owner(), &id).await {
            Ok(detail) => {
                let title = detail.title().to_owned();
                let mut metadata = Object::new();
                metadata.insert("created_at".into(), detail.session.created.to_string().into());
                Ok(Some(Resource { title, metadata: Some(metadata) }))
            }
            Err(runtime::Error::NoSession(_)) => Ok(None),
            Err(error) => Err(error.into()),
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
}
