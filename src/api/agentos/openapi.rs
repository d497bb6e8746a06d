//! The surface's description (OpenAPI 3.1), made of the same table that mounts it.

use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder, Paths, RefOr};

use super::routes;
use crate::api::ServerInfo;
use crate::api::endpoint::BEARER;

/// The title where the configuration gives no name.
const TITLE: &str = "Agno AgentOS";

/// What this server serves.
pub fn document(server: &ServerInfo) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new().security_scheme(
        BEARER,
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    for endpoint in routes::table() {
        let (method, path, operation, schemas) = endpoint.describe();
        paths.add_path_operation(path, vec![method], operation);
        let schemas = schemas.into_iter().map(|(name, schema)| (name, any_of(schema)));
        components = components.schemas_from_iter(schemas);
    }
    let mut info = Info::new(server.name.clone().unwrap_or_else(|| TITLE.into()), server.version.clone());
    info.description = server.description.clone();
    OpenApiBuilder::new()
        .info(info)
        .servers(server.servers())
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

/// What is unset is left out, so that an answer may fit several kinds: one of them is enough.
fn any_of(schema: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::OneOf(kinds)) = schema else { return schema };
    let any = kinds.items.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
    RefOr::T(any.description(kinds.description).into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn described() -> Value {
        let server = ServerInfo {
            id: "x".into(),
            name: None,
            description: None,
            version: "1".into(),
            prefix: String::new(),
        };
        serde_json::to_value(document(&server)).unwrap()
    }

    fn operations(document: &Value) -> Vec<&Value> {
        let paths = document["paths"].as_object().unwrap();
        paths.values().flat_map(|path| path.as_object().unwrap().values()).collect()
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = described();
        let operations = operations(&document);
        let names: BTreeSet<&str> = operations.iter().map(|op| op["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), operations.len());
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = described();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        let named = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        assert_eq!(named.filter(|name| !schemas.contains_key(*name)).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn every_json_failure_and_every_body_has_a_schema() {
        let document = described();
        let without: Vec<&str> = operations(&document)
            .into_iter()
            .filter(|operation| {
                let bodies =
                    operation["requestBody"]["content"].as_object().into_iter().flat_map(|all| all.values());
                let answers = operation["responses"].as_object().unwrap().iter();
                let failures = answers.filter(|(status, _)| status.starts_with('4') && *status != "401");
                let failures = failures.map(|(_, answer)| &answer["content"]["application/json"]);
                bodies.chain(failures).any(|content| content["schema"].is_null())
            })
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(without, Vec::<&str>::new());
    }

    #[test]
    fn a_run_is_started_with_a_form_of_either_kind() {
        let document = described();
        let body = &document["paths"]["/agents/{agent_id}/runs"]["post"]["requestBody"]["content"];
        for kind in ["multipart/form-data", "application/x-www-form-urlencoded"] {
            assert_eq!(body[kind]["schema"]["required"], serde_json::json!(["message"]));
            assert_eq!(body[kind]["schema"]["properties"]["stream"]["type"], "boolean");
        }
    }

    #[test]
    fn it_is_openapi_3_1_and_the_door_is_described() {
        let document = described();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["title"], TITLE);
        assert_eq!(document["paths"]["/sessions"]["post"]["operationId"], "create_session");
        assert_eq!(document["paths"]["/sessions"]["post"]["security"][0][BEARER], serde_json::json!([]));
        assert_eq!(document["paths"]["/health"]["get"]["security"], Value::Null);
    }
}
