//! Servers that speak the Model Context Protocol, as capabilities: `mcp:{id}`, whose tools are the server's.
//!
//! `server` keeps one connection for all who use it, `connection` makes one, `program` runs a server that is a program
//! of this machine, `http` speaks to one elsewhere, `offer` makes tools of what a server lists, `answer` makes text of what it answers, `pins` notices
//! what a server describes otherwise than before. Nothing a server says is trusted: sizes are bounded, its
//! instructions reach no prompt, and one that is away, hangs or dies costs a run a tool, never more.

mod answer;
mod connection;
mod http;
mod offer;
pub mod pins;
mod program;
mod server;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use self::offer::ServerTool;
use self::pins::Pins;
pub use self::server::{Server, Standing};
use super::egress::Reach;
use super::{About, Capability, CapabilityKind, Contribution, Host, Later, Now, Risk, Tool};

/// What ids of these capabilities begin with.
pub const PREFIX: &str = "mcp:";

/// How long a call may take where nothing else is said.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A server, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What stands behind [`PREFIX`] in the capability's id.
    pub id: String,
    /// What stands in the names of its tools.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Where it is.
    pub route: Route,
    /// How long a call may take.
    pub deadline: Duration,
}

/// Where a server is.
#[derive(Debug, Clone)]
pub enum Route {
    /// A program of this machine, spoken to through its standard input and output.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// Where it runs.
        directory: PathBuf,
        /// Names of variables it sees beside `PATH`, `HOME`, `LANG`, `TMPDIR` and `TZ`.
        environment: Vec<String>,
    },
    /// A server that speaks HTTP.
    Http {
        /// Its one address.
        url: Url,
        /// Sent with every request.
        headers: HeaderMap,
        /// What of private networks it may be in.
        reach: Reach,
    },
}

impl Route {
    /// A server at an address. Values of headers are kept out of logs.
    ///
    /// # Errors
    /// A sentence that names what does not fit.
    pub fn http<'a>(
        url: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        api_key: Option<&str>,
        reach: Reach,
    ) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|_| "`url` is no URL")?;
        reach.check(&url).map_err(|error| error.to_string())?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{name}` is no name of a header"))?;
            if OWN_HEADERS.contains(&parsed.as_str()) {
                return Err(format!("the header `{name}` is set by the protocol"));
            }
            let bad = |_| format!("the value of header `{name}` holds characters a header cannot hold");
            let mut value = HeaderValue::from_str(value).map_err(bad)?;
            value.set_sensitive(true);
            map.insert(parsed, value);
        }
        if let Some(key) = api_key {
            let bad = |_| "the key holds characters a header cannot hold".to_owned();
            let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(bad)?;
            value.set_sensitive(true);
            map.insert(AUTHORIZATION, value);
        }
        Ok(Self::Http { url, headers: map, reach })
    }
}

/// Headers nobody may set: they are the protocol's, or the connection's.
const OWN_HEADERS: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
];

/// A server as something agents can be given.
pub struct McpCapability {
    about: About,
    server: Arc<Server>,
    pins: Arc<dyn Pins>,
}

impl McpCapability {
    /// The tools of this server, as far as `pins` knows them.
    pub fn new(server: Arc<Server>, pins: Arc<dyn Pins>) -> Self {
        let settings = server.settings();
        let description = settings.description.clone();
        let description =
            description.unwrap_or_else(|| format!("Tools of the MCP server `{}`", settings.name));
        let mut about = About::new(format!("{PREFIX}{}", settings.id), settings.name.clone(), description)
            .listed("MCP", "plug")
            .risking(Risk::Medium)
            .configured(json!({
                "type": "object",
                "properties": {
                    "tools": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "The server's tools to offer, by the server's own names; all where nothing is said"
                    },
                    "images": {
                        "type": "boolean",
                        "description": "Whether the model is shown the pictures in results. It must be one that sees; others refuse them"
                    }
                },
                "additionalProperties": false
            }));
        about.kind = CapabilityKind::Mcp;
        Self { about, server, pins }
    }
}

impl Capability for McpCapability {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, config: &Value) -> Result<Contribution, String> {
        let only = config
            .get("tools")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>());
        let sees = config.get("images").and_then(Value::as_bool).unwrap_or_default();
        let later = Offer { server: self.server.clone(), pins: self.pins.clone(), only, sees };
        Ok(Contribution { later: Some(Arc::new(later)), ..Contribution::default() })
    }
}

/// What a server offers at the moment.
struct Offer {
    server: Arc<Server>,
    pins: Arc<dyn Pins>,
    only: Option<BTreeSet<String>>,
    sees: bool,
}

#[async_trait]
impl Later for Offer {
    async fn now(&self, _: &dyn Host) -> Now {
        let Some(listed) = self.server.tools().await else { return Now::default() };
        let name = &self.server.settings().name;
        let prints = listed.iter().map(|one| (one.original.clone(), one.print.clone())).collect();
        let changed = match self.pins.changed(&self.server.settings().id, &prints).await {
            Ok(changed) => changed,
            Err(reason) => {
                tracing::warn!(server = name, "no tools of the MCP server are offered: {reason}");
                return Now::default();
            }
        };
        let is_wanted = |original: &str| self.only.as_ref().is_none_or(|only| only.contains(original));
        let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
        for one in listed.iter().filter(|one| is_wanted(&one.original)) {
            if changed.contains(&one.original) {
                let tool = &one.original;
                tracing::warn!(
                    server = name,
                    tool,
                    "an MCP server's tool is not what it was; it is left out"
                );
                continue;
            }
            tools.push(Arc::new(ServerTool::new(self.server.clone(), one, self.sees)));
        }
        Now { prompt: None, tools }
    }
}
