//! The one organisation and the one user that a caller sees: the owner of his token, whose data is nobody else's.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::ids::{self, ORG, ORGANIZATION};
use super::page::{self, Query};
use super::schemas::{JSON, list_of};
use super::time::moment;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::fields::{Fields, FromFields, path_text};
use crate::api::problem::Problem;
use crate::domain::id::Owner;

const NO_SUCH: &str = "There is no such organization";
const ONLY_ONE: &str = "Each owner has one organization, and it is what his tokens open: \
                        others are made with `runhold token new --owner`";
const FIXED: &str = "The organization is that of the token, and cannot be changed or deleted here";

const FOREIGN: &str = "The organization is unknown, or not the caller's";

/// Names the organisation a request is about.
const HEADER: &str = "x-org-id";

pub(super) fn table() -> Vec<Endpoint> {
    let search = Parameter::new("search", ParameterKind::Text, "Part of a name or address, in any case");
    vec![
        Endpoint::get("/users", users)
            .named("list_users", "Users", "The one user there is")
            .query(&[search])
            .tells("200", "A list of at most one", &list_of("User")),
        Endpoint::get("/orgs", list).named("list_organizations", "Organizations", "The one there is").tells(
            "200",
            "A list of one",
            &list_of("Organization"),
        ),
        Endpoint::post("/orgs", create)
            .named("create_organization", "Organizations", "Not on this server: there is one")
            .fails("403", "There is one"),
        Endpoint::get("/orgs/{org_id}", read)
            .named("get_organization", "Organizations", "Read an organization")
            .tells("200", "The organization", "Organization")
            .fails("404", NO_SUCH),
        Endpoint::patch("/orgs/{org_id}", fixed)
            .named("update_organization", "Organizations", "Not on this server")
            .fails("403", "It cannot be changed")
            .fails("404", NO_SUCH),
        Endpoint::delete("/orgs/{org_id}", fixed)
            .named("delete_organization", "Organizations", "Not on this server")
            .fails("403", "It cannot be deleted")
            .fails("404", NO_SUCH),
        Endpoint::post("/auth/switch-org", switch)
            .named("switch_organization", "Auth", "Go on in another organization: there is one")
            .takes([(JSON, "OrganizationSwitch")], true)
            .tells("200", "The organization", "Organization")
            .fails("403", NO_SUCH),
    ]
}

/// Refuses requests about an organisation that is not the caller's.
pub(super) async fn one_organization(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let named = request.headers().get_all(HEADER).map(|name| name.as_bytes().trim_ascii());
    if named.into_iter().any(|name| !name.is_empty() && name != ORGANIZATION.as_bytes()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", FOREIGN).into());
    }
    next.call(request).await
}

fn foreign() -> Error {
    Error::forbidden(FOREIGN)
}

/// `GET /users`
async fn users(state: Data<ApiState>, caller: Caller, query: Query) -> HttpResponse {
    let user = user(&state, &caller);
    let wanted = query.text("search").unwrap_or_default().to_lowercase();
    let shown = ["name", "email"].into_iter().filter_map(|field| user.get(field)?.as_str());
    let found = shown.map(str::to_lowercase).any(|text| text.contains(&wanted));
    page::list(if found { vec![user] } else { Vec::new() })
}

/// `GET /orgs`
async fn list(state: Data<ApiState>, caller: Caller) -> HttpResponse {
    page::list(vec![organization(&state, caller.owner())])
}

/// `POST /orgs`
async fn create() -> Result<HttpResponse, Error> {
    Err(Error::forbidden(ONLY_ONE))
}

/// `GET /orgs/{org_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    is_here(&request)?;
    Ok(HttpResponse::Ok().json(organization(&state, caller.owner())))
}

/// `PATCH` and `DELETE /orgs/{org_id}`
async fn fixed(request: HttpRequest) -> Result<HttpResponse, Error> {
    is_here(&request)?;
    Err(Error::forbidden(FIXED))
}

/// Where to go on.
struct Switch(String);

impl FromFields for Switch {
    fn from_fields(fields: &mut Fields) -> Self {
        let other = fields.text("organization_id");
        Self(other.unwrap_or_else(|| fields.required_text("org_id")))
    }
}

/// `POST /auth/switch-org`
async fn switch(
    state: Data<ApiState>,
    caller: Caller,
    Body(Switch(id)): Body<Switch>,
) -> Result<HttpResponse, Error> {
    if id != ORGANIZATION {
        return Err(foreign());
    }
    Ok(HttpResponse::Ok().json(organization(&state, caller.owner())))
}

fn is_here(request: &HttpRequest) -> Result<(), Error> {
    let id = path_text(request, "org_id");
    ids::parse(ORG, &id)?;
    if id == ORGANIZATION { Ok(()) } else { Err(Error::not_found("Organization not found")) }
}

fn organization(state: &ApiState, owner: &Owner) -> Value {
    let since = moment(state.runtime.since());
    json!({ "id": ORGANIZATION, "name": owner.as_str(), "created_at": since, "updated_at": since })
}

/// An owner, as the user he is, with what the caller's token opens of what is his.
pub(super) fn user(state: &ApiState, caller: &Caller) -> Value {
    let owner = caller.owner();
    let name = owner.as_str();
    let email = if name.contains('@') { name.to_owned() } else { format!("{name}@localhost") };
    json!({
        "id": ids::user(owner),
        "email": email,
        "name": name,
        "roles": [caller.principal().role.as_str()],
        "created_at": moment(state.runtime.since()),
    })
}
