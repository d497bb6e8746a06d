//! Messages and media as AgentOS shows them; what is unset or empty is left out.

use std::borrow::Cow;

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::Object;
use crate::domain::id::RunId;
use crate::domain::message::{Input, Media, MediaKind, MediaSource};
use crate::domain::time::Timestamp;
use crate::domain::tool::ToolCall;
use crate::domain::view::{Call, RunView, Turn};

use super::metrics_body::Metrics;
use super::tool_body::arguments;

/// One message of a run's conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageBody<'a> {
    pub(super) id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    from_history: bool,
    stop_after_tool_call: bool,
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_args: Option<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_error: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCallBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<Metrics>,
    #[serde(flatten)]
    media: MediaLists<'a>,
    pub(super) created_at: u64,
}

/// What an assistant's message asks for, in the form of the model's API.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ToolCallBody<'a> {
    id: &'a str,
    r#type: &'static str,
    function: FunctionBody<'a>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct FunctionBody<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// The media of an input, sorted into the lists of AgentOS.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MediaLists<'a> {
    /// Pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<MediaBody<'a>>,
    /// Films.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub videos: Vec<MediaBody<'a>>,
    /// Sounds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audios: Vec<MediaBody<'a>>,
    /// Other documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<MediaBody<'a>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MediaBody<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

impl<'a> MediaLists<'a> {
    /// Sorts the media of an input.
    pub fn of(input: &'a Input) -> Self {
        let list =
            |kind| input.media.iter().filter(|media| media.kind == kind).map(MediaBody::from).collect();
        Self {
            images: list(MediaKind::Image),
            videos: list(MediaKind::Video),
            audios: list(MediaKind::Audio),
            files: list(MediaKind::File),
        }
    }
}

impl<'a> From<&'a Media> for MediaBody<'a> {
    fn from(media: &'a Media) -> Self {
        let (url, content) = match &media.source {
            MediaSource::Url(url) => (Some(Cow::from(url)), None),
            MediaSource::Base64(content) => (None, Some(content.as_str())),
            MediaSource::Kept(image) => (Some(format!("/v1/images/img_{}", image.simple()).into()), None),
        };
        Self {
            id: &media.id,
            url,
            content,
            format: media.format.as_deref(),
            mime_type: media.mime_type.as_deref(),
            filename: media.filename.as_deref(),
        }
    }
}

/// The messages of a direct answer: the system message, those of earlier runs, then the run's own.
pub fn with_history<'a>(view: &'a RunView, history: &'a [RunView]) -> Vec<MessageBody<'a>> {
    let mut messages: Vec<_> = system(view).into_iter().collect();
    for earlier in history {
        let copies = conversation(earlier);
        messages.extend(copies.into_iter().map(|message| MessageBody { from_history: true, ..message }));
    }
    messages.extend(conversation(view));
    messages
}

/// The messages of a stored run: the system message and the run's own.
pub fn stored(view: &RunView) -> Vec<MessageBody<'_>> {
    with_history(view, &[])
}

/// User and assistant messages only: a run's part of a session's chat history.
pub fn chat(view: &RunView) -> Vec<MessageBody<'_>> {
    let mut messages = conversation(view);
    messages.retain(|message| message.role != "tool");
    messages
}

/// An id made from a run's and a word about the place in it: the same on every read.
pub fn derived_id(run: RunId, place: &str) -> Uuid {
    let digest = Sha256::new().chain_update(run.0.as_bytes()).chain_update(place).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn system(view: &RunView) -> Option<MessageBody<'_>> {
    let text = view.system.as_deref()?;
    let message = MessageBody::new("system", view.began.unwrap_or(view.created));
    Some(MessageBody { id: derived_id(view.run, "system"), content: Some(text), ..message })
}

/// User, assistant and tool messages of a run.
fn conversation(view: &RunView) -> Vec<MessageBody<'_>> {
    let joined = |turns| view.steers_after(turns).map(|steer| MessageBody::user(&steer.input, steer.at));
    let mut messages = vec![MessageBody::user(&view.input, view.created)];
    if view.input.is_empty() {
        messages.clear();
    }
    messages.extend(joined(0));
    for (before, turn) in view.said().enumerate() {
        if !turn.text.is_empty() || !turn.calls.is_empty() {
            messages.push(MessageBody::assistant(turn));
            messages.extend(turn.calls.iter().filter_map(MessageBody::tool));
        }
        messages.extend(joined(before + 1));
    }
    for (position, message) in messages.iter_mut().enumerate() {
        message.id = derived_id(view.run, &format!("message {position}"));
    }
    messages
}

impl<'a> MessageBody<'a> {
    fn new(role: &'static str, at: Timestamp) -> Self {
        Self {
            id: Uuid::nil(),
            content: None,
            reasoning_content: None,
            from_history: false,
            stop_after_tool_call: false,
            role,
            tool_call_id: None,
            tool_name: None,
            tool_args: None,
            tool_call_error: None,
            tool_calls: Vec::new(),
            metrics: None,
            media: MediaLists::default(),
            created_at: at.seconds(),
        }
    }

    fn user(input: &'a Input, at: Timestamp) -> Self {
        Self { content: Some(&input.text), media: MediaLists::of(input), ..Self::new("user", at) }
    }

    fn assistant(turn: &'a Turn) -> Self {
        Self {
            content: Some(turn.text.as_str()).filter(|text| !text.is_empty()),
            reasoning_content: Some(turn.reasoning.as_str()).filter(|text| !text.is_empty()),
            tool_calls: turn.calls.iter().map(|call| ToolCallBody::from(&call.call)).collect(),
            metrics: Metrics::of_turn(turn),
            ..Self::new("assistant", turn.answered.unwrap_or(turn.called))
        }
    }

    /// `None` while the call has no result.
    fn tool(call: &'a Call) -> Option<Self> {
        let result = call.result.as_ref()?;
        let at = call.finished.or(call.started).unwrap_or_default();
        Some(Self {
            content: Some(&result.content),
            tool_call_id: Some(call.call.id.as_str()),
            tool_name: Some(&call.call.name),
            tool_args: Some(arguments(call)).filter(|arguments| !arguments.is_empty()),
            tool_call_error: Some(result.is_error()),
            ..Self::new("tool", at)
        })
    }
}

impl<'a> From<&'a ToolCall> for ToolCallBody<'a> {
    fn from(call: &'a ToolCall) -> Self {
        Self {
            id: call.id.as_str(),
            r#type: "function",
            function: FunctionBody { name: &call.name, arguments: &call.arguments },
        }
    }
}
