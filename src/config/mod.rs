//! The parts' own configurations, read from file and environment.
//!
//! Three layers, the later ones on top: `config/default.toml`, which has every key; the user's file; variables.
//! `layers` puts them together and knows where each value came from, `complaints` says what does not fit.

mod complaints;
mod keys;
mod layers;
mod mcp;
mod provider;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

pub use complaints::Complaint;
pub use keys::known_keys;
pub use layers::{ConfigFault, DEFAULTS};
pub use mcp::McpConfig;
pub use provider::{ProviderConfig, ProviderKind};

use crate::domain::id::ModelName;
use crate::runtime::catalog::{CatalogDefaults, CheckTools};
use crate::store::StoreConfig;

/// All of it.
///
/// A key that a layer does not name has no meaning of its own there: the lowest layer names them all.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on; any that is not loopback needs a token.
    #[serde(default)]
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    #[serde(default)]
    pub port: u16,
    /// What clients must send as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The folder for everything the server keeps.
    #[serde(default)]
    pub data: PathBuf,
    /// The folder with agents, teams and workflows.
    #[serde(default)]
    pub agents: PathBuf,
    /// What is logged: a level, or levels by module.
    #[serde(default)]
    pub log: String,
    /// How log lines look.
    #[serde(default)]
    pub log_format: LogFormat,
    /// The id under which the AgentOS surface presents the server.
    #[serde(default)]
    pub os_id: String,
    /// The name people read.
    #[serde(default)]
    pub name: String,
    /// A sentence about the server for people.
    #[serde(default)]
    pub description: String,
    /// The model of agents that name none, as `provider/model`.
    #[serde(default = "demo_model")]
    #[schemars(with = "String")]
    pub default_model: ModelName,
    /// The HTTP server.
    #[serde(default)]
    pub server: ServerConfig,
    /// Where things are kept.
    #[serde(default)]
    pub store: StoreConfig,
    /// Who answers, by name.
    #[serde(default)]
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Servers with tools, by name.
    #[serde(default)]
    pub mcp: BTreeMap<String, McpConfig>,
    /// Other machines.
    #[serde(default)]
    pub network: NetworkConfig,
    /// Runs.
    #[serde(default)]
    pub runs: RunsConfig,
    /// The triage board.
    #[serde(default)]
    pub triage: TriageConfig,
}

fn demo_model() -> ModelName {
    ModelName { provider: "scripted".into(), model: "demo".into() }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Stands before every path, as in `/api`; nothing where it is empty.
    pub prefix: String,
    /// Origins of pages that may call the server beside those the surfaces allow.
    pub cors_origins: Vec<String>,
    /// Largest JSON body, in bytes.
    pub json_bytes: usize,
    /// Largest multipart body, in bytes.
    pub multipart_bytes: usize,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// How long a request's head may take to arrive, in seconds.
    pub head_seconds: u64,
    /// How long a request's body may take to arrive, in seconds.
    pub body_seconds: u64,
    /// How long a connection may say nothing between two requests, in seconds.
    pub idle_seconds: u64,
    /// How long a client may take nothing of what is sent to it, in seconds.
    pub write_seconds: u64,
    /// Connections at a time; more are answered 503. Fewer where the system lets the program open fewer files.
    pub most_connections: usize,
    /// Streams of events at a time; more are answered 503.
    pub most_streams: usize,
    /// After so long without an event a comment is sent on a stream of a session, in seconds.
    pub stream_heartbeat_seconds: u64,
    /// After about so long a client of such a stream is asked to come back, in seconds.
    pub stream_cycle_seconds: u64,
    /// How long a client has to execute a tool of its own, in seconds; then the call counts as failed.
    pub client_tool_seconds: u64,
}

/// Other machines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Hosts and networks that MCP servers and providers added over an API may be in though they are private.
    pub allow_private: Vec<String>,
}

/// The triage board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TriageConfig {
    /// Whether a run that fails opens an issue by itself, with its session as evidence.
    pub open_issues_for_failed_runs: bool,
    /// Seconds after which a run of the triage agent that shows no event is given up.
    pub watchdog_seconds: u64,
}

impl Default for TriageConfig {
    fn default() -> Self {
        Self { open_issues_for_failed_runs: false, watchdog_seconds: 600 }
    }
}

/// Runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunsConfig {
    /// How many runs of a session may wait behind the one that is going.
    pub queue_depth: usize,
    /// How many runs may be going or waiting for their turn, in all sessions together; more are answered 503.
    pub most_at_once: usize,
    /// How long a stopping server waits for runs to come to rest.
    pub drain_seconds: u64,
}

impl Config {
    /// Reads the defaults, the file (or the one `RUNHOLD_CONFIG` names) and the variables. Of variables with
    /// the same name the last one counts, so that flags of the command line can be chained to the environment.
    ///
    /// # Errors
    /// Everything that is wrong, each with its file and line or its variable; no secret is repeated.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<ConfigFault>> {
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let named = env.get("RUNHOLD_CONFIG").map(PathBuf::from);
        let layers = layers::Layers::read(file.or(named.as_deref()), &env)?;
        let mut config = layers.merged()?;
        let mut complaints = provider::complete(&mut config.providers, &env);
        complaints.extend(mcp::complete(&mut config.mcp, &env));
        complaints.extend(config.check());
        if complaints.is_empty() {
            return Ok(config);
        }
        let mut faults: Vec<_> = complaints.into_iter().map(|complaint| layers.blame(complaint)).collect();
        faults.sort();
        Err(faults)
    }

    /// What the catalog's files are read against.
    pub fn catalog_defaults<'a>(&self, check: &'a CheckTools<'a>) -> CatalogDefaults<'a> {
        CatalogDefaults {
            model: self.default_model.clone(),
            known_providers: self.providers.keys().cloned().collect(),
            check,
        }
    }
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// What is not text is refused without repeating it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => Err(serde::de::Error::custom("a secret must be text in quotes")),
        }
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}
