//! A link from an issue to evidence.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::of_issue;
use super::evidence::{Resource, ResourceType};
use super::issue::ResourceRef;
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

/// A link as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Follows from the issue and the evidence, so that one pair has one link.
    pub id: Uuid,
    /// Of which issue.
    pub issue: Uuid,
    /// The sort of evidence.
    pub resource_type: ResourceType,
    /// Its own id.
    pub resource_id: String,
    /// Its title when it was attached.
    pub title: String,
    /// What was worth keeping when it was attached.
    pub metadata: Option<Object>,
    /// Who attached it.
    pub attached_by: Option<String>,
    /// When.
    pub created: Timestamp,
}

impl Document for Link {
    const KIND: RecordKind = RecordKind("triage_link");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        let names = vec![of_issue(self.issue), of_resource(self.resource_type, &self.resource_id)];
        Tags { sort: self.created.0, listed: false, names }
    }
}

impl Link {
    /// The link an issue has to this evidence, if it has one.
    pub fn id_of(issue: Uuid, evidence: &ResourceRef) -> Uuid {
        Uuid::new_v5(&issue, format!("{}/{}", evidence.kind, evidence.id).as_bytes())
    }

    /// A link to evidence that may not be known here.
    pub fn new(
        issue: Uuid,
        evidence: &ResourceRef,
        found: Option<&Resource>,
        by: &str,
        now: Timestamp,
    ) -> Self {
        let title = found.map(|resource| resource.title.clone()).filter(|title| !title.is_empty());
        Self {
            id: Self::id_of(issue, evidence),
            issue,
            resource_type: evidence.kind,
            resource_id: evidence.id.clone(),
            title: title.unwrap_or_else(|| evidence.kind.untitled(&evidence.id)),
            metadata: found.and_then(|resource| resource.metadata.clone()),
            attached_by: Some(by.to_owned()),
            created: now,
        }
    }
}

/// All links to this evidence. The id is anybody's text, so its hash stands for it.
pub fn of_resource(kind: ResourceType, id: &str) -> Tag {
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{kind}/{id}").as_bytes());
    Tag::new("resource", name.to_string())
}
