//! The registry of plugins: what agents and sessions can be given.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures::future::join_all;
use serde_json::{Value, json};

use super::error::Error;
use super::page::{self, Page, Query};
use super::schemas::page_of;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::fields::path_text;
use crate::capability::toolbox::Toolbox;
use crate::capability::{Capability, CapabilityKind, Contribution};
use crate::domain::id::Owner;

pub(super) fn table() -> Vec<Endpoint> {
    use ParameterKind::{Number, Text};
    vec![
        Endpoint::get("/capabilities", list)
            .named("list_capabilities", "Capabilities", "List what agents and sessions can be given")
            .query(&[
                Parameter::new("search", Text, "With this in their id, name or description"),
                Parameter::new("offset", Number(0), "Passes over as many"),
                Parameter::new("limit", Number(1), "At most as many; all where nothing is said"),
            ])
            .tells("200", "The capabilities", &page_of("Capability")),
        Endpoint::get("/capabilities/{capability_id}", read)
            .named("get_capability", "Capabilities", "Read a capability")
            .tells("200", "The capability", "Capability")
            .fails("404", "There is no such capability"),
    ]
}

/// `GET /capabilities`
async fn list(state: Data<ApiState>, caller: Caller, query: Query) -> Result<HttpResponse, Error> {
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let search = query.text("search").map(str::to_lowercase);
    let fits = |capability: &dyn Capability| {
        let about = capability.about();
        let holds = |search: &String| {
            [&about.id, &about.name, &about.description]
                .iter()
                .any(|text| text.to_lowercase().contains(search))
        };
        search.as_ref().is_none_or(holds)
    };
    let all = workspace.registry.all().map(AsRef::as_ref).filter(|capability| fits(*capability));
    let all: Vec<&dyn Capability> = all.collect();
    let total = all.len();
    let part = match query.text("limit").or(query.text("offset")) {
        Some(_) => query.page()?,
        None => Page { offset: 0, limit: total },
    };
    let part_of = all.into_iter().skip(part.offset).take(part.limit);
    let data = join_all(part_of.map(|capability| shown(&state, caller.owner(), capability))).await;
    Ok(page::page(data, total as u64, part))
}

/// `GET /capabilities/{capability_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let found = workspace.registry.get(&path_text(&request, "capability_id"));
    let capability = found.ok_or_else(|| Error::not_found("Capability not found"))?;
    Ok(HttpResponse::Ok().json(shown(&state, caller.owner(), capability.as_ref()).await))
}

/// A capability, with what it contributes where its settings are left as they are. A server is asked for its tools.
async fn shown(state: &ApiState, owner: &Owner, capability: &dyn Capability) -> Value {
    let about = capability.about();
    // One that needs settings contributes nothing without them.
    let Contribution { prompt, mut tools, later, .. } = capability.contribute(&json!({})).unwrap_or_default();
    if let (CapabilityKind::Mcp, Some(later)) = (about.kind, later) {
        let now = state.runtime.said_now(owner, later.as_ref()).await;
        // Of a server's tools those that a model can be offered.
        let mut offered = Toolbox::default();
        let now = now.unwrap_or_default().tools.into_iter();
        tools.extend(now.filter(|tool| offered.add(tool.clone()).is_ok()));
    }
    let tools: Vec<Value> = tools
        .iter()
        .map(|tool| tool.spec())
        .map(|spec| {
            json!({
                "type": "builtin",
                "name": spec.name,
                "description": spec.description,
                "parameters": spec.parameters,
                "policy": if spec.gate.is_open() { "auto" } else { "requires_approval" },
            })
        })
        .collect();
    let mut shown = json!({
        "id": about.id,
        "name": about.name,
        "description": about.description,
        "status": about.status,
        "icon": about.icon,
        "category": about.category,
        "dependencies": about.dependencies,
        "tool_definitions": tools,
        "is_mcp": about.kind == CapabilityKind::Mcp,
        "is_skill": about.kind == CapabilityKind::Skill,
        "features": about.features,
        "risk_level": about.risk,
        "config_schema": about.config_schema,
    });
    if let (Some(prompt), Some(fields)) = (prompt, shown.as_object_mut()) {
        fields.insert("system_prompt".into(), prompt.into());
    }
    shown
}
