//! What is drafted, verified and published: named JSON values in numbered versions.
//!
//! Saving makes a version that is not live; only publishing makes it live. So whatever an agent writes, production is
//! what a person let go live.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::entry::{Actor, of_issue};
use super::form::{Fault, words};
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

/// Largest content, in bytes of its canonical spelling.
pub const MAX_CONTENT_BYTES: usize = 1024 * 1024;
/// How many publications a document remembers.
const MAX_PUBLICATIONS: usize = 1000;

words! {
    /// What sort of document.
    DocumentKind {
        /// An agent: an object of an agent file's settings, and its `instructions`.
        AgentConfig = "agent_config",
        /// A workflow: an object.
        Workflow = "workflow",
        /// A text, or an object that holds one.
        Prompt = "prompt",
    }
}

words! {
    /// Where a version stands.
    VersionStatus {
        /// May be changed; is not live.
        Draft = "draft",
        /// Is or was live; never changes.
        Published = "published",
        /// Was given up; never changes.
        Discarded = "discarded",
    }
}

words! {
    /// What came of a verification.
    Verdict {
        /// The draft does what it should.
        Pass = "pass",
        /// It does not.
        Fail = "fail",
        /// It cannot be told.
        Inconclusive = "inconclusive",
    }
}

impl DocumentKind {
    /// What is wrong with a content; paths begin with `content`.
    pub fn faults(self, content: &Value) -> Vec<Fault> {
        match (self, content) {
            (Self::AgentConfig, Value::Object(fields)) => fields_of_agent(fields),
            (Self::Workflow | Self::Prompt, Value::Object(_)) | (Self::Prompt, Value::String(_)) => {
                Vec::new()
            }
            (Self::AgentConfig | Self::Workflow, _) => vec![fault("content", "must be an object")],
            (Self::Prompt, _) => vec![fault("content", "must be a string or an object")],
        }
    }
}

fn fault(path: &str, message: &str) -> Fault {
    Fault { path: path.into(), message: message.into() }
}

fn fields_of_agent(fields: &serde_json::Map<String, Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    match fields.get("instructions") {
        Some(Value::String(text)) if !text.trim().is_empty() => {}
        None | Some(Value::Null) => faults.push(fault("content.instructions", "required")),
        Some(_) => faults.push(fault("content.instructions", "must be a string, and not blank")),
    }
    if fields.get("model").is_some_and(|model| !model.is_string() && !model.is_null()) {
        faults.push(fault("content.model", "must be a string"));
    }
    for name in ["capabilities", "tools"] {
        if fields.get(name).is_some_and(|list| !list.is_array() && !list.is_null()) {
            faults.push(fault(&format!("content.{name}"), "must be an array"));
        }
    }
    faults
}

/// A document, without what its versions say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriageDocument {
    /// Made.
    pub id: String,
    /// For people.
    pub name: String,
    /// What sort.
    pub kind: DocumentKind,
    /// The agent whose definition its production version is.
    pub agent: Option<String>,
    /// What went live and when, oldest first; the last one is production.
    publications: Vec<Publication>,
    /// The number of its newest version.
    pub latest: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Publication {
    version: u32,
    at: Timestamp,
}

impl TriageDocument {
    /// A document whose first version goes live now.
    pub fn new(id: String, name: String, kind: DocumentKind, agent: Option<String>, now: Timestamp) -> Self {
        let publications = vec![Publication { version: 1, at: now }];
        Self { id, name, kind, agent, publications, latest: 1, created: now, updated: now }
    }

    /// The version that is live.
    pub fn production(&self) -> u32 {
        self.publications.last().map_or(1, |last| last.version)
    }

    /// The version that was live at a moment; `None` before there was one.
    pub fn in_force_at(&self, moment: Timestamp) -> Option<u32> {
        let before = self.publications.iter().rev().find(|publication| publication.at <= moment);
        before.map(|publication| publication.version)
    }

    /// Another version goes live.
    pub fn publish(&mut self, version: u32, now: Timestamp) {
        if self.publications.len() >= MAX_PUBLICATIONS {
            self.publications.remove(0);
        }
        self.publications.push(Publication { version, at: now });
        self.updated = now;
    }
}

impl Document for TriageDocument {
    const KIND: RecordKind = RecordKind("triage_document");

    fn id(&self) -> String {
        self.id.clone()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: vec![Tag::new("kind", self.kind.as_str())] }
    }
}

/// A version, without what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Made.
    pub id: String,
    /// Of which document.
    pub document: String,
    /// Counts from 1.
    pub number: u32,
    /// Where it stands.
    pub status: VersionStatus,
    /// The version it was made from.
    pub base: Option<u32>,
    /// Of what it says: SHA-256 of the canonical spelling.
    pub content_hash: String,
    /// What it changes, for people.
    pub summary: String,
    /// A short name.
    pub label: Option<String>,
    /// The issue it was drafted for.
    pub issue: Option<Uuid>,
    /// The session in which it was drafted.
    pub session: Option<String>,
    /// Who made it.
    pub created_by: Actor,
    /// What came of the last verification; gone when the content changes.
    pub verification: Option<Verification>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// When it first went live.
    pub published: Option<Timestamp>,
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether the draft passed.
    pub verdict: Verdict,
    /// The run that verified it.
    pub run_id: String,
    /// Of the content that was looked at.
    pub content_hash: String,
    /// When.
    pub at: Timestamp,
}

impl Version {
    /// Where a version and its content are kept.
    pub fn key(document: &str, number: u32) -> String {
        format!("{document}/{number}")
    }

    /// Whether it was verified as it is now, and passed.
    pub fn has_passed(&self) -> bool {
        self.verification.as_ref().is_some_and(|verification| {
            verification.verdict == Verdict::Pass && verification.content_hash == self.content_hash
        })
    }

    /// Another content; what was verified was not this.
    pub fn hold(&mut self, hash: String) {
        if self.content_hash != hash {
            self.content_hash = hash;
            self.verification = None;
        }
    }
}

/// Says what a call did to a draft, written with it: a call that comes again finds it and does nothing, whatever became
/// of the draft since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDone {
    /// Names the call.
    pub key: String,
    /// For which issue.
    pub issue: Uuid,
    /// The version it made, changed or gave up.
    pub number: u32,
}

impl Document for CallDone {
    const KIND: RecordKind = RecordKind("triage_call_done");

    fn id(&self) -> String {
        self.key.clone()
    }

    fn tags(&self) -> Tags {
        Tags { names: vec![of_issue(self.issue)], ..Tags::default() }
    }
}

/// Versions of a document.
pub(super) fn of_document(document: &str) -> Tag {
    Tag::new("document", document)
}

/// Open drafts of a document.
pub(super) fn drafts_of(document: &str) -> Tag {
    Tag::new("draft_of", document)
}

/// Open drafts for an issue.
pub(super) fn drafts_for(issue: Uuid) -> Tag {
    Tag::new("issue", issue.to_string())
}

impl Document for Version {
    const KIND: RecordKind = RecordKind("triage_version");

    fn id(&self) -> String {
        Self::key(&self.document, self.number)
    }

    fn tags(&self) -> Tags {
        let mut names = vec![of_document(&self.document)];
        if self.status == VersionStatus::Draft {
            names.push(drafts_of(&self.document));
            names.extend(self.issue.map(drafts_for));
        }
        Tags { sort: u64::from(self.number), listed: false, names }
    }
}

/// What a version says: a record of its own, so that lists need not read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) version: String,
    pub(super) content: Value,
}

impl Document for Content {
    const KIND: RecordKind = RecordKind("triage_content");

    fn id(&self) -> String {
        self.version.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// Which document an agent's definition is; there is at most one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Binding {
    pub(super) agent: String,
    pub(super) document: String,
}

impl Document for Binding {
    const KIND: RecordKind = RecordKind("triage_binding");

    fn id(&self) -> String {
        self.agent.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// That an issue is about a document, though no conversation says so.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Concern {
    pub(super) issue: Uuid,
    pub(super) document: String,
    pub(super) at: Timestamp,
}

impl Concern {
    pub(super) fn key(issue: Uuid, document: &str) -> String {
        format!("{issue}/{document}")
    }
}

impl Document for Concern {
    const KIND: RecordKind = RecordKind("triage_issue_document");

    fn id(&self) -> String {
        Self::key(self.issue, &self.document)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.at.0, listed: false, names: vec![of_issue(self.issue)] }
    }
}
