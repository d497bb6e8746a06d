//! What clients may say about sessions: queries and bodies, field by field.

use serde_json::Value;
use utoipa::ToSchema;

use super::database::Choice;
use crate::api::fields::{Fields, FromFields};
use crate::domain::Object;
use crate::domain::id::{ComponentId, SessionId, UserId};
use crate::domain::spec::ComponentKind;
use crate::runtime::{SessionFilter, SessionSort};

/// Longest name of a session, in characters.
const MAX_NAME_CHARS: usize = 4096;
/// Longest page, whatever a client asks for.
const MAX_LIMIT: u64 = 1000;

const KINDS: [(&str, ComponentKind); 3] =
    [("agent", ComponentKind::Agent), ("team", ComponentKind::Team), ("workflow", ComponentKind::Workflow)];

/// The query of a new session.
#[derive(Debug)]
pub(super) struct NewQuery {
    pub(super) kind: ComponentKind,
    pub(super) database: Choice,
}

impl FromFields for NewQuery {
    fn from_fields(fields: &mut Fields) -> Self {
        let kind = fields.choice("type", &KINDS).unwrap_or_default();
        Self { kind, database: Choice::of(fields) }
    }
}

/// A new session. Owners, times and counts are not a client's to set.
#[derive(Debug, ToSchema)]
#[schema(as = CreateSessionRequest)]
pub(super) struct NewSessionBody {
    #[schema(rename = "session_id", value_type = Option<String>)]
    pub(super) id: Option<SessionId>,
    #[schema(rename = "session_name", value_type = Option<String>)]
    pub(super) name: Option<String>,
    #[schema(rename = "session_state", value_type = Option<std::collections::BTreeMap<String, Value>>)]
    pub(super) state: Option<Object>,
    #[schema(rename = "metadata", value_type = Option<std::collections::BTreeMap<String, Value>>)]
    pub(super) metadata: Option<Object>,
    #[schema(rename = "user_id", value_type = Option<String>)]
    pub(super) user: Option<UserId>,
    #[schema(rename = "agent_id", value_type = Option<String>)]
    pub(super) agent: Option<ComponentId>,
    #[schema(rename = "team_id", value_type = Option<String>)]
    pub(super) team: Option<ComponentId>,
    #[schema(rename = "workflow_id", value_type = Option<String>)]
    pub(super) workflow: Option<ComponentId>,
}

impl FromFields for NewSessionBody {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            id: fields.id("session_id"),
            name: name(fields),
            state: fields.object("session_state"),
            metadata: fields.object("metadata"),
            user: fields.id("user_id"),
            agent: fields.id("agent_id"),
            team: fields.id("team_id"),
            workflow: fields.id("workflow_id"),
        }
    }
}

/// Which session is meant, beside its id.
#[derive(Debug)]
pub(super) struct Which {
    pub(super) kind: Option<ComponentKind>,
    pub(super) user: Option<UserId>,
    pub(super) database: Choice,
}

impl FromFields for Which {
    fn from_fields(fields: &mut Fields) -> Self {
        let kind = fields.choice("type", &KINDS);
        Self { kind, user: fields.id("user_id"), database: Choice::of(fields) }
    }
}

/// Whose session is to be deleted.
#[derive(Debug)]
pub(super) struct Whose {
    pub(super) user: Option<UserId>,
    pub(super) database: Choice,
}

impl FromFields for Whose {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { user: fields.id("user_id"), database: Choice::of(fields) }
    }
}

/// Changes of a session: what is there replaces what is stored.
#[derive(Debug, ToSchema)]
#[schema(as = UpdateSessionRequest)]
pub(super) struct Changes {
    #[schema(rename = "session_name", value_type = Option<String>)]
    pub(super) name: Option<String>,
    #[schema(rename = "session_state", value_type = Option<std::collections::BTreeMap<String, Value>>)]
    pub(super) state: Option<Object>,
    #[schema(rename = "metadata", value_type = Option<std::collections::BTreeMap<String, Value>>)]
    pub(super) metadata: Option<Object>,
    #[schema(rename = "summary")]
    pub(super) summary: Option<Value>,
}

impl FromFields for Changes {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: name(fields),
            state: fields.object("session_state"),
            metadata: fields.object("metadata"),
            summary: fields.object("summary").map(Value::Object),
        }
    }
}

/// A new name.
#[derive(Debug, ToSchema)]
#[schema(as = RenameSessionRequest)]
pub(super) struct Naming {
    #[schema(rename = "session_name")]
    pub(super) name: String,
}

impl FromFields for Naming {
    fn from_fields(fields: &mut Fields) -> Self {
        if fields.value("session_name").is_none() {
            fields.missing("session_name");
        }
        Self { name: name(fields).unwrap_or_default() }
    }
}

fn name(fields: &mut Fields) -> Option<String> {
    let name = fields.text("session_name")?;
    if name.chars().count() > MAX_NAME_CHARS {
        let message = format!("String should have at most {MAX_NAME_CHARS} characters");
        fields.violation("session_name", "string_too_long", message);
    }
    Some(name)
}

/// Sessions to delete. Types are read and checked, and not needed: ids are unique across them.
#[derive(Debug, ToSchema)]
#[schema(as = DeleteSessionRequest)]
pub(super) struct Selection {
    #[schema(rename = "session_ids", min_items = 1)]
    pub(super) ids: Vec<String>,
    #[schema(rename = "session_types", value_type = Vec<String>, min_items = 1)]
    pub(super) kinds: Vec<ComponentKind>,
}

impl FromFields for Selection {
    fn from_fields(fields: &mut Fields) -> Self {
        let text = |item: &Value| {
            let text = item.as_str().map(ToOwned::to_owned);
            text.ok_or_else(|| ("string_type", "Input should be a valid string".to_owned()))
        };
        let kind = |item: &Value| {
            let known = KINDS.iter().find(|(word, _)| item.as_str() == Some(word)).map(|(_, kind)| *kind);
            known.ok_or_else(|| ("enum", "Input should be 'agent', 'team' or 'workflow'".to_owned()))
        };
        Self {
            ids: fields.required_list("session_ids", text),
            kinds: fields.required_list("session_types", kind),
        }
    }
}

/// Which sessions to list, and how.
#[derive(Debug)]
pub(super) struct Listing {
    kind: Option<ComponentKind>,
    component: Option<ComponentId>,
    user: Option<UserId>,
    text: Option<String>,
    sort: SessionSort,
    newest_first: bool,
    /// At most as many, 1 to [`MAX_LIMIT`].
    pub(super) limit: u64,
    /// As asked; 0 is the first page too.
    pub(super) page: u64,
    pub(super) database: Choice,
}

impl FromFields for Listing {
    fn from_fields(fields: &mut Fields) -> Self {
        let sort = match fields.text("sort_by").as_deref() {
            Some("updated_at") => SessionSort::Updated,
            Some("session_name") => SessionSort::Title,
            Some(_) | None => SessionSort::Created,
        };
        Self {
            kind: fields.choice("type", &KINDS),
            component: fields.id("component_id"),
            user: fields.id("user_id"),
            text: fields.text("session_name").filter(|text| !text.is_empty()),
            sort,
            newest_first: fields.choice("sort_order", &[("desc", true), ("asc", false)]).unwrap_or(true),
            limit: fields.number("limit", 1).unwrap_or(20).min(MAX_LIMIT),
            page: fields.number("page", 0).unwrap_or(1),
            database: Choice::of(fields),
        }
    }
}

impl Listing {
    /// The same for the runtime.
    pub(super) fn filter(&self) -> SessionFilter {
        let before = self.page.saturating_sub(1).saturating_mul(self.limit);
        SessionFilter {
            kind: self.kind,
            component: self.component.clone(),
            user: self.user.clone(),
            text: self.text.clone(),
            tags: Vec::new(),
            standing: None,
            sort: self.sort,
            newest_first: self.newest_first,
            skip: usize::try_from(before).unwrap_or(usize::MAX),
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
        }
    }
}
