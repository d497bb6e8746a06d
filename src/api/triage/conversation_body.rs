//! Conversations, as clients send them and as they are shown.

use serde_json::{Value, json};

use super::moment;
use crate::domain::Object;
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;
use crate::triage;
use crate::triage::evidence::{Conversation, ConversationKind, Persona, Said};
use crate::triage::form::{Faults, Form};

/// Most messages of a conversation.
const MAX_MESSAGES: usize = 5000;
/// Longest id, name or title, in characters.
const NAME: std::ops::RangeInclusive<usize> = 1..=256;

/// A conversation that is to be registered at this moment, under this id if it brings none.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn read(fields: &Object, id: String, now: Timestamp) -> Result<(Conversation, Vec<Said>), Faults> {
    let mut form = Form::of(fields);
    let kind = form.required("kind", |form| form.word("kind").map(Some));
    let id = form.text("id", NAME).unwrap_or(id);
    let title = form.text("title", 1..=500);
    let summary = form.text("summary", 1..=10_000);
    let (started, ended) = (time(&mut form, "started_at"), time(&mut form, "ended_at"));
    let messages = form.required("messages", |form| Some(form.list("messages", MAX_MESSAGES, said)));
    let document = form.text("document_id", NAME);
    let version = form.number("document_version_number", 1..=u64::from(u32::MAX));
    let persona = form.value("persona").and_then(|sent| form.within("persona", sent, persona));
    let metadata = object(&mut form, "metadata");
    let conversation = Conversation {
        id,
        kind: kind.unwrap_or(ConversationKind::Call),
        title,
        summary,
        started,
        ended,
        document,
        document_version: version.and_then(|version| u32::try_from(version).ok()),
        persona,
        metadata,
        message_count: messages.len(),
        first_message: messages.first().map(|first| first.text.chars().take(200).collect()),
        created: now,
    };
    form.done((conversation, messages))
}

fn said<'a>(form: &mut Form<'a>, path: &str, sent: &'a Value) -> Option<Said> {
    let read = |form: &mut Form<'a>| {
        let role = form.required("role", |form| form.word("role").map(Some));
        let text = form.required("text", |form| form.string("text").map(ToOwned::to_owned));
        let created = time(form, "created_at");
        let (node_id, node_name) = (form.text("node_id", 0..=256), form.text("node_name", 0..=256));
        role.map(|role| Said { role, text, created, node_id, node_name })
    };
    form.within(path, sent, read).flatten()
}

fn persona(form: &mut Form<'_>) -> Persona {
    Persona {
        id: form.required("id", |form| form.text("id", NAME)),
        name: form.required("name", |form| form.text("name", NAME)),
    }
}

/// A moment in RFC 3339.
fn time(form: &mut Form<'_>, name: &str) -> Option<Timestamp> {
    let text = form.string(name)?;
    let found = triage::moment::read(text);
    if found.is_none() {
        form.fault(name, "must be an RFC 3339 timestamp from 1970 on");
    }
    found
}

fn object(form: &mut Form<'_>, name: &str) -> Option<Object> {
    let found = form.value(name)?.as_object().cloned();
    if found.is_none() {
        form.fault(name, "must be an object");
    }
    found
}

/// A conversation as it is shown, without what was said.
pub(super) fn shown(owner: &Owner, conversation: &Conversation) -> Value {
    json!({
        "id": conversation.id,
        "org_id": owner,
        "kind": conversation.kind,
        "title": conversation.title,
        "summary": conversation.summary,
        "started_at": conversation.started.map(moment),
        "ended_at": conversation.ended.map(moment),
        "document_id": conversation.document,
        "document_version_number": conversation.document_version,
        "persona": conversation.persona,
        "metadata": conversation.metadata,
        "message_count": conversation.message_count,
        "created_at": moment(conversation.created),
    })
}

/// The same with what was said.
pub(super) fn shown_whole(owner: &Owner, conversation: &Conversation, messages: &[Said]) -> Value {
    let mut body = shown(owner, conversation);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("messages".into(), messages.iter().map(message).collect());
    }
    body
}

/// One message.
pub(super) fn message(said: &Said) -> Value {
    json!({
        "role": said.role,
        "text": said.text,
        "created_at": said.created.map(moment),
        "node_id": said.node_id,
        "node_name": said.node_name,
    })
}
