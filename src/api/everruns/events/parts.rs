//! Messages and their parts as this surface writes them.

use serde_json::{Value, json};

use crate::api::everruns::ids::{IMAGE, PublicId};
use crate::api::everruns::time::moment;
use crate::domain::Object;
use crate::domain::message::{Input, Media, MediaKind, MediaSource, Message, Usage};
use crate::domain::time::Timestamp;
use crate::domain::tool::{NOT_FOUND, TIMED_OUT, ToolCall, ToolResult, Verdict};

/// Longest preview, in characters.
const PREVIEW: usize = 200;

/// What of an input's `extra` is shown with its message.
const EXTRAS: [&str; 3] = ["controls", "metadata", "tags"];

/// Where `extra` keeps the parts as the client wrote them, if text and media alone do not tell them.
pub const CONTENT: &str = "content";

/// A message of the list, or of an event.
pub struct Shown {
    /// Its name.
    pub id: PublicId,
    /// Its session.
    pub session: PublicId,
    /// The number of the event that tells it.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
}

impl Shown {
    /// With this role and these parts.
    pub fn message(&self, role: &str, content: Value, extra: Option<&Object>) -> Value {
        let mut message = json!({
            "id": self.id,
            "session_id": self.session,
            "sequence": self.sequence,
            "role": role,
            "content": content,
            "created_at": moment(self.at),
        });
        if let (Some(fields), Some(extra)) = (message.as_object_mut(), extra) {
            let known = EXTRAS.iter().filter_map(|name| Some((*name, extra.get(*name)?)));
            fields.extend(known.map(|(name, value)| (name.to_owned(), value.clone())));
        }
        message
    }
}

/// What a client said: as it wrote it, else text first and then pictures.
pub fn input(input: &Input) -> Value {
    if let Some(content) = input.extra.as_ref().and_then(|extra| extra.get(CONTENT)) {
        return restored(content, &input.media);
    }
    let text = (!input.text.is_empty() || input.media.is_empty()).then(|| text(&input.text));
    text.into_iter().chain(input.media.iter().map(media)).collect()
}

/// Parts as a client wrote them; bytes are kept with the media, in order. A picture that the server keeps is named by its
/// part.
fn restored(content: &Value, media: &[Media]) -> Value {
    let mut pictures = media.iter().filter(|media| !matches!(media.source, MediaSource::Kept(_)));
    let parts = content.as_array().into_iter().flatten();
    let parts = parts.map(|part| {
        let is_picture = part.get("type").is_some_and(|kind| kind == "image");
        let picture = if is_picture { pictures.next() } else { None };
        picture.map_or_else(|| part.clone(), self::media)
    });
    parts.collect()
}

/// A text part.
pub fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn media(media: &Media) -> Value {
    let kind =
        media.mime_type.clone().or_else(|| media.format.as_ref().map(|format| format!("image/{format}")));
    match (&media.kind, &media.source) {
        (MediaKind::Image, MediaSource::Kept(image)) => {
            json!({ "type": "image_file", "image_id": PublicId(IMAGE, *image) })
        }
        (MediaKind::Image, MediaSource::Url(url)) => json!({ "type": "image", "url": url }),
        (MediaKind::Image, MediaSource::Base64(bytes)) if bytes.is_empty() => {
            json!({ "type": "image", "media_type": kind })
        }
        (MediaKind::Image, MediaSource::Base64(bytes)) => {
            json!({ "type": "image", "base64": bytes, "media_type": kind })
        }
        (MediaKind::Audio | MediaKind::Video | MediaKind::File, _) => {
            let name = media.filename.as_deref().unwrap_or("file");
            text(&format!("[attachment: {name}]"))
        }
    }
}

/// What a model said and wants called.
pub fn answer<'a>(said: &str, calls: impl Iterator<Item = &'a ToolCall>) -> Value {
    let calls: Vec<Value> = calls.map(call_part).collect();
    let said = (!said.is_empty() || calls.is_empty()).then(|| text(said));
    said.into_iter().chain(calls).collect()
}

fn call_part(call: &ToolCall) -> Value {
    json!({ "type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments(call) })
}

/// A call in the lists of events.
pub fn call(call: &ToolCall) -> Value {
    json!({ "id": call.id, "name": call.name, "arguments": arguments(call) })
}

/// The arguments as an object; what is no object is shown as it was written.
fn arguments(call: &ToolCall) -> Value {
    match call.parsed() {
        Some(object) => Value::Object(object),
        None => json!({ "_raw": call.arguments }),
    }
}

/// What came of a call, for `tool.completed`.
pub fn outcome(result: &ToolResult) -> Object {
    let status = match result.verdict {
        Verdict::Done => "success",
        Verdict::Cancelled => "cancelled",
        Verdict::Failed if result.content.starts_with(TIMED_OUT) => "timeout",
        Verdict::Failed | Verdict::Refused | Verdict::InDoubt => "error",
    };
    let mut fields = Object::new();
    fields.insert("success".into(), (result.verdict == Verdict::Done).into());
    fields.insert("status".into(), status.into());
    match result.verdict {
        Verdict::Done => fields.insert("result".into(), json!([text(&result.content)])),
        Verdict::InDoubt => fields.insert("error".into(), format!("interrupted: {}", result.content).into()),
        // What tools there are is the model's to read.
        Verdict::Refused if result.content.starts_with(NOT_FOUND) => {
            fields.insert("error".into(), result.content.lines().next().unwrap_or_default().into())
        }
        Verdict::Failed | Verdict::Refused | Verdict::Cancelled => {
            fields.insert("error".into(), result.content.as_str().into())
        }
    };
    fields
}

/// The one part of a message that tells what came of a call, by the data of `tool.completed`.
pub fn result_part(completed: &Value) -> Value {
    let mut part = json!({ "type": "tool_result", "tool_call_id": completed.get("tool_call_id") });
    let text = completed.pointer("/result/0/text").and_then(Value::as_str);
    if let Some(fields) = part.as_object_mut() {
        fields.extend(text.map(|text| ("result".to_owned(), value_of(text))));
        fields.extend(completed.get("error").map(|error| ("error".to_owned(), error.clone())));
    }
    part
}

/// The value in a text that is JSON; any other text is one itself.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// A message as a model was shown it.
pub fn sent(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({ "role": "system", "content": [self::text(text)] }),
        Message::User { input } => json!({ "role": "user", "content": self::input(input) }),
        Message::Assistant { text, tool_calls, reasoning: _ } => {
            json!({ "role": "agent", "content": answer(text, tool_calls.iter()) })
        }
        Message::Tool { call, content, error, name: _, images: _ } => {
            let key = if *error { "error" } else { "result" };
            let value = if *error { content.as_str().into() } else { value_of(content) };
            let part = json!({ "type": "tool_result", "tool_call_id": call, key: value });
            json!({ "role": "tool_result", "content": [part] })
        }
    }
}

/// Tokens.
pub fn usage(usage: &Usage) -> Value {
    let mut counts = json!({ "input_tokens": usage.input, "output_tokens": usage.output });
    if let Some(fields) = counts.as_object_mut() {
        let cached = [("cache_read_tokens", usage.cache_read), ("cache_creation_tokens", usage.cache_write)];
        let cached = cached.into_iter().filter(|(_, count)| *count > 0);
        fields.extend(cached.map(|(name, count)| (name.to_owned(), count.into())));
    }
    counts
}

/// The start of a text.
pub fn preview(text: &str) -> String {
    text.chars().take(PREVIEW).collect()
}
