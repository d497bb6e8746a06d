//! The surface's description (OpenAPI 3.1), made of the same table that mounts it.

use serde_json::Value;

use super::routes::{self, ROOT};
use super::schemas;
use crate::api::ServerInfo;
use crate::api::description::Description;

/// Where it is.
pub const PATH: &str = "/v1/triage/openapi.json";

/// What this server serves below `ROOT`.
pub fn document(server: &ServerInfo) -> Value {
    let description = Description {
        title: "Triage API",
        root: ROOT,
        endpoints: routes::table(),
        schemas: schemas::all(),
        derived: schemas::derived,
        failure: schemas::failure(),
        never: &["422"],
    };
    description.document(server)
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
