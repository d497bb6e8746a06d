//! The SQL databases of a session: which there are, and what is in them. Statements are the agent's to write.

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
use crate::api::fields::{Fields, FromFields, path_text};
use crate::capability::databases::{DatabaseError, Databases};
use crate::domain::database::{BadName, DatabaseInfo, DatabaseName};
use crate::runtime::databases::SessionDatabases;

const NO_SUCH: &str = "There is no such session or database";
const BAD_NAME: &str = "The name is none, or there are as many as a session may have";

pub(super) fn table() -> Vec<Endpoint> {
    let all = "/sessions/{session_id}/databases";
    let one = "/sessions/{session_id}/databases/{name}";
    let with = |endpoint: Endpoint, id: &str, summary: &str| {
        endpoint.named(id, "Databases", summary).fails("404", NO_SUCH).fails("400", BAD_NAME)
    };
    vec![
        with(Endpoint::get(all, list), "list_session_databases", "List the databases of a session").tells(
            "200",
            "What is known of each, by name",
            &list_of("Database"),
        ),
        with(Endpoint::post(all, create), "create_session_database", "Create a database")
            .takes([(JSON, "NewDatabase")], true)
            .tells("201", "It is there, and empty", "Database")
            .fails("409", "There is one of this name"),
        with(Endpoint::get(one, read), "get_session_database", "What is known of a database").tells(
            "200",
            "Its size and times",
            "Database",
        ),
        with(Endpoint::delete(one, delete), "delete_session_database", "Delete a database").gives(
            "204",
            "It is gone",
            &[],
        ),
        with(
            Endpoint::get(format!("{one}/schema"), schema),
            "get_session_database_schema",
            "The tables of a database",
        )
        .tells("200", "Each with its columns and row count", "DatabaseSchema"),
    ]
}

/// What a new database is called.
struct Named(String);

impl FromFields for Named {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(fields.required_text("name"))
    }
}

async fn of_session(
    state: &ApiState,
    caller: &Caller,
    request: &HttpRequest,
) -> Result<SessionDatabases, Error> {
    let session = place::session(state, caller.owner(), request).await?;
    Ok(state.runtime.databases(caller.owner(), &session.id))
}

fn named(request: &HttpRequest) -> Result<DatabaseName, Error> {
    Ok(path_text(request, "name").parse::<DatabaseName>()?)
}

fn shown(info: &DatabaseInfo) -> Value {
    json!({
        "name": info.name,
        "size_bytes": info.size,
        "page_count": info.pages,
        "created_at": moment(info.created),
        "updated_at": moment(info.updated),
    })
}

/// `GET /sessions/{session_id}/databases`
async fn list(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let databases = of_session(&state, &caller, &request).await?.list().await?;
    Ok(HttpResponse::Ok().json(json!({"data": databases.iter().map(shown).collect::<Vec<_>>()})))
}

/// `POST /sessions/{session_id}/databases`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(Named(name)): Body<Named>,
) -> Result<HttpResponse, Error> {
    let databases = of_session(&state, &caller, &request).await?;
    let info = databases.create(&name.parse()?).await?;
    Ok(HttpResponse::Created().json(shown(&info)))
}

/// `GET /sessions/{session_id}/databases/{name}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let databases = of_session(&state, &caller, &request).await?;
    Ok(HttpResponse::Ok().json(shown(&databases.info(&named(&request)?).await?)))
}

/// `DELETE /sessions/{session_id}/databases/{name}`
async fn delete(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let databases = of_session(&state, &caller, &request).await?;
    databases.delete(&named(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /sessions/{session_id}/databases/{name}/schema`
async fn schema(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let databases = of_session(&state, &caller, &request).await?;
    let name = named(&request)?;
    let tables = databases.tables(&name).await?;
    Ok(HttpResponse::Ok().json(json!({"database": name, "tables": tables})))
}

impl From<BadName> for Error {
    fn from(error: BadName) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        let message = error.to_string();
        match error {
            DatabaseError::Missing(_) => Self::not_found("Database not found"),
            DatabaseError::Exists(_) => Self::conflict(message),
            DatabaseError::TooLarge(_) | DatabaseError::Sql(_) => Self::bad_request(message),
            DatabaseError::Unavailable => Self::unavailable(message),
        }
    }
}
