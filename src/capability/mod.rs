//! Floor 2, what an agent can do: the seam to tools.
//!
//! A capability contributes tools and a paragraph to the prompt. What a tool needs from the server it asks of
//! the [`Host`], which the runtime implements: so a tool that remembers needs neither store nor runtime.

pub mod builtin;
pub mod databases;
mod declared;
pub mod egress;
pub mod files;
pub mod hooks;
pub mod http;
pub mod mcp;
pub mod memory;
pub mod process;
pub mod registry;
pub mod search;
pub mod skills;
pub mod storage;
mod tool_search;
pub mod toolbox;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

pub use self::databases::Databases;
pub use self::files::Files;
pub use self::hooks::Hook;
pub use self::memory::Memory;
pub use self::storage::Storage;
use crate::domain::Object;
use crate::domain::id::{Owner, RunId, SessionId, UserId};
use crate::domain::tool::{ToolResult, ToolSpec};

/// A member of the registry.
pub trait Capability: Send + Sync + 'static {
    /// What the registry shows.
    fn about(&self) -> &About;

    /// What it adds to an agent with these settings.
    ///
    /// # Errors
    /// A sentence that names the setting that does not fit.
    fn contribute(&self, config: &Value) -> Result<Contribution, String>;
}

/// Text that most capabilities know beforehand.
pub type Text = Cow<'static, str>;

/// What the registry shows of a capability.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// What agent files name.
    pub id: Text,
    /// For people.
    pub name: Text,
    /// What it does.
    pub description: Text,
    /// Name of an icon (lucide).
    pub icon: Text,
    /// A heading to list it under.
    pub category: Text,
    /// Whether it can be used.
    pub status: CapabilityStatus,
    /// Ids of capabilities that come with it.
    pub dependencies: Vec<Text>,
    /// Parts of a front end that make sense with it: `file_system`, `secrets`, `key_value`, `schedules`,
    /// `sql_database`.
    pub features: Vec<Text>,
    /// What harm its tools can do.
    pub risk: Risk,
    /// What stands behind it.
    pub kind: CapabilityKind,
    /// JSON Schema of its settings.
    pub config_schema: Value,
}

impl About {
    /// A built-in capability without settings, available to everybody.
    pub fn new(id: impl Into<Text>, name: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            description: description.into(),
            icon: Text::Borrowed("puzzle"),
            category: Text::Borrowed("Other"),
            status: CapabilityStatus::Available,
            dependencies: Vec::new(),
            features: Vec::new(),
            risk: Risk::Low,
            kind: CapabilityKind::BuiltIn,
            config_schema: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        }
    }

    /// Where it is listed, and with which icon (lucide).
    #[must_use]
    pub fn listed(self, category: impl Into<Text>, icon: impl Into<Text>) -> Self {
        Self { category: category.into(), icon: icon.into(), ..self }
    }

    /// What comes with it.
    #[must_use]
    pub fn needs(self, dependencies: &[&'static str]) -> Self {
        Self { dependencies: dependencies.iter().map(|id| Text::Borrowed(id)).collect(), ..self }
    }

    /// What a front end may show with it.
    #[must_use]
    pub fn featuring(self, features: &[&'static str]) -> Self {
        Self { features: features.iter().map(|name| Text::Borrowed(name)).collect(), ..self }
    }

    /// What its settings look like: a JSON Schema.
    #[must_use]
    pub fn configured(self, config_schema: Value) -> Self {
        Self { config_schema, ..self }
    }

    /// How dangerous it is.
    #[must_use]
    pub fn risking(self, risk: Risk) -> Self {
        Self { risk, ..self }
    }
}

/// What harm the tools of a capability can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// None beyond its session.
    Low,
    /// They reach other systems.
    Medium,
    /// They act on other systems, or run programs.
    High,
}

/// What stands behind a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityKind {
    /// This program.
    BuiltIn,
    /// A server that speaks MCP.
    Mcp,
    /// A folder with a `SKILL.md`.
    Skill,
    /// Tools that a file declares.
    Declared,
}

/// Whether a capability can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityStatus {
    /// Yes.
    Available,
    /// Not yet: it contributes nothing.
    ComingSoon,
    /// No longer for new agents.
    Deprecated,
}

/// What a capability adds to an agent.
#[derive(Clone, Default)]
pub struct Contribution {
    /// A paragraph before the instructions.
    pub prompt: Option<String>,
    /// Tools.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Files that a session with it begins with.
    pub mounts: Vec<Mount>,
    /// What it does around the work of others.
    pub hooks: Vec<Arc<dyn Hook>>,
    /// What it can say only when a run begins.
    pub later: Option<Arc<dyn Later>>,
    /// What a model reads that calls a tool of this name, which there is not; else it is told which there are.
    pub unknown: Option<fn(&str) -> String>,
}

/// A file that a new session begins with; one that is there already is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, from `/`.
    pub path: String,
    /// What it holds.
    pub content: Bytes,
    /// Whether it refuses writes.
    pub readonly: bool,
}

/// What depends on the session, or on another server, and so is asked whenever a run begins or is taken up again.
#[async_trait]
pub trait Later: Send + Sync {
    /// Prompt and tools of this moment. It must come soon, and a part that cannot be had now is left out: a run
    /// never fails for it.
    async fn now(&self, host: &dyn Host) -> Now;
}

/// What a capability adds at this moment.
#[derive(Clone, Default)]
pub struct Now {
    /// A paragraph before the instructions.
    pub prompt: Option<String>,
    /// Tools.
    pub tools: Vec<Arc<dyn Tool>>,
}

/// Something a model can call.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// What the model sees and a restart may do.
    fn spec(&self) -> &ToolSpec;

    /// Whether models are told of it. One that they are not told of answers those that call it all the same.
    fn is_offered(&self) -> bool {
        true
    }

    /// Calls of one answer that share a class are made one after the other, in the order of the answer; others side
    /// by side.
    fn class(&self) -> Option<&'static str> {
        None
    }

    /// Whether it is the one that searches for the others.
    fn is_search(&self) -> bool {
        false
    }

    /// Does it. Arguments have been checked against the schema; a failure is a result the model reads. The
    /// future is dropped when the call takes too long or its run is cancelled: leave nothing running.
    async fn call(&self, call: Invocation<'_>) -> ToolResult;
}

/// One call of a tool.
pub struct Invocation<'a> {
    /// Checked arguments.
    pub arguments: &'a Object,
    /// The same for the same call after a restart, never for another: `run/call`.
    pub key: &'a str,
    /// The server.
    pub host: &'a dyn Host,
}

/// What a tool may ask of the server. The runtime implements it: the one arrow that is turned round.
pub trait Host: Send + Sync {
    /// The session's state as this run sees it now.
    fn state(&self) -> Object;

    /// Replaces the session's state as this run sees it; what changed is kept with the call's result.
    fn set_state(&self, state: Object);

    /// Who and where.
    fn scene(&self) -> Scene;

    /// The session's files.
    fn files(&self) -> &dyn Files;

    /// The session's SQL databases.
    fn databases(&self) -> &dyn Databases;

    /// What the session keeps by name.
    fn storage(&self) -> &dyn Storage;

    /// What is remembered of the user from session to session.
    fn memory(&self) -> &dyn Memory;
}

/// Who calls a tool, and where.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Whose data the run works on.
    pub owner: Owner,
    /// The session.
    pub session: SessionId,
    /// The run.
    pub run: RunId,
    /// Whom the client speaks for.
    pub user: Option<UserId>,
    /// The time.
    pub now: crate::domain::time::Timestamp,
}
