//! What a model would be told, were an agent made of this.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::{Value, json};
use uuid::Uuid;

use super::agent_body::blank;
use super::agents::default_model;
use super::assignment;
use super::body::Body;
use super::error::Error;
use super::ids;
use super::schemas::JSON;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::{Fields, FromFields};
use crate::domain::spec::{AgentSpec, CapabilityRef};

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/agents/preview", preview)
            .named("preview_agent", "Agents", "What a model would be told")
            .takes([(JSON, "PreviewOrder")], true)
            .tells("200", "Prompt and tools", "Preview"),
    ]
}

/// What is to be previewed.
struct PreviewForm {
    system_prompt: String,
    capabilities: Vec<CapabilityRef>,
}

impl FromFields for PreviewForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let system_prompt = fields.text("system_prompt").unwrap_or_default();
        Self { system_prompt, capabilities: assignment::capabilities(fields).unwrap_or_default() }
    }
}

/// `POST /agents/preview`
async fn preview(
    state: Data<ApiState>,
    caller: Caller,
    Body(PreviewForm { system_prompt, capabilities }): Body<PreviewForm>,
) -> Result<HttpResponse, Error> {
    let workspace = state.runtime.workspace(caller.owner()).await?;
    assignment::check(&workspace.registry, &capabilities, &[])?;
    let id = ids::component(Uuid::nil())?;
    let agent = AgentSpec { capabilities, ..blank(id, &default_model(&workspace)) };
    let toolbox = state.runtime.outfit(caller.owner(), agent).await?;
    let parts = toolbox.prompts.iter().map(String::as_str).chain([system_prompt.as_str()]);
    let parts: Vec<&str> = parts.map(str::trim).filter(|part| !part.is_empty()).collect();
    let tools = toolbox.offered(std::iter::empty()).into_iter();
    let tools = tools.map(
        |tool| json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters }),
    );
    let tools: Vec<Value> = tools.collect();
    Ok(HttpResponse::Ok().json(json!({ "system_prompt": parts.join("\n\n"), "tools": tools })))
}
