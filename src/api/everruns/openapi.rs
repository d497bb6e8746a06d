//! The surface's description (OpenAPI 3.1), made of the same table that mounts it.

use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder, Paths};

use super::channels;
use super::routes::{self, ROOT};
use crate::api::ServerInfo;
use crate::api::endpoint::BEARER;
use crate::api::failures::told_as;

/// Where it is.
pub const PATH: &str = "/api-doc/openapi.json";

/// What this server serves below `ROOT`.
pub fn document(server: &ServerInfo) -> OpenApi {
    let mut paths = Paths::new();
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let mut components = ComponentsBuilder::new().security_scheme(BEARER, scheme);
    let failure = serde_json::from_value(failure()).ok();
    for endpoint in routes::table().into_iter().chain(channels::described()) {
        let (method, path, mut operation, schemas) = endpoint.describe();
        if let Some(failure) = &failure {
            told_as(&mut operation, failure);
        }
        paths.add_path_operation(format!("{ROOT}{path}"), vec![method], operation);
        components = components.schemas_from_iter(schemas);
    }
    let title = server.name.clone().unwrap_or_else(|| "Everruns API".into());
    let mut info = Info::new(title, server.version.clone());
    info.description = server.description.clone();
    OpenApiBuilder::new()
        .info(info)
        .servers(server.servers())
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

/// Failures here have a form of their own.
fn failure() -> Value {
    let text = json!({ "type": "string" });
    let properties = json!({ "code": text, "message": text });
    let error = json!({ "type": "object", "properties": properties, "required": ["code", "message"] });
    json!({ "type": "object", "properties": { "error": error }, "required": ["error"] })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::collections::BTreeSet;

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
        let document = serde_json::to_value(document(&server)).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.keys().all(|path| path.starts_with("/v1/")));
        let operations: Vec<&Value> =
            paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
        let names: BTreeSet<&str> =
            operations.iter().map(|one| one["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), operations.len());
        let missing = &document["paths"]["/v1/sessions/{session_id}"]["get"]["responses"]["404"];
        assert_eq!(missing["content"]["application/json"]["schema"]["required"], json!(["error"]));
    }
}
