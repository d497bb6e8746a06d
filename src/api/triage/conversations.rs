//! `/evidence/conversations`: what was said elsewhere, registered so that issues can point at it.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::body::Body;
use super::error::Error;
use super::paging::Page;
use super::query::Query;
use super::{board, conversation_body, envelope};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::triage;
use crate::triage::evidence::ConversationFilter;

/// `POST /evidence/conversations`
pub(super) async fn register(
    state: Data<ApiState>,
    caller: Caller,
    Body(fields): Body,
) -> Result<HttpResponse, Error> {
    let (board, id) = (board(&state, &caller), state.runtime.fresh().to_string());
    let (conversation, messages) = conversation_body::read(&fields, id, board.now())?;
    let made = board.register(conversation, messages.clone()).await?;
    Ok(envelope::created(conversation_body::shown_whole(caller.owner(), &made, &messages)))
}

/// `GET /evidence/conversations`
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    mut query: Query,
) -> Result<HttpResponse, Error> {
    let document = query.text("document_id").map(ToOwned::to_owned);
    let filter = ConversationFilter { kind: query.word("kind"), document };
    let page = Page::of(&mut query, ("conversations", filter.kind, filter.document.clone()));
    query.done(())?;
    let found = board(&state, &caller).conversations(&filter, page.listing()).await?;
    Ok(page.answer(&found, |conversation| conversation_body::shown(caller.owner(), conversation)))
}

/// `GET /evidence/conversations/{conversation_id}`
pub(super) async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, id) = (board(&state, &caller), path_text(&request, "conversation_id"));
    let conversation = board.conversation(&id).await?.ok_or_else(missing)?;
    let messages = board.recorded(&id).await?.ok_or_else(missing)?;
    Ok(envelope::ok(conversation_body::shown_whole(caller.owner(), &conversation, &messages)))
}

/// `DELETE /evidence/conversations/{conversation_id}`
pub(super) async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let id = path_text(&request, "conversation_id");
    if board(&state, &caller).forget_conversation(&id).await? { Ok(envelope::gone()) } else { Err(missing()) }
}

fn missing() -> Error {
    triage::error::Error::NotFound("Conversation").into()
}
