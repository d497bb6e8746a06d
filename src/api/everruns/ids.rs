//! Ids of this surface, `prefix_` and the 32 lower-case hex digits of a UUID, and the core's ids behind them.
//!
//! Where the core's id is such a UUID, or such a text, the two are the same id written differently. Where it is any
//! other text (a file's stem, a session that a client of another surface named), the id here is a UUIDv5 of it:
//! always the same. Agents and models are found again by trying all there are; there are few. Sessions are many, so
//! a [`SessionAlias`] is kept of each that was shown under such an id.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::Error;
use crate::api::ApiState;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::id::{ComponentId, ModelName, Owner, RunId, SessionId};
use crate::domain::spec::ComponentKind;
use crate::runtime::documents::{Changes, Document};

/// The only organisation there is.
pub const ORGANIZATION: &str = "org_00000000000000000000000000000001";

/// What ids of texts are made below.
const TEXTS: Uuid = Uuid::from_u128(0x7d0c_2f64_91b5_5f0e_8a43_1b6f_2c9d_7e58);

/// What an id names, as the word before its underscore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    word: &'static str,
    /// What is said of an id that is none: `Invalid <name> ID`.
    name: &'static str,
}

impl Prefix {
    const fn new(word: &'static str, name: &'static str) -> Self {
        Self { word, name }
    }

    /// What stands before the underscore.
    pub fn word(self) -> &'static str {
        self.word
    }
}

/// Of agents.
pub const AGENT: Prefix = Prefix::new("agent", "agent");
/// Of sessions.
pub const SESSION: Prefix = Prefix::new("session", "session");
/// Of messages.
pub const MESSAGE: Prefix = Prefix::new("message", "message");
/// Of events.
pub const EVENT: Prefix = Prefix::new("event", "event");
/// Of turns.
pub const TURN: Prefix = Prefix::new("turn", "turn");
/// Of steps of a turn.
pub const EXEC: Prefix = Prefix::new("exec", "execution");
/// Of providers.
pub const PROVIDER: Prefix = Prefix::new("provider", "provider");
/// Of models.
pub const MODEL: Prefix = Prefix::new("model", "model");
/// Of images.
pub const IMAGE: Prefix = Prefix::new("img", "image");
/// Of MCP servers.
pub const MCP: Prefix = Prefix::new("mcp", "MCP server");
/// Of API keys.
pub const KEY: Prefix = Prefix::new("key", "API key");
/// Of users.
pub const USER: Prefix = Prefix::new("user", "user");
/// Of organisations.
pub const ORG: Prefix = Prefix::new("org", "organization");
/// Of harnesses.
pub const HARNESS: Prefix = Prefix::new("harness", "harness");
/// Of workspaces: each session's own.
pub const WORKSPACE: Prefix = Prefix::new("wsp", "workspace");

/// An id as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicId(pub Prefix, pub Uuid);

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(prefix, uuid) = self;
        write!(f, "{}_{}", prefix.word, uuid.simple())
    }
}

impl Serialize for PublicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The UUID in an id of this kind; `None` unless it is written to the letter.
pub fn read(prefix: Prefix, text: &str) -> Option<Uuid> {
    let hex = text.strip_prefix(prefix.word)?.strip_prefix('_')?;
    let digits = hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| Uuid::try_parse(hex).ok())?
}

/// The same, for what must be one.
///
/// # Errors
/// 400 `Invalid <name> ID`.
pub fn parse(prefix: Prefix, text: &str) -> Result<Uuid, Error> {
    read(prefix, text).ok_or_else(|| Error::bad_request(format!("Invalid {} ID", prefix.name)))
}

/// The UUID that stands for a text.
fn derived(kind: &str, text: &str) -> Uuid {
    Uuid::new_v5(&TEXTS, format!("{kind}/{text}").as_bytes())
}

/// The UUID that a text is, if it is written as the core writes UUIDs.
fn plain(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.hyphenated().to_string() == text).then_some(uuid)
}

/// A component's id.
pub fn agent(kind: ComponentKind, id: &ComponentId) -> PublicId {
    let own = if kind == ComponentKind::Agent { read(AGENT, id.as_str()) } else { None };
    PublicId(AGENT, own.unwrap_or_else(|| derived(kind.as_str(), id.as_str())))
}

/// The id of whatever works in a session; of one that has nobody yet, the id of nobody.
pub fn agent_of(kind: ComponentKind, id: Option<&ComponentId>) -> PublicId {
    id.map_or_else(|| PublicId(AGENT, derived(kind.as_str(), "")), |id| agent(kind, id))
}

/// The component id of an agent that was made here.
///
/// # Errors
/// 500; it cannot happen.
pub fn component(agent: Uuid) -> Result<ComponentId, Error> {
    let text = PublicId(AGENT, agent).to_string();
    text.parse().map_err(|_| crate::runtime::Error::Internal.into())
}

/// The name of no model: what runs where nothing is said, if nothing is configured either.
pub(super) fn no_model() -> ModelName {
    ModelName { provider: "none".into(), model: "none".into() }
}

/// A model's id.
pub fn model(name: &ModelName) -> PublicId {
    PublicId(MODEL, derived("model", &name.to_string()))
}

/// A configured provider's id.
pub fn provider(name: &str) -> PublicId {
    PublicId(PROVIDER, derived("provider", name))
}

/// The id of an owner, as the one user he is.
pub fn user(owner: &Owner) -> PublicId {
    PublicId(USER, derived("user", owner.as_str()))
}

/// A run's id: a turn's.
pub fn turn(run: RunId) -> PublicId {
    PublicId(TURN, run.0)
}

/// A session's id. Whoever shows one calls [`remember`] too.
pub fn session(id: &SessionId) -> PublicId {
    PublicId(SESSION, plain(id.as_str()).unwrap_or_else(|| derived("session", id.as_str())))
}

/// The core's id of a session whose id was read here.
///
/// # Errors
/// What the store says.
pub async fn session_id(state: &ApiState, owner: &Owner, uuid: Uuid) -> Result<SessionId, Error> {
    // Only ids made of texts are of this version, unless a client chose one.
    if uuid.get_version_num() == 5 {
        let alias = state.runtime.documents(owner).get::<SessionAlias>(&uuid.simple().to_string()).await?;
        if let Some(alias) = alias {
            return Ok(alias.value.session);
        }
    }
    uuid.hyphenated().to_string().parse().map_err(|_| crate::runtime::Error::Internal.into())
}

/// A session that another surface gave a name which is no UUID: found again by its id here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionAlias {
    session: SessionId,
}

impl Document for SessionAlias {
    const KIND: RecordKind = RecordKind("everruns_session");

    fn id(&self) -> String {
        session(&self.session).1.simple().to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: false, names: Vec::new() }
    }
}

/// Sees to it that these sessions, which are about to be shown, are found again.
///
/// # Errors
/// What the store says.
pub async fn remember(
    state: &ApiState,
    owner: &Owner,
    sessions: impl IntoIterator<Item = &SessionId>,
) -> Result<(), Error> {
    let documents = state.runtime.documents(owner);
    let mut changes = Changes::default();
    for id in sessions.into_iter().filter(|id| plain(id.as_str()).is_none()) {
        let alias = SessionAlias { session: id.clone() };
        if documents.get::<SessionAlias>(&alias.id()).await?.is_none() {
            changes = changes.put(&alias);
        }
    }
    Ok(documents.write(changes).await?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_prefix_and_32_lower_case_hex_digits() {
        let good = "agent_01933b5a000070008000000000000001";
        assert_eq!(PublicId(AGENT, read(AGENT, good).unwrap()).to_string(), good);
        let wrong = [
            "agent_01933b5a00007000800000000000001",
            "agent_01933B5A000070008000000000000001",
            "agent_01933b5a-0000-7000-8000-000000000001",
            "agent_01933b5a0000700080000000000000011",
            "session_01933b5a000070008000000000000001",
            "agent01933b5a000070008000000000000001",
            "agent_{01933b5a00007000800000000000001}",
            "agent_",
            "",
        ];
        for text in wrong {
            assert_eq!(read(AGENT, text), None, "{text}");
        }
    }

    #[test]
    fn a_session_that_is_a_uuid_keeps_it_and_any_other_has_one_of_its_own() {
        let plain: SessionId = "01933b5a-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(session(&plain).to_string(), "session_01933b5a000070008000000000000001");
        let loud: SessionId = "01933B5A-0000-7000-8000-000000000001".parse().unwrap();
        assert_ne!(session(&loud), session(&plain));
        let named: SessionId = "my chat".parse().unwrap();
        assert_eq!(session(&named), session(&named));
        assert_eq!(session(&named).1.get_version_num(), 5);
    }

    #[test]
    fn components_of_different_kinds_have_different_ids() {
        let id: ComponentId = "helper".parse().unwrap();
        assert_ne!(agent(ComponentKind::Agent, &id), agent(ComponentKind::Team, &id));
        let own: ComponentId = "agent_01933b5a000070008000000000000001".parse().unwrap();
        assert_eq!(agent(ComponentKind::Agent, &own).to_string(), own.as_str());
        assert_ne!(agent(ComponentKind::Team, &own).to_string(), own.as_str());
    }
}
