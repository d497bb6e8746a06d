//! Agents that clients made: documents, beside the files of the catalog.

use serde::{Deserialize, Serialize};

use super::Runtime;
use super::documents::{Changes, Document, Stored};
use super::error::Error;
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::id::{ComponentId, ModelName, Owner};
use crate::domain::spec::AgentSpec;
use crate::domain::time::Timestamp;

/// An agent that a client made, or that takes the place of the file of its id for its owner. Whoever writes one without
/// [`Runtime::change_agent`] calls [`Runtime::refresh`] then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedAgent {
    /// What runs.
    pub spec: AgentSpec,
    /// Whether nobody said who answers: then it is whoever answers where nothing is said, and `spec.model` counts only
    /// where there is nobody of that kind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_model: bool,
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

impl SavedAgent {
    /// What runs where nothing is said answers as `default`.
    pub(super) fn into_spec(self, default: Option<&ModelName>) -> AgentSpec {
        let mut spec = self.spec;
        if let Some(default) = default.filter(|_| self.any_model) {
            spec.model = default.clone();
        }
        spec
    }
}

impl Runtime {
    /// Reads an agent that was saved, has it made or changed, writes it; what begins from then on sees it. It is done
    /// whole, though whoever asked goes away.
    ///
    /// # Errors
    /// What `edit` says; what the store says.
    pub async fn change_agent<T, E>(
        &self,
        owner: &Owner,
        id: &ComponentId,
        mut edit: impl FnMut(Option<Stored<SavedAgent>>) -> Result<(T, SavedAgent), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (runtime, documents, id) = (self.clone(), self.documents(owner), id.to_string());
        let changing = tokio::spawn(async move {
            let written = |found: Option<Stored<SavedAgent>>| {
                let before = found.clone();
                let (answer, after) = edit(found)?;
                let changes = match &before {
                    Some(before) => Changes::default().replace(before, &after),
                    None => Changes::default().create(&after),
                };
                Ok((answer, changes))
            };
            let answer = documents.change::<SavedAgent, T, E>(&id, written).await;
            runtime.refresh(documents.owner());
            answer
        });
        changing.await.map_err(|_| Error::Internal)?
    }
}
