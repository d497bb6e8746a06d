//! The description of a surface (OpenAPI 3.1) whose failures and schemas are its own, made of the table that mounts it.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Info, OpenApiBuilder, Paths, Ref, RefOr, ResponseBuilder,
};

use super::ServerInfo;
use super::endpoint::{BEARER, Endpoint};
use super::schemas::put_into;

/// The name of what failures look like.
const FAILURE: &str = "Failure";

/// What a surface says of itself.
pub(super) struct Description {
    /// What it is called on a server without a name.
    pub(super) title: &'static str,
    /// Where its paths begin.
    pub(super) root: &'static str,
    /// All of it, below the root.
    pub(super) endpoints: Vec<Endpoint>,
    /// What is sent and shown, by name.
    pub(super) schemas: Vec<(&'static str, Value)>,
    /// What a schema is made of, and the schema, where its name tells it.
    pub(super) derived: fn(&str) -> Option<(&str, Value)>,
    /// What failures look like.
    pub(super) failure: Value,
    /// Statuses that no request of this surface meets.
    pub(super) never: &'static [&'static str],
}

impl Description {
    /// The document.
    pub(super) fn document(self, server: &ServerInfo) -> Value {
        let mut paths = Paths::new();
        for endpoint in self.endpoints {
            let (method, path, mut operation, _) = endpoint.describe();
            operation.responses.responses.retain(|status, _| !self.never.contains(&status.as_str()));
            tell_of_failures(&mut operation);
            paths.add_path_operation(format!("{}{path}", self.root), vec![method], operation);
        }
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = ComponentsBuilder::new().security_scheme(BEARER, scheme).build();
        let mut info =
            Info::new(server.name.clone().unwrap_or_else(|| self.title.into()), server.version.clone());
        info.description = server.description.clone();
        let document = OpenApiBuilder::new()
            .info(info)
            .servers(server.servers())
            .paths(paths)
            .components(Some(components))
            .build();
        let mut document = serde_json::to_value(document).unwrap_or_default();
        let mut all: BTreeMap<String, Value> =
            self.schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        all.insert(FAILURE.into(), self.failure);
        put_into(&mut document, all, self.derived);
        document
    }
}

/// Has every failure of an operation be of the surface's form.
fn tell_of_failures(operation: &mut Operation) {
    let told = &mut operation.responses.responses;
    if operation.request_body.is_some() {
        let about = utoipa::openapi::Response::new("The body is too large");
        told.entry("413".into()).or_insert_with(|| about.into());
    }
    for (_, response) in told.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        let RefOr::T(about) = &*response else { continue };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(FAILURE))).build();
        let told = ResponseBuilder::new().description(about.description.clone());
        *response = told.content("application/json", content).build().into();
    }
}
