//! The route table: every path of the surface, what serves it, and how documents describe it.
//!
//! Each part of the surface has a table of its own beside its handlers; here they are put together.

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use super::{
    agent_list, agent_preview, agents, auth, capabilities, channels, databases, event_routes, files,
    harnesses, images, llm_models, mcp_servers, messages, providers, schedules, sessions, storage, tenancy,
    turns,
};
use crate::api::endpoint::{self, Endpoint};
use crate::api::problem::Problem;

/// Where the surface is.
pub(super) const ROOT: &str = "/v1";

/// Mounts the surface.
pub fn configure(routes: &mut ServiceConfig) {
    routes.service(
        web::scope(ROOT)
            .configure(|routes| endpoint::mount(table(), routes))
            .configure(channels::configure)
            .default_service(web::to(nowhere))
            .wrap(from_fn(tenancy::one_organization)),
    );
}

async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::not_found("There is nothing at this address"))
}

/// All of it, below [`ROOT`].
pub(super) fn table() -> Vec<Endpoint> {
    let tables = [
        agents::table(),
        agent_list::table(),
        agent_preview::table(),
        sessions::table(),
        messages::table(),
        event_routes::table(),
        turns::table(),
        capabilities::table(),
        harnesses::table(),
        mcp_servers::table(),
        providers::table(),
        llm_models::table(),
        images::table(),
        schedules::table(),
        files::table(),
        databases::table(),
        storage::table(),
        auth::table(),
        tenancy::table(),
    ];
    tables.into_iter().flatten().collect()
}
