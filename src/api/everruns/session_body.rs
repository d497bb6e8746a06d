//! Sessions: what is read of them, and the object of the seed that is shown.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::assignment::{self, shown_capabilities, shown_tools};
use super::error::Error;
use super::harnesses::HARNESS_ID;
use super::ids::{self, ORGANIZATION, PublicId, WORKSPACE};
use super::time::{TokenUsage, moment};
use crate::api::fields::{Fields, FromFields};
use crate::capability::Mount;
use crate::domain::file::FilePath;
use crate::domain::run::Standing;
use crate::domain::spec::{CapabilityRef, DeclaredTool};
use crate::runtime::SessionDetail;
use crate::runtime::files::MAX_FILE_BYTES;

/// How much of a message a preview shows, in characters.
const PREVIEW: usize = 200;

/// Longest title, in bytes.
const MAX_TITLE: usize = 10 * 1024;

/// Refuses what no session is called or marked with.
///
/// # Errors
/// 400.
pub(super) fn check(title: Option<&str>, tags: &[String]) -> Result<(), Error> {
    let is_over = title.is_some_and(|title| title.len() > MAX_TITLE) || assignment::too_many(tags);
    if is_over { Err(Error::over_limits()) } else { Ok(()) }
}

/// A new session, as it is ordered.
#[derive(Debug, Default)]
pub(super) struct NewSessionForm {
    /// Either this or the name is there.
    pub(super) agent_id: Option<String>,
    pub(super) agent_name: Option<String>,
    pub(super) title: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) model_id: Option<String>,
    pub(super) capabilities: Vec<CapabilityRef>,
    pub(super) tools: Vec<DeclaredTool>,
    pub(super) initial_files: Vec<Mount>,
}

impl FromFields for NewSessionForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let (agent_id, agent_name) = (fields.text("agent_id"), fields.text("agent_name"));
        if agent_id.is_none() && agent_name.is_none() {
            fields.missing("agent_id");
        }
        Self {
            agent_id,
            agent_name,
            title: fields.text("title"),
            tags: assignment::texts(fields, "tags").unwrap_or_default(),
            model_id: fields.text("model_id"),
            capabilities: assignment::capabilities(fields).unwrap_or_default(),
            tools: assignment::tools(fields).unwrap_or_default(),
            initial_files: initial_files(fields),
        }
    }
}

/// The files it is to begin with; each has a place of its own.
fn initial_files(fields: &mut Fields) -> Vec<Mount> {
    let files = assignment::each(fields, "initial_files", file).unwrap_or_default();
    let mut taken: BTreeSet<FilePath> = BTreeSet::new();
    let mut mounts = Vec::with_capacity(files.len());
    for (path, mount) in files {
        let above =
            std::iter::successors(path.parent(), FilePath::parent).any(|above| taken.contains(&above));
        let below = taken.iter().any(|other| other.as_str().starts_with(&format!("{path}/")));
        if above || below || !taken.insert(path.clone()) {
            let why = format!("`{path}` is there twice, or as a file and a folder");
            fields.violation("initial_files", "value_error", why);
        }
        mounts.push(mount);
    }
    mounts
}

fn file(item: &Value) -> Result<(FilePath, Mount), String> {
    let text = |name: &str| match item.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(format!("`{name}` must be text"))
        }
    };
    let path = text("path")?.ok_or("`path` is missing")?;
    let path = FilePath::parse_open(path).map_err(|reason| reason.to_string())?;
    if path.is_root() {
        return Err("`path` must name a file".into());
    }
    let content = text("content")?.unwrap_or_default();
    let content = match text("encoding")? {
        None | Some("text") => Bytes::copy_from_slice(content.as_bytes()),
        Some("base64") => STANDARD.decode(content).map_err(|_| "`content` is no base64")?.into(),
        Some(_) => return Err("`encoding` must be text or base64".into()),
    };
    if content.len() > MAX_FILE_BYTES {
        return Err(format!("a file has at most {MAX_FILE_BYTES} bytes"));
    }
    let readonly = match item.get("is_readonly") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(readonly)) => *readonly,
        Some(Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err("`is_readonly` must be true or false".into());
        }
    };
    let mount = Mount { path: path.clone().into(), content, readonly };
    Ok((path, mount))
}

/// What is changed of a session.
pub(super) struct SessionChanges {
    pub(super) title: Option<String>,
    pub(super) tags: Option<Vec<String>>,
}

impl FromFields for SessionChanges {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { title: fields.text("title"), tags: assignment::texts(fields, "tags") }
    }
}

/// A session, as the seed has it.
#[derive(Debug, Serialize)]
pub(super) struct SessionBody {
    id: PublicId,
    organization_id: &'static str,
    agent_id: PublicId,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<PublicId>,
    capabilities: Vec<Value>,
    tools: Vec<Value>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<TokenUsage>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    harness_id: &'static str,
    workspace_id: PublicId,
}

impl SessionBody {
    /// Of a session, and what goes on in it.
    pub(super) fn new(detail: SessionDetail, standing: Standing) -> Self {
        let SessionDetail { session, data } = detail;
        let id = ids::session(&session.id);
        Self {
            id,
            organization_id: ORGANIZATION,
            agent_id: ids::agent_of(session.kind, session.component.as_ref()),
            title: session.title,
            tags: session.tags,
            model_id: data.additions.model.as_ref().map(ids::model),
            capabilities: shown_capabilities(&data.additions.capabilities),
            tools: shown_tools(&data.additions.tools),
            status: status(standing),
            preview: session.first_input.as_deref().and_then(preview),
            output_preview: session.last_output.as_deref().and_then(preview),
            usage: TokenUsage::of(&session.usage),
            created_at: moment(session.created),
            updated_at: moment(session.updated),
            started_at: session.started.map(moment),
            harness_id: HARNESS_ID,
            workspace_id: PublicId(WORKSPACE, id.1),
        }
    }
}

/// The words for where a session stands.
pub(super) fn status(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "started",
        Standing::Active => "active",
        Standing::Waiting => "waitingfortoolresults",
        Standing::Idle => "idle",
    }
}

/// The beginning of a text.
fn preview(text: &str) -> Option<String> {
    let start: String = text.chars().take(PREVIEW).collect();
    (!start.is_empty()).then_some(start)
}
