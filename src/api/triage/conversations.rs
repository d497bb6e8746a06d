//! `/evidence/conversations`: what was said elsewhere, registered so that issues can point at it.

use super::body::Body;
use super::conversation_body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{Ids, Member};
use super::paging::Page;
use super::query::Query;
use crate::triage;
use crate::triage::evidence::ConversationFilter;

/// `POST /evidence/conversations`
pub(super) async fn register(member: Member, Body(fields): Body) -> Result<Answer, Error> {
    let (board, id) = (&member.board, member.board.runtime().fresh().to_string());
    let (conversation, messages) = conversation_body::read(&fields, id, board.now())?;
    let made = board.register(conversation, messages.clone()).await?;
    Ok(envelope::created(conversation_body::shown_whole(member.org(), &made, &messages)))
}

/// `GET /evidence/conversations`
pub(super) async fn list(member: Member, mut query: Query) -> Result<Answer, Error> {
    let document = query.text("document_id").map(ToOwned::to_owned);
    let filter = ConversationFilter { kind: query.word("kind"), document };
    let page = Page::of(&mut query, ("conversations", filter.kind, filter.document.clone()));
    query.done(())?;
    let found = member.board.conversations(&filter, page.listing()).await?;
    Ok(page.answer(&found, |conversation| conversation_body::shown(member.org(), conversation)))
}

/// `GET /evidence/conversations/{conversation_id}`
pub(super) async fn read(member: Member, ids: Ids) -> Result<Answer, Error> {
    let (board, id) = (&member.board, ids.text("conversation_id"));
    let conversation = board.conversation(&id).await?.ok_or_else(missing)?;
    let messages = board.recorded(&id).await?.ok_or_else(missing)?;
    Ok(envelope::ok(conversation_body::shown_whole(member.org(), &conversation, &messages)))
}

/// `DELETE /evidence/conversations/{conversation_id}`
pub(super) async fn delete(member: Member, ids: Ids) -> Result<Answer, Error> {
    let is_gone = member.board.forget_conversation(&ids.text("conversation_id")).await?;
    if is_gone { Ok(envelope::gone()) } else { Err(missing()) }
}

fn missing() -> Error {
    triage::error::Error::NotFound("Conversation").into()
}
