//! What is kept of providers and models.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Kind;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::id::ModelName;
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

/// A provider that an owner keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedProvider {
    /// Which.
    pub id: Uuid,
    /// What models' names begin with: for ever, whatever it is called.
    pub key: String,
    /// For people.
    pub name: String,
    /// What it speaks, in the words of [`KINDS`].
    pub provider_type: String,
    /// Where it is, if not where providers of its kind are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Whether nobody may ask it.
    #[serde(default)]
    pub disabled: bool,
    /// When it last said which models it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced: Option<Timestamp>,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// Kinds of providers: the word, what is spoken to, where it usually is, and the variable that may hold its key.
pub const KINDS: [(&str, Kind, Option<&str>, &str); 5] = [
    ("openai", Kind::OpenAi, Some("https://api.openai.com/v1"), "OPENAI_API_KEY"),
    ("openai_completions", Kind::OpenAi, Some("https://api.openai.com/v1"), "OPENAI_API_KEY"),
    ("anthropic", Kind::OpenAi, Some("https://api.anthropic.com/v1"), "ANTHROPIC_API_KEY"),
    (
        "gemini",
        Kind::OpenAi,
        Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        "GEMINI_API_KEY",
    ),
    ("llmsim", Kind::Scripted, None, ""),
];

impl SavedProvider {
    /// Where its key is sealed for.
    pub fn key_place(id: Uuid) -> String {
        format!("provider/{id}/api_key")
    }

    /// What is spoken to, where that usually is, and the variable that may hold the key.
    pub fn kind(&self) -> (Kind, Option<&'static str>, &'static str) {
        let found = KINDS.iter().find(|(word, ..)| *word == self.provider_type);
        found.map_or((Kind::OpenAi, None, ""), |(_, kind, usual, variable)| (*kind, *usual, *variable))
    }
}

impl Document for SavedProvider {
    const KIND: RecordKind = RecordKind("provider");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: Vec::new() }
    }
}

/// Where a model is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Somebody said so.
    Manual,
    /// Its provider said so.
    Discovered,
    /// The configuration, or an agent, names it.
    Predefined,
}

/// A model that an owner keeps, of his own providers or of the configuration's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedModel {
    /// Its id at the surface: made of its name.
    pub id: Uuid,
    /// Whose, and which.
    pub name: ModelName,
    /// For people.
    pub display_name: String,
    /// What it can do, in the words of whoever added it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether it is shown first.
    #[serde(default)]
    pub is_favorite: bool,
    /// Whether nobody may ask it.
    #[serde(default)]
    pub disabled: bool,
    /// Where it is known from.
    pub source: Origin,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

impl SavedModel {
    /// What models of a provider carry.
    pub fn tag(provider: &str) -> Tag {
        Tag::new("provider", provider)
    }
}

impl Document for SavedModel {
    const KIND: RecordKind = RecordKind("model");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: vec![Self::tag(&self.name.provider)] }
    }
}

/// The id of the one document of its kind.
pub const THE_DEFAULT: &str = "default";

/// The model that answers where nothing is said: one at most, because there is one such document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultModel {
    /// Which.
    pub model: ModelName,
}

impl Document for DefaultModel {
    const KIND: RecordKind = RecordKind("default_model");

    fn id(&self) -> String {
        THE_DEFAULT.into()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// A provider's key that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderKey {
    /// What models' names begin with.
    pub key: String,
    /// By whom.
    pub provider: Uuid,
}

impl Document for ProviderKey {
    const KIND: RecordKind = RecordKind("provider_key");

    fn id(&self) -> String {
        self.key.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}
