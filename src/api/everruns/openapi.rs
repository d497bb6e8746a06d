//! The surface's description (OpenAPI 3.1), made of the same table that mounts it.

use serde_json::Value;

use super::channels;
use super::routes::{self, ROOT};
use super::schemas;
use crate::api::ServerInfo;
use crate::api::description::Description;

/// Where it is.
pub const PATH: &str = "/api-doc/openapi.json";

/// What this server serves below `ROOT`.
pub fn document(server: &ServerInfo) -> Value {
    let description = Description {
        title: "Everruns API",
        root: ROOT,
        endpoints: routes::table().into_iter().chain(channels::described()).collect(),
        schemas: schemas::all(),
        derived: schemas::derived,
        failure: schemas::failure(),
        never: &[],
    };
    description.document(server)
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
