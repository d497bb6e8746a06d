//! Conversations that somebody recorded: registered whole, never changed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Persona, ResourceType, title_of};
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::time::Timestamp;
use crate::runtime;
use crate::runtime::documents::{Changes, Document, Listed, Listing};
use crate::triage::Board;
use crate::triage::error::Error;
use crate::triage::form::words;

words! {
    /// What sort of conversation.
    ConversationKind {
        /// Spoken.
        Call = "call",
        /// Written.
        SmsConversation = "sms_conversation",
    }
}

/// A conversation without what was said in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Chosen by who registered it, or made.
    pub id: String,
    /// What sort.
    pub kind: ConversationKind,
    /// For people.
    pub title: Option<String>,
    /// What happened.
    pub summary: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The document it ran on.
    pub document: Option<String>,
    /// Which version of it.
    pub document_version: Option<u32>,
    /// Who spoke for the software.
    pub persona: Option<Persona>,
    /// Kept for the client.
    pub metadata: Option<Object>,
    /// How much was said.
    pub message_count: usize,
    /// How it begins; a title where nobody gave one.
    pub first_message: Option<String>,
    /// When it was registered.
    pub created: Timestamp,
}

impl Conversation {
    /// Its title, else its summary, else how it begins, else its id.
    pub fn shown_title(&self) -> String {
        let given = [&self.title, &self.summary, &self.first_message];
        let given = given.into_iter().flatten().find_map(|text| title_of(text));
        given.unwrap_or_else(|| ResourceType::from(self.kind).untitled(&self.id))
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub role: Speaker,
    /// What.
    pub text: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Where in a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// What that place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

words! {
    /// Who says something.
    Speaker {
        /// A person.
        User = "user",
        /// The software.
        Assistant = "assistant",
        /// The software, doing something.
        AgentAction = "agent-action",
    }
}

/// Which conversations to list.
#[derive(Debug, Clone, Default)]
pub struct ConversationFilter {
    /// Only these.
    pub kind: Option<ConversationKind>,
    /// Only those that ran on this document.
    pub document: Option<String>,
}

impl Document for Conversation {
    const KIND: RecordKind = RecordKind("triage_conversation");

    fn id(&self) -> String {
        self.id.clone()
    }

    fn tags(&self) -> Tags {
        let mut names = vec![of_kind(self.kind)];
        if let Some(document) = &self.document {
            names.insert(0, of_document(document));
            names.push(of_both(self.kind, document));
        }
        Tags { sort: self.created.0, listed: true, names }
    }
}

fn of_kind(kind: ConversationKind) -> Tag {
    Tag::new("kind", kind.as_str())
}

fn of_document(document: &str) -> Tag {
    Tag::new("document", name_of(document))
}

fn of_both(kind: ConversationKind, document: &str) -> Tag {
    Tag::new("kind_document", format!("{kind}/{}", name_of(document)))
}

/// A document's id is anybody's text here, so its hash stands for it.
fn name_of(document: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, document.as_bytes()).to_string()
}

/// What was said in a conversation: a record of its own, so that lists need not read it.
#[derive(Serialize, Deserialize)]
struct Transcript {
    id: String,
    messages: Vec<Said>,
}

impl Document for Transcript {
    const KIND: RecordKind = RecordKind("triage_transcript");

    fn id(&self) -> String {
        self.id.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

impl Board {
    /// Keeps a conversation.
    ///
    /// # Errors
    /// `already_exists`; what the store says.
    pub async fn register(
        &self,
        conversation: Conversation,
        messages: Vec<Said>,
    ) -> Result<Conversation, Error> {
        let transcript = Transcript { id: conversation.id.clone(), messages };
        let changes = Changes::default().create(&conversation).create(&transcript);
        match self.documents.write(changes).await {
            Ok(()) => Ok(conversation),
            Err(runtime::Error::Conflict(_)) => {
                let message = format!("Conversation with id '{}' already exists", conversation.id);
                Err(Error::conflict("already_exists", message))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A registered conversation.
    ///
    /// # Errors
    /// What the store says.
    pub async fn conversation(&self, id: &str) -> Result<Option<Conversation>, Error> {
        Ok(self.documents.get::<Conversation>(id).await?.map(|stored| stored.value))
    }

    /// What was said in a registered conversation.
    ///
    /// # Errors
    /// What the store says.
    pub async fn recorded(&self, id: &str) -> Result<Option<Vec<Said>>, Error> {
        Ok(self.documents.get::<Transcript>(id).await?.map(|stored| stored.value.messages))
    }

    /// Part of the list of registered conversations; what the listing says of tags is overwritten.
    ///
    /// # Errors
    /// What the store says.
    pub async fn conversations(
        &self,
        filter: &ConversationFilter,
        listing: Listing,
    ) -> Result<Listed<Conversation>, Error> {
        let tag = match (filter.kind, &filter.document) {
            (None, None) => None,
            (Some(kind), None) => Some(of_kind(kind)),
            (None, Some(document)) => Some(of_document(document)),
            (Some(kind), Some(document)) => Some(of_both(kind, document)),
        };
        Ok(self.documents.list(Listing { tag, ..listing }).await?)
    }

    /// Takes a conversation away; says whether there was one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_conversation(&self, id: &str) -> Result<bool, Error> {
        let found = self.conversation(id).await?.is_some();
        if found {
            let changes = Changes::default().delete::<Conversation>(id).delete::<Transcript>(id);
            self.documents.write(changes).await?;
        }
        Ok(found)
    }
}
