//! An issue: what it says, and what it counts.

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::evidence::ResourceType;
use super::form::{Faults, Form, Given, words};
use super::norm::SessionStatus;
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

words! {
    /// Where an issue stands; every status may follow every other.
    Status {
        /// Some day.
        Backlog = "backlog",
        /// Next.
        Todo = "todo",
        /// Being worked on.
        InProgress = "in_progress",
        /// Being looked at.
        InReview = "in_review",
        /// Solved.
        Done = "done",
        /// Not to be solved.
        Closed = "closed",
    }
}

words! {
    /// How bad it is, the worst first.
    Severity {
        /// The worst.
        Critical = "critical",
        /// Bad.
        High = "high",
        /// Not good.
        Medium = "medium",
        /// The least.
        Low = "low",
    }
}

words! {
    /// Where an issue comes from.
    Source {
        /// A person.
        Manual = "manual",
        /// A rule.
        Automated = "automated",
        /// A program, for a person.
        Client = "client",
    }
}

impl Status {
    /// Whether there is nothing left to do.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Closed)
    }
}

impl Severity {
    /// Worse is larger.
    pub fn rank(self) -> u64 {
        match self {
            Self::Critical => 3,
            Self::High => 2,
            Self::Medium => 1,
            Self::Low => 0,
        }
    }
}

/// An issue as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    /// Names it.
    pub id: Uuid,
    /// Counts the owner's issues, from 1001.
    pub number: u64,
    /// 1 to 200 characters.
    pub title: String,
    /// Up to 10,000 characters.
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// How bad it is.
    pub severity: Severity,
    /// Where it comes from.
    pub source: Source,
    /// 1 to 64 characters.
    pub category: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// Who opened it.
    pub author: String,
    /// The same in another system.
    pub external_link: Option<ExternalLink>,
    /// Its evidence.
    pub links: LinkCounts,
    /// Flags on its calls.
    pub flags: u64,
    /// Relations, in either direction.
    pub relations: u64,
    /// What an agent does about it.
    #[serde(default)]
    pub agent: AgentWork,
    /// The last number given out in its feed.
    pub feed: u64,
    /// The number of the newest entry of its feed.
    pub newest: u64,
    /// When it was opened.
    pub created: Timestamp,
    /// When its fields or counts last changed.
    pub updated: Timestamp,
    /// When its newest entry was written.
    pub last_activity: Timestamp,
}

/// How much evidence of each sort is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// Calls.
    pub calls: u64,
    /// Conversations in writing.
    pub conversations: u64,
    /// Files.
    pub files: u64,
}

/// What an agent does about an issue, kept with it so that lists need not look further.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentWork {
    /// The newest session, as it is shown; `None` if there never was one.
    pub latest_session: Option<Value>,
    /// Whether a run is going or waits for its turn.
    pub is_processing: bool,
    /// Whether the newest session waits for a person.
    pub awaits_input: bool,
    /// Where the newest sessions stand.
    #[serde(default)]
    pub statuses: Vec<(Uuid, SessionStatus)>,
}

impl AgentWork {
    /// Shows this draft, or none.
    pub(super) fn show_draft(&mut self, draft: Value) {
        if let Some(Value::Object(session)) = &mut self.latest_session {
            session.insert("draft_version".into(), draft);
        }
    }
}

/// The same issue in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalLink {
    /// Which system.
    pub provider: Option<String>,
    /// Where; http or https.
    pub url: String,
    /// What it is called there.
    pub external_id: Option<String>,
    /// For people.
    pub label: Option<String>,
}

impl Document for Issue {
    const KIND: RecordKind = RecordKind("triage_issue");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: Vec::new() }
    }
}

impl Issue {
    /// What people call it: `T-1001`.
    pub fn triage_id(&self) -> String {
        format!("T-{}", self.number)
    }
}

impl LinkCounts {
    /// All together.
    pub fn total(self) -> u64 {
        self.calls.saturating_add(self.conversations).saturating_add(self.files)
    }

    /// Of one sort.
    pub fn of(&mut self, kind: ResourceType) -> &mut u64 {
        match kind {
            ResourceType::Call => &mut self.calls,
            ResourceType::SmsConversation => &mut self.conversations,
            ResourceType::File => &mut self.files,
        }
    }
}

/// Evidence by its own name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceRef {
    /// Of which sort.
    pub kind: ResourceType,
    /// 1 to 256 characters.
    pub id: String,
}

/// An issue that is to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIssue {
    /// 1 to 200 characters.
    pub title: String,
    /// Up to 10,000 characters.
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// How bad it is.
    pub severity: Severity,
    /// Where it comes from.
    pub source: Source,
    /// 1 to 64 characters.
    pub category: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// Its evidence, each once.
    pub evidence: Vec<ResourceRef>,
}

/// What is to change about an issue; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IssuePatch {
    /// 1 to 200 characters.
    pub title: Option<String>,
    /// Up to 10,000 characters.
    pub description: Option<String>,
    /// Where it stands.
    pub status: Option<Status>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// 1 to 64 characters.
    pub category: Option<String>,
    /// Who answers for it, or nobody.
    pub owner: Option<Option<String>>,
    /// Who works on it, or nobody.
    pub assignee: Option<Option<String>>,
    /// The same in another system, or none.
    pub external_link: Option<Option<ExternalLink>>,
}

/// Evidence an issue may be opened with.
const MAX_EVIDENCE: usize = 100;

fn title(form: &mut Form<'_>) -> Option<String> {
    form.trimmed("title", 1..=200)
}

fn description(form: &mut Form<'_>) -> Option<String> {
    form.text("description", 0..=10_000)
}

fn category(form: &mut Form<'_>) -> Option<String> {
    form.trimmed("category", 1..=64)
}

fn user(form: &mut Form<'_>, name: &str) -> Option<String> {
    form.text(name, 1..=128)
}

impl NewIssue {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sent: &Object) -> Result<Self, Faults> {
        let mut form = Form::of(sent);
        let new = Self {
            title: form.required("title", title),
            severity: form
                .required("severity", |form| form.word("severity").map(Some))
                .unwrap_or(Severity::Low),
            category: form.required("category", category),
            description: description(&mut form).unwrap_or_default(),
            status: form.word("status").unwrap_or(Status::Todo),
            source: form.word("source").unwrap_or(Source::Manual),
            owner: user(&mut form, "owner_id"),
            assignee: user(&mut form, "assignee_id"),
            evidence: form.list("resource_links", MAX_EVIDENCE, |form, path, item| {
                form.within(path, item, ResourceRef::fields).flatten()
            }),
        };
        form.done(new).map(Self::each_evidence_once)
    }

    fn each_evidence_once(mut self) -> Self {
        let mut seen = std::collections::HashSet::new();
        self.evidence.retain(|evidence| seen.insert(evidence.clone()));
        self
    }
}

impl ResourceRef {
    /// Reads `resource_type` and `resource_id`.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sent: &Object) -> Result<Self, Faults> {
        let mut form = Form::of(sent);
        let found = Self::fields(&mut form);
        let nothing = Self { kind: ResourceType::Call, id: String::new() };
        form.done(found.unwrap_or(nothing))
    }

    fn fields(form: &mut Form<'_>) -> Option<Self> {
        let kind = form.required("resource_type", |form| form.word("resource_type").map(Some));
        let id = form.required("resource_id", |form| form.text("resource_id", 1..=256));
        kind.map(|kind| Self { kind, id })
    }
}

impl IssuePatch {
    /// Reads it. `null` clears who answers, who works and the link to another system, and nothing else.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sent: &Object) -> Result<Self, Faults> {
        let mut form = Form::of(sent);
        let patch = Self {
            title: kept(&mut form, "title", title),
            description: kept(&mut form, "description", description),
            status: kept(&mut form, "status", |form| form.word("status")),
            severity: kept(&mut form, "severity", |form| form.word("severity")),
            category: kept(&mut form, "category", category),
            owner: cleared(&mut form, "owner_id", |form| user(form, "owner_id")),
            assignee: cleared(&mut form, "assignee_id", |form| user(form, "assignee_id")),
            external_link: cleared(&mut form, "external_link", ExternalLink::field),
        };
        form.done(patch)
    }
}

/// A field that `null` cannot clear.
fn kept<T>(form: &mut Form<'_>, name: &str, read: impl FnOnce(&mut Form<'_>) -> Option<T>) -> Option<T> {
    match form.given(name, read) {
        Given::Value(value) => Some(value),
        Given::Absent => None,
        Given::Null => {
            form.fault(name, "must not be null");
            None
        }
    }
}

/// A field that `null` clears.
fn cleared<T>(
    form: &mut Form<'_>,
    name: &str,
    read: impl FnOnce(&mut Form<'_>) -> Option<T>,
) -> Option<Option<T>> {
    match form.given(name, read) {
        Given::Value(value) => Some(Some(value)),
        Given::Null => Some(None),
        Given::Absent => None,
    }
}

/// An http or https address with a host, as it may be put behind a link. A parser alone would mend too much.
fn is_web_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_web = matches!(scheme.as_deref(), Some("http" | "https"));
    is_web
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        && Url::parse(text).is_ok()
}

impl ExternalLink {
    fn field(form: &mut Form<'_>) -> Option<Self> {
        let value = form.value("external_link")?;
        form.within("external_link", value, |link| Self {
            provider: link.text("provider", 1..=64),
            url: link.required("url", |link| {
                let url = link.text("url", 1..=2048)?;
                let good = is_web_address(&url);
                if !good {
                    link.fault("url", "must be an http or https address");
                }
                good.then_some(url)
            }),
            external_id: link.text("external_id", 1..=256),
            label: link.text("label", 1..=200),
        })
    }
}
