//! Agents that clients made: documents, beside the files of the catalog.

use serde::{Deserialize, Serialize};

use super::documents::Document;
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::spec::AgentSpec;
use crate::domain::time::Timestamp;

/// An agent that a client made, or that takes the place of the file of its id for its owner. Whoever writes one calls
/// [`Runtime::refresh`](super::Runtime::refresh) then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedAgent {
    /// What runs.
    pub spec: AgentSpec,
    /// To find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether nothing new may run with it.
    #[serde(default)]
    pub archived: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// What a surface keeps with it, in its own words.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub extra: Object,
}

impl Document for SavedAgent {
    const KIND: RecordKind = RecordKind("agent");

    fn id(&self) -> String {
        self.spec.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: Vec::new() }
    }
}
