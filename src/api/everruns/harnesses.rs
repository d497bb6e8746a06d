//! The one harness there is: later versions of Everruns' SDK want every agent and session to have one.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::error::Error;
use super::ids::{self, HARNESS};
use super::page;
use super::schemas::list_of;
use super::time::moment;
use crate::api::ApiState;
use crate::api::endpoint::Endpoint;
use crate::api::fields::path_text;

/// Its id.
pub(super) const HARNESS_ID: &str = "harness_00000000000000000000000000000001";

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/harnesses", list)
            .named("list_harnesses", "Harnesses", "The one harness there is")
            .tells("200", "A list of one", &list_of("Harness")),
        Endpoint::get("/harnesses/{harness_id}", read)
            .named("get_harness", "Harnesses", "Read a harness")
            .tells("200", "The harness", "Harness")
            .fails("404", "There is no such harness"),
    ]
}

/// `GET /harnesses`
async fn list(state: Data<ApiState>) -> HttpResponse {
    page::list(vec![harness(&state)])
}

/// `GET /harnesses/{harness_id}`
async fn read(state: Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let id = path_text(&request, "harness_id");
    ids::parse(HARNESS, &id)?;
    if id == HARNESS_ID {
        Ok(HttpResponse::Ok().json(harness(&state)))
    } else {
        Err(Error::not_found("Harness not found"))
    }
}

fn harness(state: &ApiState) -> Value {
    let since = moment(state.runtime.since());
    json!({
        "id": HARNESS_ID,
        "name": "generic",
        "display_name": "Generic",
        "description": "Nothing beside what agents and sessions bring",
        "system_prompt": "",
        "capabilities": [],
        "tags": [],
        "status": "active",
        "created_at": since,
        "updated_at": since,
    })
}
