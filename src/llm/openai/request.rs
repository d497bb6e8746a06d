//! A question in the words of Chat Completions.

use serde_json::{Value, json};

use crate::domain::message::{Input, Media, MediaKind, MediaSource, Message, ModelCall};
use crate::domain::tool::{ToolCall, ToolSpec};

/// The body of a request for a streamed answer.
pub(super) fn body(call: &ModelCall) -> Value {
    let mut body = json!({
        "model": call.model.model,
        "messages": messages(&call.messages),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let Some(fields) = body.as_object_mut() else { return body };
    // Several servers refuse an empty list of tools, so there is none rather than an empty one.
    if !call.tools.is_empty() {
        fields.insert("tools".into(), call.tools.iter().map(tool).collect());
    }
    if let Some(schema) = &call.output_schema {
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        fields.insert("response_format".into(), format);
    }
    if let Some(effort) = &call.reasoning_effort {
        fields.insert("reasoning_effort".into(), effort.as_str().into());
    }
    body
}

fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": spec.parameters},
    })
}

/// Results of tools are text there; their pictures come after the last of them, as if the user had sent them.
fn messages(messages: &[Message]) -> Vec<Value> {
    let mut sent = Vec::with_capacity(messages.len());
    let mut images: Vec<Value> = Vec::new();
    let as_user = |parts: &mut Vec<Value>| {
        (!parts.is_empty()).then(|| json!({"role": "user", "content": std::mem::take(parts)}))
    };
    for one in messages {
        if let Message::Tool { name, images: seen, .. } = one {
            sent.push(message(one));
            if !seen.is_empty() {
                images.push(json!({"type": "text", "text": format!("[pictures in the result of {name}]")}));
            }
            images.extend(seen.iter().map(part));
        } else {
            sent.extend(as_user(&mut images));
            sent.push(message(one));
        }
    }
    sent.extend(as_user(&mut images));
    sent
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": text}),
        Message::User { input } => json!({"role": "user", "content": user_content(input)}),
        Message::Assistant { text, tool_calls, .. } if tool_calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Message::Assistant { text, tool_calls, .. } => json!({
            "role": "assistant",
            "content": if text.is_empty() { Value::Null } else { json!(text) },
            "tool_calls": tool_calls.iter().map(tool_call).collect::<Vec<_>>(),
        }),
        Message::Tool { call, content, .. } => {
            json!({"role": "tool", "tool_call_id": call.as_str(), "content": content})
        }
    }
}

fn tool_call(call: &ToolCall) -> Value {
    json!({
        "id": call.id.as_str(),
        "type": "function",
        "function": {"name": acceptable_name(&call.name), "arguments": acceptable_arguments(call)},
    })
}

/// Providers refuse a whole conversation for one call with an impossible name, also if they made it up.
fn acceptable_name(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().take(64).map(fits).collect();
    if name.is_empty() { "unnamed".into() } else { name }
}

/// Chat templates of several servers parse the arguments of earlier calls and fail on what is no object.
fn acceptable_arguments(call: &ToolCall) -> String {
    match call.parsed() {
        Some(_) if call.arguments.trim().is_empty() => "{}".into(),
        Some(_) => call.arguments.clone(),
        None => json!({"invalid_json": call.arguments}).to_string(),
    }
}

fn user_content(input: &Input) -> Value {
    if input.media.is_empty() {
        return json!(input.text);
    }
    let text = (!input.text.is_empty()).then(|| json!({"type": "text", "text": input.text}));
    text.into_iter().chain(input.media.iter().map(part)).collect()
}

fn part(media: &Media) -> Value {
    match (media.kind, &media.source) {
        // Whoever asks has fetched it; what is left could not be.
        (_, MediaSource::Kept(_)) => json!({"type": "text", "text": "[a picture that is not available]"}),
        (MediaKind::Image, source) => {
            json!({"type": "image_url", "image_url": {"url": address(media, source)}})
        }
        (MediaKind::Video, source) => {
            json!({"type": "video_url", "video_url": {"url": address(media, source)}})
        }
        (MediaKind::Audio, MediaSource::Base64(data)) => {
            let format = media.format.as_deref().or(subtype(media)).unwrap_or("wav");
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        (MediaKind::Audio, MediaSource::Url(url)) => json!({"type": "audio_url", "audio_url": {"url": url}}),
        (MediaKind::File, MediaSource::Base64(_)) => {
            let name = media.filename.as_deref().unwrap_or(&media.id);
            json!({"type": "file", "file": {"filename": name, "file_data": address(media, &media.source)}})
        }
        // Chat Completions takes no file by address; the model can still be told of it.
        (MediaKind::File, MediaSource::Url(url)) => {
            json!({"type": "text", "text": format!("[file at {url}]")})
        }
    }
}

fn subtype(media: &Media) -> Option<&str> {
    media.mime_type.as_deref()?.split_once('/').map(|(_, subtype)| subtype)
}

/// The URL as it is, or the bytes as a data URL.
fn address(media: &Media, source: &MediaSource) -> String {
    let data = match source {
        MediaSource::Url(url) => return url.clone(),
        MediaSource::Base64(data) => data.as_str(),
        MediaSource::Kept(_) => "",
    };
    let (family, fallback) = match media.kind {
        MediaKind::Image => ("image", "png"),
        MediaKind::Audio => ("audio", "wav"),
        MediaKind::Video => ("video", "mp4"),
        MediaKind::File => ("application", "octet-stream"),
    };
    let guessed = || format!("{family}/{}", media.format.as_deref().unwrap_or(fallback));
    format!("data:{};base64,{data}", media.mime_type.clone().unwrap_or_else(guessed))
}
