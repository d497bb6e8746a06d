//! The surface's description (OpenAPI 3.1), made of the same table that mounts it.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApiBuilder, Paths, Ref};

use super::routes::{self, ROOT};
use super::schemas;
use crate::api::ServerInfo;
use crate::api::endpoint::BEARER;
use crate::api::failures::told_as;
use crate::api::schemas::put_into;

/// Where it is.
pub const PATH: &str = "/v1/triage/openapi.json";

/// The name of what failures look like.
const FAILURE: &str = "Failure";

/// What this server serves below `ROOT`.
pub fn document(server: &ServerInfo) -> Value {
    let mut paths = Paths::new();
    for endpoint in routes::table() {
        let (method, path, mut operation, _) = endpoint.describe();
        in_own_words(&mut operation);
        paths.add_path_operation(format!("{ROOT}{path}"), vec![method], operation);
    }
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = ComponentsBuilder::new().security_scheme(BEARER, scheme).build();
    let title = server.name.clone().unwrap_or_else(|| "Triage API".into());
    let mut info = Info::new(title, server.version.clone());
    info.description = server.description.clone();
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(server.servers())
        .paths(paths)
        .components(Some(components))
        .build();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let mut all: BTreeMap<String, Value> =
        schemas::all().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    all.insert(FAILURE.into(), schemas::failure());
    put_into(&mut document, all, schemas::derived);
    document
}

/// Failures here have a form of their own, and fields that are wrong are a bad request like others.
fn in_own_words(operation: &mut Operation) {
    let told = &mut operation.responses.responses;
    told.remove("422");
    if operation.request_body.is_some() {
        let about = utoipa::openapi::Response::new("The body is too large");
        told.entry("413".into()).or_insert_with(|| about.into());
    }
    told_as(operation, &Ref::from_schema_name(FAILURE).into());
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use crate::api::endpoint::verb;

    #[test]
    fn every_route_that_is_mounted_is_described() {
        let server = ServerInfo {
            id: "x".into(),
            name: None,
            description: None,
            version: "1".into(),
            prefix: String::new(),
        };
        let document = document(&server);
        let paths = document["paths"].as_object().unwrap();
        let mut described: Vec<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let mut mounted: Vec<String> = routes::table()
            .iter()
            .map(|endpoint| format!("{} {ROOT}{}", verb(&endpoint.method), endpoint.path))
            .collect();
        described.sort();
        mounted.sort();
        assert_eq!(described, mounted);
    }
}
