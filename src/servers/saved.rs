//! A server that an owner keeps, and the name nobody else of his may have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::capability::egress::Reach;
use crate::capability::mcp::{DEADLINE, Route, Settings};
use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;
use crate::runtime::vault::Vault;

/// A server that speaks MCP over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedServer {
    /// Which.
    pub id: Uuid,
    /// What stands in the names of its tools.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is.
    pub url: String,
    /// Headers by name; the values are sealed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What is sent as a bearer token, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Whether it offers nothing for now.
    #[serde(default)]
    pub disabled: bool,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

impl SavedServer {
    /// Where the value of a header is sealed for.
    pub fn header_place(id: Uuid, name: &str) -> String {
        format!("mcp_server/{id}/header/{}", name.to_ascii_lowercase())
    }

    /// Where the key is sealed for.
    pub fn key_place(id: Uuid) -> String {
        format!("mcp_server/{id}/api_key")
    }

    /// How it is spoken to.
    ///
    /// # Errors
    /// A sentence that says why it cannot be; no secret.
    pub fn settings(&self, vault: Option<&Vault>, reach: Reach) -> Result<Settings, String> {
        let open = |place: String, sealed: &String| {
            let vault = vault.ok_or("its secrets cannot be opened: no SECRETS_ENCRYPTION_KEY is set")?;
            vault.open(&place, sealed).map_err(|error| error.to_string())
        };
        let mut headers = Vec::new();
        for (name, sealed) in &self.headers {
            headers.push((name.as_str(), open(Self::header_place(self.id, name), sealed)?));
        }
        let key = self.api_key.as_ref().map(|sealed| open(Self::key_place(self.id), sealed)).transpose()?;
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        Ok(Settings {
            id: self.id.to_string(),
            name: self.name.clone(),
            description: self.description.clone(),
            route: Route::http(&self.url, headers, key.as_deref(), reach)?,
            deadline: DEADLINE,
        })
    }

    /// The document that keeps its name for it.
    pub fn taken_name(&self) -> ServerName {
        ServerName { name: self.name.to_lowercase(), server: self.id }
    }
}

impl Document for SavedServer {
    const KIND: RecordKind = RecordKind("mcp_server");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: Vec::new() }
    }
}

/// A name that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerName {
    /// In small letters.
    pub name: String,
    /// By whom.
    pub server: Uuid,
}

impl Document for ServerName {
    const KIND: RecordKind = RecordKind("mcp_server_name");

    fn id(&self) -> String {
        self.name.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}
