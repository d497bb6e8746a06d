//! Floor 2, what an agent can do: the seam to tools.
//!
//! A capability contributes tools and a paragraph to the prompt. What a tool needs from the server it asks of
//! the [`Host`], which the runtime implements: so a tool that remembers needs neither store nor runtime.

pub mod builtin;
mod declared;
pub mod egress;
pub mod http;
pub mod process;
pub mod registry;
pub mod toolbox;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::domain::Object;
use crate::domain::id::{RunId, SessionId, UserId};
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

/// What the registry shows of a capability.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// What agent files name.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Name of an icon (lucide).
    pub icon: &'static str,
    /// A heading to list it under.
    pub category: &'static str,
    /// Whether it can be used.
    pub status: CapabilityStatus,
    /// Ids of capabilities that come with it.
    pub dependencies: &'static [&'static str],
    /// JSON Schema of its settings.
    pub config_schema: Value,
}

/// Whether a capability can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityStatus {
    /// Yes.
    Available,
    /// No longer for new agents.
    Deprecated,
}

/// What a capability adds to an agent.
#[derive(Clone, Default)]
pub struct Contribution {
    /// A paragraph after the instructions.
    pub prompt: Option<String>,
    /// Tools.
    pub tools: Vec<Arc<dyn Tool>>,
}

/// Something a model can call.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// What the model sees and a restart may do.
    fn spec(&self) -> &ToolSpec;

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
}

/// Who calls a tool, and where.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The session.
    pub session: SessionId,
    /// The run.
    pub run: RunId,
    /// Whom the client speaks for.
    pub user: Option<UserId>,
    /// The time.
    pub now: crate::domain::time::Timestamp,
}
