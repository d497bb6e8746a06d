//! Floor 5, the surfaces: a folder is a surface, a file is what surfaces share.
//!
//! A request passes, from the outside in: its id (`guard::finish`), CORS, the words of its surface
//! (`dress::dress`), the net for panics (`guard::catch`), the door (`guard::admit`), the check of its address (`guard::sane`), and only then
//! the routes. So nothing of a request without a token is parsed, and whatever goes wrong is answered as JSON
//! that a browser may read.

pub mod agentos;
pub mod body;
pub mod caller;
mod description;
mod docs;
mod dress;
pub mod endpoint;
pub mod everruns;
pub mod fields;
pub mod form;
mod guard;
pub mod once;
mod pace;
mod prefix;
pub mod problem;
mod schemas;
pub mod server;
pub mod sse;
pub mod triage;
mod unread;

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error};

use tokio::sync::Semaphore;

use crate::access::Tokens;
use crate::providers::Providers;
use crate::runtime::Runtime;
use crate::schedules::Schedules;
use crate::servers::Servers;
use crate::triage::Triage;
use body::Limits;
use problem::Problem;

/// What handlers share. Made once, given to every worker.
pub struct ApiState {
    /// Does what is asked.
    pub runtime: Runtime,
    /// The boards of issues.
    pub triage: Triage,
    /// Who answers.
    pub providers: Arc<Providers>,
    /// What is said to sessions later.
    pub schedules: Schedules,
    /// The servers that speak MCP.
    pub servers: Arc<Servers>,
    /// Knows who may come in.
    pub tokens: Arc<Tokens>,
    /// What the server says about itself.
    pub server: ServerInfo,
    /// Origins browsers may call from, beside [`AGNO_ORIGINS`]; `*` is passed over.
    pub origins: BTreeSet<String>,
    /// How large bodies may be.
    pub limits: Limits,
    /// A place for each stream of events that may be open.
    pub streams: Arc<Semaphore>,
    /// What the Everruns surface keeps.
    pub everruns: everruns::Shared,
    /// Whether the interface's description is served: `/openapi.json`, `/docs` and `/redoc`.
    pub docs: bool,
}

/// What a server says about itself.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// For programs.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Of the program.
    pub version: String,
    /// Stands before every path: empty, or as in `/api`.
    pub prefix: String,
}

impl ServerInfo {
    /// Where paths of a description begin, if that is not the root.
    fn servers(&self) -> Option<Vec<utoipa::openapi::Server>> {
        (!self.prefix.is_empty()).then(|| vec![utoipa::openapi::Server::new(&self.prefix)])
    }
}

/// Where Agno's own front ends live; allowed without being configured.
pub const AGNO_ORIGINS: [&str; 6] = [
    "http://localhost:3000",
    "https://agno.com",
    "https://www.agno.com",
    "https://app.agno.com",
    "https://os-stg.agno.com",
    "https://os.agno.com",
];

/// A worker's application: all surfaces behind all guards. `more` mounts what is served beside them.
///
/// [`server`] bounds heads, connections and their number; bodies and everything inside are bounded here.
pub fn app(
    state: web::Data<ApiState>,
    more: impl FnOnce(&mut ServiceConfig),
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = cors(&state.origins);
    let docs = state.docs.then(|| state.server.clone());
    App::new()
        .app_data(state)
        .configure(more)
        .configure(move |routes| {
            if let Some(server) = docs {
                docs::configure(routes, &server);
            }
        })
        .configure(triage::configure)
        .configure(everruns::configure)
        .configure(agentos::configure)
        .default_service(web::to(nowhere))
        .wrap(NormalizePath::trim())
        .wrap(from_fn(guard::sane))
        .wrap(from_fn(guard::admit))
        .wrap(from_fn(guard::catch))
        .wrap(from_fn(dress::dress))
        .wrap(cors)
        .wrap(from_fn(guard::finish))
}

async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::not_found("Not Found"))
}

/// Whether a page of this origin may call, where these are configured.
pub(crate) fn is_allowed(configured: &BTreeSet<String>, origin: &HeaderValue) -> bool {
    let is_known = |origin: &str| AGNO_ORIGINS.contains(&origin) || configured.contains(origin);
    origin.to_str().is_ok_and(|origin| origin != "*" && is_known(origin))
}

/// Exact origins only: with credentials, `*` would let every page in.
fn cors(configured: &BTreeSet<String>) -> Cors {
    let configured = configured.clone();
    Cors::default()
        .allowed_origin_fn(move |origin, _| is_allowed(&configured, origin))
        .allow_any_method()
        .allow_any_header()
        .expose_any_header()
        .supports_credentials()
        .max_age(600)
}
