//! MCP servers: those that clients added, which can be changed, and those of the configuration, which can be read, and
//! whose changed tools can be approved.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::Body;
use super::error::Error;
use super::ids::{self, MCP, PublicId};
use super::mcp_body::{ServerForm, ServerView, configured_id};
use super::page;
use super::schemas::{JSON, list_of};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::path_text;
use crate::domain::id::Owner;
use crate::runtime::documents::{Changes, Stored};
use crate::servers::saved::{SavedServer, ServerName};
use crate::servers::{Configured, ServerPins};

const NO_SUCH: &str = "There is no such MCP server";

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/mcp-servers", list)
            .named("list_mcp_servers", "MCP servers", "List the servers that speak MCP")
            .tells("200", "The servers", &list_of("McpServer")),
        Endpoint::post("/mcp-servers", create)
            .named("create_mcp_server", "MCP servers", "Add a server that speaks MCP over HTTP")
            .takes([(JSON, "NewMcpServer")], true)
            .tells("201", "The server", "McpServer")
            .fails("409", "The name is taken")
            .fails("503", "Secrets cannot be kept: there is no key to seal them with"),
        Endpoint::get("/mcp-servers/{server_id}", read)
            .named("get_mcp_server", "MCP servers", "Read a server")
            .tells("200", "The server", "McpServer")
            .fails("404", NO_SUCH),
        Endpoint::patch("/mcp-servers/{server_id}", change)
            .named("update_mcp_server", "MCP servers", "Change what is given, or approve changed tools")
            .takes([(JSON, "McpServerPatch")], false)
            .tells("200", "The server, changed", "McpServer")
            .fails("404", NO_SUCH)
            .fails("409", "The name is taken, or the server is the configuration's"),
        Endpoint::delete("/mcp-servers/{server_id}", remove)
            .named("delete_mcp_server", "MCP servers", "Remove a server")
            .gives("204", "It is gone", &[])
            .fails("404", NO_SUCH)
            .fails("409", "It is the configuration's"),
    ]
}

/// `GET /mcp-servers`
async fn list(state: Data<ApiState>, caller: Caller) -> Result<HttpResponse, Error> {
    // Made now if it was not, so that what is kept has a connection to tell of.
    state.runtime.workspace(caller.owner()).await?;
    let mut shown = Vec::new();
    for saved in state.runtime.documents(caller.owner()).all::<SavedServer>(None).await? {
        shown.push(saved_view(&state, caller.owner(), &saved).await?);
    }
    for one in state.servers.configured() {
        shown.push(configured_view(&state, caller.owner(), one).await?);
    }
    Ok(page::list(shown))
}

/// `POST /mcp-servers`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(form): Body<ServerForm>,
) -> Result<HttpResponse, Error> {
    let now = state.runtime.now();
    let blank = SavedServer {
        id: state.runtime.fresh(),
        name: String::new(),
        description: None,
        url: String::new(),
        headers: Default::default(),
        api_key: None,
        disabled: false,
        created: now,
        updated: now,
    };
    form.complete()?;
    let server = form.applied(blank, &state)?;
    let documents = state.runtime.documents(caller.owner());
    is_free(&state, &server.name)?;
    let changes = Changes::default().create(&server).create(&server.taken_name());
    documents.write(changes).await.map_err(|error| taken(error, &server.name))?;
    refreshed(&state, caller.owner()).await?;
    let shown = saved_view(&state, caller.owner(), &server).await?;
    Ok(HttpResponse::Created().json(shown))
}

/// `GET /mcp-servers/{server_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let id = ids::parse(MCP, &path_text(&request, "server_id"))?;
    state.runtime.workspace(caller.owner()).await?;
    let shown = match found(&state, caller.owner(), id).await? {
        Found::Saved(saved) => saved_view(&state, caller.owner(), &saved).await?,
        Found::Configured(one) => configured_view(&state, caller.owner(), one).await?,
    };
    Ok(HttpResponse::Ok().json(shown))
}

/// `PATCH /mcp-servers/{server_id}`
async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(form): Body<ServerForm>,
) -> Result<HttpResponse, Error> {
    let owner = caller.owner();
    let id = ids::parse(MCP, &path_text(&request, "server_id"))?;
    let documents = state.runtime.documents(owner);
    let before = match found(&state, owner, id).await? {
        Found::Saved(saved) => saved,
        Found::Configured(one) => {
            if !form.only_approves() {
                return Err(read_only());
            }
            state.servers.approve(&documents, &one.server.settings().id).await?;
            refreshed(&state, owner).await?;
            return Ok(HttpResponse::Ok().json(configured_view(&state, owner, one).await?));
        }
    };
    if form.approves() {
        state.servers.approve(&documents, &id.to_string()).await?;
    }
    let mut after = form.applied(before.value.clone(), &state)?;
    after.updated = state.runtime.now();
    let mut changes = Changes::default().replace(&before, &after);
    if after.taken_name() != before.taken_name() {
        is_free(&state, &after.name)?;
        changes = changes.create(&after.taken_name()).delete::<ServerName>(&before.taken_name().name);
    }
    if after.url != before.url {
        // Another server: nothing of it has been seen.
        changes = changes.delete::<ServerPins>(&id.to_string());
    }
    documents.write(changes).await.map_err(|error| taken(error, &after.name))?;
    refreshed(&state, owner).await?;
    Ok(HttpResponse::Ok().json(saved_view(&state, owner, &after).await?))
}

/// `DELETE /mcp-servers/{server_id}`
async fn remove(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let id = ids::parse(MCP, &path_text(&request, "server_id"))?;
    match found(&state, caller.owner(), id).await? {
        Found::Configured(_) => return Err(read_only()),
        Found::Saved(saved) => {
            let changes = Changes::default()
                .delete::<SavedServer>(&saved.id.to_string())
                .delete::<ServerName>(&saved.taken_name().name)
                .delete::<ServerPins>(&saved.id.to_string());
            state.runtime.documents(caller.owner()).write(changes).await?;
        }
    }
    refreshed(&state, caller.owner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A server that a request names.
enum Found<'a> {
    Saved(Stored<SavedServer>),
    Configured(&'a Configured),
}

async fn found<'a>(state: &'a ApiState, owner: &Owner, id: Uuid) -> Result<Found<'a>, Error> {
    if let Some(saved) = state.runtime.documents(owner).get::<SavedServer>(&id.to_string()).await? {
        return Ok(Found::Saved(saved));
    }
    let is_it = |one: &&Configured| configured_id(&one.server.settings().name).1 == id;
    let one = state.servers.configured().iter().find(is_it);
    one.map(Found::Configured).ok_or_else(|| Error::not_found("MCP server not found"))
}

fn read_only() -> Error {
    Error::conflict("The MCP server stands in the server's configuration; it can only be changed there")
}

/// Names of the configuration are taken too: they stand in the names of tools.
fn is_free(state: &ApiState, name: &str) -> Result<(), Error> {
    let is_it = |one: &Configured| one.server.settings().name.eq_ignore_ascii_case(name);
    if state.servers.configured().iter().any(is_it) { Err(name_taken(name)) } else { Ok(()) }
}

fn taken(error: crate::runtime::Error, name: &str) -> Error {
    if matches!(error, crate::runtime::Error::Conflict(_)) { name_taken(name) } else { error.into() }
}

fn name_taken(name: &str) -> Error {
    Error::conflict(format!("There is an MCP server named {name} already"))
}

/// What begins from now on sees what was changed, and connects to it.
async fn refreshed(state: &ApiState, owner: &Owner) -> Result<(), Error> {
    state.runtime.refresh(owner);
    state.runtime.workspace(owner).await?;
    Ok(())
}

async fn saved_view(state: &ApiState, owner: &Owner, saved: &SavedServer) -> Result<Value, Error> {
    let pins = state.runtime.documents(owner).get::<ServerPins>(&saved.id.to_string()).await?;
    let running = state.servers.running(owner, saved.id);
    let view = ServerView {
        id: PublicId(MCP, saved.id),
        name: &saved.name,
        description: saved.description.as_deref(),
        url: Some(&saved.url),
        transport: "http",
        headers: saved.headers.keys().map(|name| (name.clone(), json!("***"))).collect(),
        api_key_set: saved.api_key.is_some(),
        disabled: saved.disabled,
        readonly: false,
        created: saved.created,
        updated: saved.updated,
    };
    Ok(view.shown(&saved.id.to_string(), running.as_deref(), pins.map(|pins| pins.value)))
}

async fn configured_view(state: &ApiState, owner: &Owner, one: &Configured) -> Result<Value, Error> {
    let settings = one.server.settings();
    let pins = state.runtime.documents(owner).get::<ServerPins>(&settings.id).await?;
    let view = ServerView::configured(settings, state.runtime.since());
    let pins = pins.map(|pins| pins.value).filter(|_| !one.accept_changes);
    Ok(view.shown(&settings.id, Some(&one.server), pins))
}
