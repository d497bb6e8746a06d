//! MCP servers as clients write them and read them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::Error;
use super::ids::{MCP, PublicId};
use super::time::moment;
use crate::api::ApiState;
use crate::api::fields::{Fields, FromFields};
use crate::capability::mcp::{PREFIX, Route, Server, Settings, Standing};
use crate::domain::Object;
use crate::domain::time::Timestamp;
use crate::runtime::vault::Vault;
use crate::servers::ServerPins;
use crate::servers::saved::SavedServer;

/// Longest name, in bytes: it stands in the names of tools.
const MAX_NAME: usize = 100;

/// What stands for the value of a header; sent back, it leaves the value as it is.
const HIDDEN: &str = "***";

/// What configured servers' ids are made below.
const CONFIGURED: Uuid = Uuid::from_u128(0x3d1f_58c2_70a9_4b6e_9d05_e2a7_41c8_b390);

/// The id of a server of the configuration: always the same.
pub(super) fn configured_id(name: &str) -> PublicId {
    PublicId(MCP, Uuid::new_v5(&CONFIGURED, name.as_bytes()))
}

/// What a request says of a server; what it does not speak of stays.
pub(super) struct ServerForm {
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    transport: Option<String>,
    headers: Option<Object>,
    api_key: Option<String>,
    disabled: Option<bool>,
    approve: bool,
}

impl FromFields for ServerForm {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.text("name"),
            description: fields.text("description"),
            url: fields.text("url"),
            transport: fields.text("transport_type"),
            headers: fields.object("headers"),
            api_key: fields.text("api_key"),
            disabled: fields.choice("status", &[("active", false), ("disabled", true)]),
            approve: fields.flag("approve_changes").unwrap_or_default(),
        }
    }
}

impl ServerForm {
    /// Whether the tools are to be trusted as they are now.
    pub(super) fn approves(&self) -> bool {
        self.approve
    }

    /// Whether nothing else is asked for.
    pub(super) fn only_approves(&self) -> bool {
        let Self { name, description, url, transport, headers, api_key, disabled, approve } = self;
        let texts = [name, description, url, transport, api_key].iter().any(|text| text.is_some());
        *approve && !texts && headers.is_none() && disabled.is_none()
    }

    /// Whether it says what a new server needs.
    ///
    /// # Errors
    /// 400.
    pub(super) fn complete(&self) -> Result<(), Error> {
        match (&self.name, &self.url) {
            (Some(_), Some(_)) => Ok(()),
            (None, _) => Err(Error::bad_request("name is required")),
            (_, None) => Err(Error::bad_request("url is required")),
        }
    }

    /// The server with what is said, its secrets sealed.
    ///
    /// # Errors
    /// 400 for what does not fit, 503 for secrets without a key.
    pub(super) fn applied(&self, mut server: SavedServer, state: &ApiState) -> Result<SavedServer, Error> {
        if self.transport.as_deref().is_some_and(|transport| transport != "http") {
            return Err(Error::bad_request(
                "transport_type must be http; programs are named in the configuration",
            ));
        }
        if let Some(name) = &self.name {
            let name = name.trim();
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                return Err(Error::bad_request(format!("name must be 1 to {MAX_NAME} bytes of text")));
            }
            server.name = name.to_owned();
        }
        if let Some(description) = &self.description {
            server.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        if let Some(url) = &self.url {
            server.url.clone_from(url);
        }
        if let Some(disabled) = self.disabled {
            server.disabled = disabled;
        }
        let vault = state.runtime.vault().map(AsRef::as_ref);
        let plain = self.plain_headers()?;
        let headers = plain.iter().filter(|(_, value)| *value != HIDDEN).copied();
        let key = self.api_key.as_deref().filter(|key| !key.is_empty());
        state.servers.check(&server.url, headers, key).map_err(Error::bad_request)?;
        if self.headers.is_some() {
            let before = std::mem::take(&mut server.headers);
            for (name, value) in plain {
                let kept = before.get(name).filter(|_| value == HIDDEN);
                let place = SavedServer::header_place(server.id, name);
                let sealed = kept.map_or_else(|| seal(vault, &place, value), |kept| Ok(kept.clone()))?;
                server.headers.insert(name.to_owned(), sealed);
            }
        }
        if self.api_key.is_some() {
            let place = SavedServer::key_place(server.id);
            server.api_key = key.map(|key| seal(vault, &place, key)).transpose()?;
        }
        Ok(server)
    }

    fn plain_headers(&self) -> Result<Vec<(&str, &str)>, Error> {
        let text = |(name, value): (&'_ String, &'_ Value)| match value.as_str() {
            Some(_) => Ok(name.clone()),
            None => Err(Error::bad_request(format!("headers: the value of {name} must be text"))),
        };
        for pair in self.headers.iter().flatten() {
            text(pair)?;
        }
        let pairs = self.headers.iter().flatten();
        Ok(pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect())
    }
}

/// A secret as it may be kept.
///
/// # Errors
/// 503 without a key to do it with.
pub(super) fn seal(vault: Option<&Vault>, place: &str, secret: &str) -> Result<String, Error> {
    let vault = vault.ok_or_else(|| {
        Error::unavailable("Secrets cannot be kept: the server has no SECRETS_ENCRYPTION_KEY")
    })?;
    vault.seal(place, secret).map_err(|_| crate::runtime::Error::Internal.into())
}

/// What is shown of a server, wherever it comes from.
pub(super) struct ServerView<'a> {
    pub(super) id: PublicId,
    pub(super) name: &'a str,
    pub(super) description: Option<&'a str>,
    pub(super) url: Option<&'a str>,
    pub(super) transport: &'static str,
    pub(super) headers: Object,
    pub(super) api_key_set: bool,
    pub(super) disabled: bool,
    pub(super) readonly: bool,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

impl<'a> ServerView<'a> {
    /// A server of the configuration.
    pub(super) fn configured(settings: &'a Settings, since: Timestamp) -> Self {
        let (url, transport, headers) = match &settings.route {
            Route::Http { url, headers, .. } => (Some(url.as_str()), "http", headers.keys().collect()),
            Route::Program { .. } => (None, "stdio", Vec::new()),
        };
        Self {
            id: configured_id(&settings.name),
            name: &settings.name,
            description: settings.description.as_deref(),
            url,
            transport,
            headers: headers.into_iter().map(|name| (name.to_string(), json!(HIDDEN))).collect(),
            api_key_set: false,
            disabled: false,
            readonly: true,
            created: since,
            updated: since,
        }
    }

    /// The server with how it is going, its tools, and which of them wait for approval.
    pub(super) fn shown(
        &self,
        capability: &str,
        running: Option<&Server>,
        pins: Option<ServerPins>,
    ) -> Value {
        let standing = running.map(Server::standing).unwrap_or_default();
        let pins = pins.unwrap_or_default();
        let (connection, tools, reason) = match standing {
            Standing::New => ("unknown", Vec::new(), None),
            Standing::Connected(tools) => ("connected", tools, None),
            Standing::Unreachable(reason) => ("unreachable", Vec::new(), Some(reason)),
        };
        let tools = tools.into_iter().map(|(name, print)| {
            let changed = pins.pinned.get(&name).is_some_and(|pinned| *pinned != print);
            json!({ "name": name, "status": if changed { "needs_approval" } else { "offered" } })
        });
        let mut shown = json!({
            "id": self.id,
            "name": self.name,
            "transport_type": self.transport,
            "headers": self.headers,
            "api_key_set": self.api_key_set,
            "status": if self.disabled { "disabled" } else { "active" },
            "capability_id": format!("{PREFIX}{capability}"),
            "readonly": self.readonly,
            "connection": connection,
            "tools": tools.collect::<Vec<_>>(),
            "created_at": moment(self.created),
            "updated_at": moment(self.updated),
        });
        let more = [
            ("url", self.url.map(str::to_owned)),
            ("description", self.description.map(str::to_owned)),
            ("connection_error", reason),
        ];
        if let Some(fields) = shown.as_object_mut() {
            fields.extend(more.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
        }
        shown
    }
}
