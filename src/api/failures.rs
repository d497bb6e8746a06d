//! How a surface's description tells of failures: in a form of its own.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{ContentBuilder, RefOr, ResponseBuilder};

/// Has every failure of an operation be of this schema.
pub fn told_as(operation: &mut Operation, schema: &RefOr<Schema>) {
    let failures =
        operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5']));
    for (_, response) in failures {
        let RefOr::T(about) = &*response else { continue };
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        let told = ResponseBuilder::new().description(about.description.clone());
        *response = told.content("application/json", content).build().into();
    }
}
