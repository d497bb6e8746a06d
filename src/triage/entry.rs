//! An entry of an issue's feed: something that happened to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::form::words;
use super::issue::{Issue, Status};
use super::link::Link;
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

words! {
    /// Who writes an entry.
    EntryKind {
        /// Somebody who works with the issue.
        Issue = "issue",
        /// A run of an agent.
        Agent = "agent",
    }
}

words! {
    /// What happened. Four are documented and reserved: nobody writes them.
    EntryType {
        /// The issue was opened.
        Created = "created",
        /// From one status to another.
        StatusChanged = "status_changed",
        /// From one severity to another.
        SeverityChanged = "severity_changed",
        /// From one category to another.
        CategoryChanged = "category_changed",
        /// Somebody else works on it.
        AssigneeChanged = "assignee_changed",
        /// Somebody else answers for it.
        OwnerChanged = "owner_changed",
        /// Somebody said something.
        Comment = "comment",
        /// Evidence was attached.
        ResourceAdded = "resource_added",
        /// Evidence was detached.
        ResourceRemoved = "resource_removed",
        /// A moment of a call was marked.
        FlagAdded = "flag_added",
        /// A mark was taken away.
        FlagRemoved = "flag_removed",
        /// It was tied to another issue.
        RelationAdded = "relation_added",
        /// It was untied.
        RelationRemoved = "relation_removed",
        /// Reserved.
        AlertTransition = "alert_transition",
        /// Reserved.
        Accepted = "accepted",
        /// Reserved.
        Declined = "declined",
        /// Reserved.
        Merged = "merged",
        /// An agent began to work.
        SessionStarted = "session_started",
        /// An agent was asked.
        Prompt = "prompt",
        /// What an agent thinks.
        Thought = "thought",
        /// A tool an agent uses.
        Action = "action",
        /// Something an agent made.
        Artifact = "artifact",
        /// What an agent answers.
        Response = "response",
        /// An agent failed.
        Error = "error",
        /// An agent was stopped.
        SessionStopped = "session_stopped",
    }
}

words! {
    /// What sort of actor.
    ActorKind {
        /// A person, or a program in a person's name.
        User = "user",
        /// The server.
        System = "system",
        /// An agent.
        Agent = "agent",
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What sort.
    pub kind: ActorKind,
    /// Names the actor.
    pub id: String,
    /// For people.
    pub label: String,
}

impl Actor {
    /// The principal behind a token.
    pub fn user(name: &str) -> Self {
        Self { kind: ActorKind::User, id: name.into(), label: name.into() }
    }

    /// The server itself.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, id: "system".into(), label: "System".into() }
    }

    /// An agent.
    pub fn agent(profile: &str, label: &str) -> Self {
        Self { kind: ActorKind::Agent, id: profile.into(), label: label.into() }
    }
}

/// Evidence as it was when the entry was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkShown {
    /// The link.
    pub link: Link,
    /// Whether the evidence was there.
    pub available: bool,
}

/// Another issue as it was when the entry was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueShown {
    /// Names it.
    pub id: Uuid,
    /// As in `T-1001`.
    pub triage_id: String,
    /// Its title.
    pub title: String,
    /// Where it stood.
    pub status: Status,
}

impl From<&Issue> for IssueShown {
    fn from(issue: &Issue) -> Self {
        Self { id: issue.id, triage_id: issue.triage_id(), title: issue.title.clone(), status: issue.status }
    }
}

/// What an agent's entry has besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentPart {
    /// The agent session it belongs to.
    pub session: Uuid,
    /// The run it belongs to, if to one.
    pub run: Option<Uuid>,
    /// What was made, as it is shown.
    pub artifact: Option<Value>,
}

/// What an entry says; its place in the feed is given to it when it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saying {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// Who did it.
    pub actor: Option<Actor>,
    /// For people.
    pub detail: String,
    /// For programs.
    pub metadata: Option<Object>,
    /// The statuses before and after.
    pub statuses: Option<(Status, Status)>,
    /// The evidence it is about.
    pub resources: Vec<LinkShown>,
    /// The issues it is about.
    pub issues: Vec<IssueShown>,
    /// Of an agent's entry.
    pub agent: Option<AgentPart>,
}

impl Saying {
    /// Something somebody did.
    pub fn new(kind: EntryType, actor: Actor, detail: impl Into<String>) -> Self {
        Self {
            kind,
            actor: Some(actor),
            detail: detail.into(),
            metadata: None,
            statuses: None,
            resources: Vec::new(),
            issues: Vec::new(),
            agent: None,
        }
    }

    /// With this for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.metadata.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// About this evidence.
    #[must_use]
    pub fn about(mut self, link: LinkShown) -> Self {
        self.resources.push(link);
        self
    }
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Chosen by who writes it, so that writing it twice is writing it once.
    pub id: Uuid,
    /// Of which issue.
    pub issue: Uuid,
    /// Its place in the feed. Numbers may be missing: changes of entries have some.
    pub seq: u64,
    /// When it was written first.
    pub created: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub saying: Saying,
}

impl Document for Entry {
    const KIND: RecordKind = RecordKind("triage_entry");

    fn id(&self) -> String {
        entry_key(self.issue, self.id)
    }

    fn tags(&self) -> Tags {
        let mut names = vec![of_issue(self.issue), of_kind(self.issue, self.kind())];
        if let Some(agent) = &self.saying.agent {
            let mut runs = self.stopped_runs();
            runs.extend(agent.run);
            names.extend(runs.into_iter().map(of_run));
            names.push(of_session(self.issue, agent.session));
        }
        Tags { sort: self.seq, listed: false, names }
    }
}

impl Entry {
    /// The runs it says were stopped: it is the closing entry of each.
    fn stopped_runs(&self) -> BTreeSet<Uuid> {
        let named = self.saying.metadata.as_ref().and_then(|metadata| metadata.get(CANCELLED_RUNS));
        let named = named.and_then(Value::as_array).into_iter().flatten();
        named.filter_map(|run| run.as_str()?.parse().ok()).collect()
    }

    /// Who writes it.
    pub fn kind(&self) -> EntryKind {
        if self.saying.agent.is_some() { EntryKind::Agent } else { EntryKind::Issue }
    }
}

/// Says that an entry was changed, and in which place of the feed watchers learn of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of which issue.
    pub issue: Uuid,
    /// Which entry.
    pub entry: Uuid,
    /// The place; later ones replace earlier ones.
    pub seq: u64,
}

impl Document for Change {
    const KIND: RecordKind = RecordKind("triage_change");

    fn id(&self) -> String {
        entry_key(self.issue, self.entry)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.seq, listed: false, names: vec![of_issue(self.issue)] }
    }
}

/// Where an entry says which runs were stopped.
pub(super) const CANCELLED_RUNS: &str = "cancelled_run_ids";

/// Under what an entry is kept.
pub(super) fn entry_key(issue: Uuid, entry: Uuid) -> String {
    format!("{issue}/{entry}")
}

/// What belongs to an issue, of any kind.
pub(super) fn of_issue(issue: Uuid) -> Tag {
    Tag::new("issue", issue.to_string())
}

/// The entries one sort of writer wrote.
pub(super) fn of_kind(issue: Uuid, kind: EntryKind) -> Tag {
    Tag::new("kind", format!("{issue}/{kind}"))
}

/// The entries of an agent session.
pub(super) fn of_session(issue: Uuid, session: Uuid) -> Tag {
    Tag::new("session", format!("{issue}/{session}"))
}

/// The entries of a run. It is short, because an entry may close as many runs as a session holds.
pub(super) fn of_run(run: Uuid) -> Tag {
    Tag::new("run", run.simple().to_string())
}
