//! The surface's description (OpenAPI 3.1), made of the same table that mounts it.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApiBuilder, Paths, Ref};

use super::channels;
use super::routes::{self, ROOT};
use super::schemas;
use crate::api::ServerInfo;
use crate::api::endpoint::BEARER;
use crate::api::failures::told_as;
use crate::api::schemas::put_into;

/// Where it is.
pub const PATH: &str = "/api-doc/openapi.json";

/// The name of what failures look like.
const FAILURE: &str = "Failure";

/// What this server serves below `ROOT`.
pub fn document(server: &ServerInfo) -> Value {
    let mut paths = Paths::new();
    for endpoint in routes::table().into_iter().chain(channels::described()) {
        let (method, path, mut operation, _) = endpoint.describe();
        in_own_words(&mut operation);
        paths.add_path_operation(format!("{ROOT}{path}"), vec![method], operation);
    }
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = ComponentsBuilder::new().security_scheme(BEARER, scheme).build();
    let title = server.name.clone().unwrap_or_else(|| "Everruns API".into());
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

/// Failures here have a form of their own.
fn in_own_words(operation: &mut Operation) {
    if operation.request_body.is_some() {
        let about = utoipa::openapi::Response::new("The body is too large");
        operation.responses.responses.entry("413".into()).or_insert_with(|| about.into());
    }
    told_as(operation, &Ref::from_schema_name(FAILURE).into());
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_operation_is_below_the_root_and_has_a_name_of_its_own() {
        let server = ServerInfo {
            id: "x".into(),
            name: None,
            description: None,
            version: "1".into(),
            prefix: String::new(),
        };
        let document = document(&server);
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.keys().all(|path| path.starts_with("/v1/")));
        let operations: Vec<&Value> =
            paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
        let names: BTreeSet<&str> =
            operations.iter().map(|one| one["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), operations.len());
        let missing = &document["paths"]["/v1/sessions/{session_id}"]["get"]["responses"]["404"];
        let told = &missing["content"]["application/json"]["schema"];
        assert_eq!(*told, json!({"$ref": "#/components/schemas/Failure"}));
    }
}
