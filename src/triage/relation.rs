//! Relations: an issue is tied to another; kept once, seen from both.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::form::{Faults, Form, words};
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

words! {
    /// How one issue is tied to another.
    RelationType {
        /// In some way.
        RelatedTo = "related_to",
        /// The other waits for it.
        Blocks = "blocks",
        /// It says the same as the other.
        DuplicateOf = "duplicate_of",
    }
}

/// A relation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Follows from both issues and the type, so that the same relation is there once.
    pub id: Uuid,
    /// The issue it was made on.
    pub from: Uuid,
    /// The other.
    pub to: Uuid,
    /// How.
    #[serde(rename = "type")]
    pub kind: RelationType,
    /// Who made it.
    pub author: Option<String>,
    /// When.
    pub created: Timestamp,
}

impl Document for Relation {
    const KIND: RecordKind = RecordKind("triage_relation");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        let names = vec![source(self.from), target(self.to)];
        Tags { sort: self.created.0, listed: false, names }
    }
}

impl Relation {
    /// The relation between these, if there is one.
    pub fn id_of(from: Uuid, new: &NewRelation) -> Uuid {
        Uuid::new_v5(&from, format!("{}/{}", new.kind, new.to).as_bytes())
    }

    /// The issue on the other side.
    pub fn other(&self, issue: Uuid) -> Uuid {
        if self.from == issue { self.to } else { self.from }
    }
}

/// Relations made on an issue.
pub(super) fn source(issue: Uuid) -> Tag {
    Tag::new("source", issue.to_string())
}

/// Relations made to an issue.
pub(super) fn target(issue: Uuid) -> Tag {
    Tag::new("target", issue.to_string())
}

/// A relation that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRelation {
    /// The other issue.
    pub to: Uuid,
    /// How.
    pub kind: RelationType,
}

impl NewRelation {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sent: &Object) -> Result<Self, Faults> {
        let mut form = Form::of(sent);
        let to = form.required("related_issue_id", |form| form.uuid("related_issue_id"));
        let kind = form.required("relation_type", |form| form.word("relation_type").map(Some));
        form.done(Self { to, kind: kind.unwrap_or(RelationType::RelatedTo) })
    }
}
