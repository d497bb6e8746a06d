//! The list of agents: those that clients made, newest first, then those of files.

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::agent_body::{AgentBody, SortField};
use super::error::Error;
use super::models;
use super::page::{self, Page, Query};
use super::schemas::page_of;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::domain::id::ComponentId;
use crate::domain::spec::AgentSpec;
use crate::runtime::agents::SavedAgent;

/// The words of `sort`.
const SORTS: [(&str, SortField); 3] =
    [("name", SortField::Name), ("created_at", SortField::Created), ("updated_at", SortField::Updated)];
const SORTED: [&str; 6] = ["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"];

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/agents", list)
            .named("list_agents", "Agents", "List agents, newest first")
            .query(&[
                Parameter::new("search", ParameterKind::Text, "With this in their name or description"),
                Parameter::new("include_archived", ParameterKind::Flag, "Archived ones too"),
                Parameter::new("status", ParameterKind::Choice(&["active", "archived"]), "With this status"),
                Parameter::new(
                    "sort",
                    ParameterKind::Choice(&SORTED),
                    "By this; with `-` before it, largest first",
                ),
            ])
            .tells("200", "The agents", &page_of("Agent")),
    ]
}

/// `GET /agents`
async fn list(state: Data<ApiState>, caller: Caller, query: Query) -> Result<HttpResponse, Error> {
    let status = query.choice("status", &[("active", false), ("archived", true)])?;
    let archived = query.flag("include_archived")?;
    let is_wanted =
        |is_archived: bool| status.map_or(archived || !is_archived, |wanted| wanted == is_archived);
    let sort = query.sort(&SORTS)?;
    let search = query.text("search").map(str::to_lowercase);
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let mut saved = state.runtime.documents(caller.owner()).all::<SavedAgent>(None).await?;
    saved.sort_by_key(|agent| (agent.created, agent.spec.id.clone()));
    let is_shown = |spec: &AgentSpec| {
        let fits = |text: &str| search.as_ref().is_none_or(|search| text.to_lowercase().contains(search));
        fits(&spec.name) || spec.description.as_deref().is_some_and(fits)
    };
    let made = saved.iter().rev().filter(|agent| is_wanted(agent.archived));
    let mut shown: Vec<AgentBody> =
        made.filter(|agent| is_shown(&agent.spec)).map(|agent| AgentBody::saved(agent)).collect();
    let is_saved = |id: &ComponentId| saved.iter().any(|agent| !agent.archived && agent.spec.id == *id);
    let files = workspace.catalog.agents().filter(|spec| !is_saved(spec.id()));
    let files = files.filter(|spec| is_wanted(false) && models::leader(spec).is_some_and(is_shown));
    shown.extend(files.map(|spec| AgentBody::file(spec, state.runtime.since())));
    if let Some((field, largest_first)) = sort {
        shown.sort_by_cached_key(|agent| agent.sort_key(field));
        if largest_first {
            shown.reverse();
        }
    }
    let total = shown.len();
    let part = match query.text("limit").or(query.text("offset")) {
        Some(_) => query.page()?,
        None => Page { offset: 0, limit: total },
    };
    let data = shown.into_iter().skip(part.offset).take(part.limit).collect();
    Ok(page::page(data, total as u64, part))
}
