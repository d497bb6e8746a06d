//! What a session keeps by name. Secrets go in and are never shown.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::place;
use super::schemas::{JSON, list_of};
use super::time::moment;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::{Fields, FromFields};
use crate::capability::storage::{Storage, StorageError};

const NO_SUCH: &str = "There is no such session";

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/sessions/{session_id}/storage/keys", keys)
            .named("list_storage_keys", "Storage", "List the values of a session")
            .tells("200", "The values, by key", &list_of("StoredValue"))
            .fails("404", NO_SUCH),
        Endpoint::get("/sessions/{session_id}/storage/secrets", secrets)
            .named("list_storage_secrets", "Storage", "List the names of a session's secrets")
            .tells("200", "The names", &list_of("StoredSecret"))
            .fails("404", NO_SUCH),
        Endpoint::put("/sessions/{session_id}/storage/secrets", set_secrets)
            .named("set_storage_secrets", "Storage", "Keep secrets of a session")
            .takes([(JSON, "NewSecrets")], true)
            .gives("204", "They are kept", &[])
            .fails("404", NO_SUCH)
            .fails("503", "No key to encrypt them with was configured"),
    ]
}

/// Secrets by name.
struct Secrets(Vec<(String, String)>);

impl FromFields for Secrets {
    fn from_fields(fields: &mut Fields) -> Self {
        if fields.value("secrets").is_none() {
            fields.missing("secrets");
        }
        let mut secrets = Vec::new();
        for (name, value) in fields.object("secrets").unwrap_or_default() {
            match value {
                Value::String(secret) => secrets.push((name, secret)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    fields.violation("secrets", "string_type", "a secret must be text");
                }
            }
        }
        Self(secrets)
    }
}

/// `GET /sessions/{session_id}/storage/keys`
async fn keys(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let session = place::session(&state, caller.owner(), &request).await?;
    let values = state.runtime.storage(caller.owner(), &session.id).values().await?;
    let values = values.into_iter().map(|kept| {
        let (created, updated) = (moment(kept.created), moment(kept.updated));
        json!({"key": kept.key, "value": kept.value, "created_at": created, "updated_at": updated})
    });
    Ok(HttpResponse::Ok().json(json!({"data": values.collect::<Vec<_>>()})))
}

/// `GET /sessions/{session_id}/storage/secrets`
async fn secrets(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let session = place::session(&state, caller.owner(), &request).await?;
    let secrets = state.runtime.storage(caller.owner(), &session.id).secrets().await?;
    let secrets = secrets.into_iter().map(|kept| {
        json!({"name": kept.name, "created_at": moment(kept.created), "updated_at": moment(kept.updated)})
    });
    Ok(HttpResponse::Ok().json(json!({"data": secrets.collect::<Vec<_>>()})))
}

/// `PUT /sessions/{session_id}/storage/secrets`
async fn set_secrets(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(Secrets(secrets)): Body<Secrets>,
) -> Result<HttpResponse, Error> {
    let session = place::session(&state, caller.owner(), &request).await?;
    state.runtime.storage(caller.owner(), &session.id).set_secrets(&secrets).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        let message = error.to_string();
        match error {
            StorageError::Invalid(_) => Self::bad_request(message),
            StorageError::NoKey | StorageError::Unavailable => Self::unavailable(message),
        }
    }
}
