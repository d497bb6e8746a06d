//! Agents: those that clients made, which can be changed, and those of files, which can be read, exported and copied.

use std::sync::Arc;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;

use super::agent_body::{AgentBody, AgentForm, Checked, Found, NewAgent};
use super::body::{Body, Text};
use super::error::Error;
use super::ids::{self, AGENT, PublicId};
use super::page::Query;
use super::schemas::JSON;
use super::{agent_file, assignment};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::{Fields, FromFields, path_text};
use crate::domain::id::{ComponentId, ModelName, Owner};
use crate::domain::spec::{AgentSpec, ComponentKind, Source, Spec};
use crate::domain::time::Timestamp;
use crate::runtime::agents::SavedAgent;
use crate::runtime::documents::Stored;
use crate::runtime::workspace::Workspace;

const NO_SUCH: &str = "There is no such agent";
const OF_FILE: &str = "It is a file's";

pub(super) fn table() -> Vec<Endpoint> {
    let mut table = one_agent_table();
    table.extend([
        Endpoint::post("/agents", create)
            .named("create_agent", "Agents", "Create an agent, or replace the one of the id that is given")
            .takes([(JSON, "NewAgent")], true)
            .tells("201", "The agent", "Agent")
            .tells("200", "There was one of this id: the agent, replaced", "Agent")
            .fails("409", OF_FILE),
        Endpoint::post("/agents/import", import)
            .named(
                "import_agent",
                "Agents",
                "Make an agent of a text: Markdown with front matter, JSON, YAML or a prompt",
            )
            .takes([("text/plain", "AgentText")], true)
            .tells("201", "The agent", "Agent"),
    ]);
    table
}

fn one_agent_table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/agents/{agent_id}", read)
            .named("get_agent", "Agents", "Read an agent")
            .tells("200", "The agent", "Agent")
            .fails("404", NO_SUCH),
        Endpoint::put("/agents/{agent_id}", replace)
            .named("put_agent", "Agents", "Create or replace an agent")
            .takes([(JSON, "NewAgent")], true)
            .tells("200", "The agent, replaced", "Agent")
            .tells("201", "The agent", "Agent")
            .fails("409", OF_FILE),
        Endpoint::patch("/agents/{agent_id}", change)
            .named("update_agent", "Agents", "Change what is given of an agent")
            .takes([(JSON, "AgentPatch")], false)
            .tells("200", "The agent, changed", "Agent")
            .fails("404", NO_SUCH)
            .fails("409", OF_FILE),
        Endpoint::delete("/agents/{agent_id}", archive)
            .named("delete_agent", "Agents", "Archive an agent")
            .gives("204", "It is archived", &[])
            .fails("404", NO_SUCH)
            .fails("409", OF_FILE),
        Endpoint::get("/agents/{agent_id}/export", export)
            .named("export_agent", "Agents", "An agent as a Markdown file")
            .gives("200", "The file", &["text/markdown"])
            .fails("404", NO_SUCH),
        Endpoint::post("/agents/{agent_id}/copy", copy)
            .named("copy_agent", "Agents", "Make another agent of an agent")
            .takes([(JSON, "AgentCopy")], false)
            .tells("201", "The new agent", "Agent")
            .fails("404", NO_SUCH),
    ]
}

/// `POST /agents`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(NewAgent(form)): Body<NewAgent>,
) -> Result<HttpResponse, Error> {
    let id = match form.id.as_deref() {
        Some(id) => ids::parse(AGENT, id)?,
        None => state.runtime.fresh(),
    };
    write(&state, &caller, id, form).await
}

/// `PUT /agents/{agent_id}`
async fn replace(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(NewAgent(form)): Body<NewAgent>,
) -> Result<HttpResponse, Error> {
    write(&state, &caller, ids::parse(AGENT, &path_text(&request, "agent_id"))?, form).await
}

/// Writes an agent whole: 201 if there was none, 200 if there was.
async fn write(state: &ApiState, caller: &Caller, id: Uuid, form: AgentForm) -> Result<HttpResponse, Error> {
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let checked = form.checked(state, &workspace)?;
    let id = match find(state, caller.owner(), &workspace, id).await? {
        Some(Found::File(_)) => return Err(read_only()),
        Some(Found::Saved(saved)) => saved.spec.id.clone(),
        None => ids::component(id)?,
    };
    let (agent, is_new) = save(state, caller, workspace, id, checked).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(AgentBody::saved(&agent)))
}

async fn save(
    state: &ApiState,
    caller: &Caller,
    workspace: Arc<Workspace>,
    id: ComponentId,
    checked: Checked,
) -> Result<(SavedAgent, bool), Error> {
    let (now, any, its_id) = (state.runtime.now(), default_model(&workspace), id.clone());
    let who = caller.clone();
    let edit = move |found: Option<Stored<SavedAgent>>| {
        let created = found.as_ref().map_or(now, |found| found.created);
        let agent = checked.new_agent(its_id.clone(), created, now, &any);
        let before = found.as_ref().map(|found| &found.spec);
        assignment::may_define(&who, &workspace.registry, &agent.spec, before)?;
        Ok::<_, Error>(((agent.clone(), found.is_none()), agent))
    };
    state.runtime.change_agent(caller.owner(), &id, edit).await
}

pub(super) fn default_model(workspace: &Workspace) -> ModelName {
    workspace.models.default_model().cloned().unwrap_or_else(ids::no_model)
}

/// `GET /agents/{agent_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let found = of_path(&state, caller.owner(), &request).await?;
    let spec = found.spec();
    let usage = state.runtime.usage(caller.owner(), spec.kind(), spec.id()).await?;
    Ok(HttpResponse::Ok().json(found.body(state.runtime.since()).with_usage(&usage)))
}

/// `PATCH /agents/{agent_id}`
async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(form): Body<AgentForm>,
) -> Result<HttpResponse, Error> {
    let id = changeable(&state, caller.owner(), &request).await?;
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let checked = form.checked(&state, &workspace)?;
    let now = state.runtime.now();
    let who = caller.clone();
    let edit = move |found: Option<Stored<SavedAgent>>| {
        let mut agent = found.ok_or_else(missing)?.value;
        let before = agent.spec.clone();
        checked.change(&mut agent, now);
        assignment::may_define(&who, &workspace.registry, &agent.spec, Some(&before))?;
        check_template(&workspace, &agent.spec)?;
        Ok::<_, Error>((agent.clone(), agent))
    };
    let agent = state.runtime.change_agent(caller.owner(), &id, edit).await?;
    Ok(HttpResponse::Ok().json(AgentBody::saved(&agent)))
}

/// What comes from a file is strict: nothing of it is passed over when a turn begins, so it must fit now.
fn check_template(workspace: &Workspace, spec: &AgentSpec) -> Result<(), Error> {
    if spec.source == Source::Client {
        return Ok(());
    }
    let fits = workspace.registry.compose(&spec.capabilities, &spec.tools);
    fits.map(drop).map_err(|fault| Error::bad_request(fault.to_string()))
}

/// `DELETE /agents/{agent_id}`
async fn archive(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let id = changeable(&state, caller.owner(), &request).await?;
    let now = state.runtime.now();
    let edit = move |found: Option<Stored<SavedAgent>>| {
        let agent = found.filter(|agent| !agent.archived).ok_or_else(missing)?.value;
        Ok::<_, Error>(((), SavedAgent { archived: true, updated: now, ..agent }))
    };
    state.runtime.change_agent(caller.owner(), &id, edit).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /agents/import`
async fn import(
    state: Data<ApiState>,
    caller: Caller,
    query: Query,
    Text(text): Text,
) -> Result<HttpResponse, Error> {
    if query.text("from-example").is_some() {
        return Err(Error::not_found("There is no example of this name"));
    }
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let now = state.runtime.now();
    let read = agent_file::read(&text, &workspace, now)?;
    let (form, keys) = (read.form.checked(&state, &workspace)?, read.keys);
    let id = ids::component(state.runtime.fresh())?;
    let mut agent = form.new_agent(id.clone(), now, now, &default_model(&workspace));
    if let Some(keys) = keys {
        keys.put_into(&mut agent)?;
    }
    check_template(&workspace, &agent.spec)?;
    assignment::may_define(&caller, &workspace.registry, &agent.spec, None)?;
    created(&state, caller.owner(), agent).await
}

async fn created(state: &ApiState, owner: &Owner, agent: SavedAgent) -> Result<HttpResponse, Error> {
    let id = agent.spec.id.clone();
    let body = AgentBody::saved(&agent);
    state.runtime.change_agent(owner, &id, move |_| Ok::<_, Error>(((), agent.clone()))).await?;
    Ok(HttpResponse::Created().json(body))
}

/// `GET /agents/{agent_id}/export`
async fn export(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let agent = exportable(of_path(&state, caller.owner(), &request).await?, state.runtime.since())?;
    let name = agent_file::slug(&agent.spec.name);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/markdown; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.md\"")))
        .body(agent_file::write(&agent)))
}

/// A copy's name; the body may be absent.
struct CopyForm {
    name: Option<String>,
}

impl FromFields for CopyForm {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { name: fields.text("name") }
    }
}

/// `POST /agents/{agent_id}/copy`
async fn copy(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(CopyForm { name }): Body<CopyForm>,
) -> Result<HttpResponse, Error> {
    let now = state.runtime.now();
    let mut agent = exportable(of_path(&state, caller.owner(), &request).await?, now)?;
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let name = name.unwrap_or_else(|| format!("{} (copy)", agent.spec.name));
    AgentForm { name: Some(name.clone()), ..AgentForm::default() }.checked(&state, &workspace)?;
    assignment::may_define(&caller, &workspace.registry, &agent.spec, None)?;
    agent.spec.id = ids::component(state.runtime.fresh())?;
    agent.spec.name = name;
    agent = SavedAgent { archived: false, created: now, updated: now, ..agent };
    created(&state, caller.owner(), agent).await
}

/// An agent that can stand by itself. A team or workflow names others, and stays with its files.
fn exportable(found: Found, since: Timestamp) -> Result<SavedAgent, Error> {
    match found {
        Found::Saved(agent) => Ok(agent.value),
        Found::File(spec) => match spec.as_ref() {
            Spec::Agent(agent) => Ok(SavedAgent {
                spec: agent.clone(),
                any_model: false,
                tags: Vec::new(),
                archived: false,
                created: since,
                updated: since,
                extra: Default::default(),
            }),
            Spec::Team(_) | Spec::Workflow(_) => Err(Error::bad_request(
                "Teams and workflows belong to files: they cannot be exported or copied",
            )),
        },
    }
}

/// The agent with this id: one that was saved, archived ones too, or a file's.
pub(super) async fn find(
    state: &ApiState,
    owner: &Owner,
    workspace: &Workspace,
    id: Uuid,
) -> Result<Option<Found>, Error> {
    let documents = state.runtime.documents(owner);
    let text = PublicId(AGENT, id).to_string();
    if let Some(saved) = documents.get::<SavedAgent>(&text).await? {
        return Ok(Some(Found::Saved(Box::new(saved))));
    }
    let catalog = &workspace.catalog;
    let mut all = catalog.agents().chain(catalog.teams()).chain(catalog.workflows());
    let Some(spec) = all.find(|spec| ids::agent(spec.kind(), spec.id()).1 == id) else { return Ok(None) };
    // A file's place may be taken by an agent that was saved under the same name.
    if spec.kind() == ComponentKind::Agent
        && let Some(saved) = documents.get::<SavedAgent>(spec.id().as_str()).await?
        && !saved.archived
    {
        return Ok(Some(Found::Saved(Box::new(saved))));
    }
    Ok(Some(Found::File(spec.clone())))
}

/// The agent that a text names.
///
/// # Errors
/// 400 for what is no id, 404 for one of nothing.
pub(super) async fn named(state: &ApiState, owner: &Owner, id: &str) -> Result<Found, Error> {
    let id = ids::parse(AGENT, id)?;
    let workspace = state.runtime.workspace(owner).await?;
    find(state, owner, &workspace, id).await?.ok_or_else(missing)
}

async fn of_path(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<Found, Error> {
    named(state, owner, &path_text(request, "agent_id")).await
}

/// The name of an agent that may be changed here.
async fn changeable(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<ComponentId, Error> {
    match of_path(state, owner, request).await? {
        Found::Saved(agent) => Ok(agent.value.spec.id),
        Found::File(_) => Err(read_only()),
    }
}

fn missing() -> Error {
    Error::not_found("Agent not found")
}

fn read_only() -> Error {
    Error::conflict(
        "This agent is defined by a file on the server and is read-only here: change the file, or copy the agent and \
         change the copy",
    )
}
