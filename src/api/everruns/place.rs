//! The session that a request's address names.

use actix_web::HttpRequest;

use super::error::Error;
use super::ids::{self, SESSION};
use crate::api::ApiState;
use crate::api::fields::path_text;
use crate::domain::id::Owner;
use crate::domain::run::Session;
use crate::runtime::SessionDetail;

/// The session in the place `{session_id}`.
///
/// # Errors
/// 400 for what is no id, 404 for one of nothing.
pub async fn session(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<Session, Error> {
    Ok(detail(state, owner, request).await?.session)
}

/// The same, with what it carries.
///
/// # Errors
/// As [`session`].
pub async fn detail(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<SessionDetail, Error> {
    let uuid = ids::parse(SESSION, &path_text(request, "session_id"))?;
    let id = ids::session_id(state, owner, uuid).await?;
    Ok(state.runtime.session(owner, &id).await?)
}
