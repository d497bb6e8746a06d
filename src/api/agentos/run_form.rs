//! The form that starts a run, and the order it makes.

use serde_json::Value;

use crate::api::body;
use crate::api::fields::{Fields, FromFields};
use crate::api::form::{Form, MAX_FIELD_BYTES};
use crate::domain::Object;
use crate::domain::fact::RunOptions;
use crate::domain::id::{ComponentId, SessionId, UserId};
use crate::domain::message::{Input, MediaKind};
use crate::domain::run::StartRun;
use crate::domain::spec::{ComponentKind, OnSecondMessage};

use super::error::Error;
use super::media_form::{self, Reference};

/// What a client may say about a run; names it does not know are passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct RunForm {
    /// Whether the answer comes as events.
    pub stream: bool,
    /// Whether the run goes on without its request.
    pub background: bool,
    /// Whether a stream shows more than pieces and the end.
    pub stream_events: bool,
    session: Option<SessionId>,
    user: Option<UserId>,
    message: Option<String>,
    references: Vec<Reference>,
    options: RunOptions,
    on_second_message: Option<OnSecondMessage>,
}

/// What a message may do while a run of its session is going.
pub(super) const SECOND: [(&str, OnSecondMessage); 4] = [
    ("enqueue", OnSecondMessage::Enqueue),
    ("reject", OnSecondMessage::Reject),
    ("interrupt", OnSecondMessage::Interrupt),
    ("steer", OnSecondMessage::Steer),
];

impl FromFields for RunForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let message = fields.text("message");
        if message.as_ref().is_some_and(|message| message.len() > MAX_FIELD_BYTES) {
            let message = format!("String should have at most {MAX_FIELD_BYTES} bytes");
            fields.violation("message", "string_too_long", message);
        }
        if fields.value("message").is_none() {
            fields.missing("message");
        }
        Self {
            stream: fields.flag("stream").unwrap_or(true),
            background: fields.flag("background").unwrap_or(false),
            stream_events: fields.flag("stream_events").unwrap_or(true),
            session: fields.id("session_id"),
            user: fields.id("user_id"),
            message,
            references: references(fields),
            options: options(fields),
            on_second_message: fields.choice("on_second_message", &SECOND),
        }
    }
}

/// The options of a run.
pub(super) fn options(fields: &mut Fields) -> RunOptions {
    RunOptions {
        session_state: object(fields, "session_state"),
        dependencies: object(fields, "dependencies"),
        metadata: object(fields, "metadata"),
        output_schema: object(fields, "output_schema").map(Value::Object),
        history: fields.flag("add_history_to_context"),
        show_dependencies: fields.flag("add_dependencies_to_context").unwrap_or(false),
        show_state: fields.flag("add_session_state_to_context").unwrap_or(false),
        ..RunOptions::default()
    }
}

fn references(fields: &mut Fields) -> Vec<Reference> {
    let lists = [
        ("images", MediaKind::Image),
        ("audio", MediaKind::Audio),
        ("videos", MediaKind::Video),
        ("input_files", MediaKind::File),
    ];
    let mut references = Vec::new();
    for (name, kind) in lists {
        let items = match json(fields, name) {
            Some(Value::Array(items)) => items,
            Some(other) => vec![other],
            None => Vec::new(),
        };
        references.extend(items.into_iter().map(|value| Reference { field: name, kind, value }));
    }
    references
}

fn object(fields: &mut Fields, name: &str) -> Option<Object> {
    match json(fields, name)? {
        Value::Object(object) => Some(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            tracing::warn!(field = name, "a form field is no JSON object and was dropped");
            None
        }
    }
}

/// JSON written as text. What does not parse is dropped, as AgentOS does; what no store can keep is refused.
fn json(fields: &mut Fields, name: &str) -> Option<Value> {
    let value = match fields.value(name)? {
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(field = name, %error, "a form field is no JSON and was dropped");
                return None;
            }
        },
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            value
        }
    };
    if body::check(&value).is_err() {
        let message = format!("Value error, must not hold NUL or be nested deeper than {}", body::MAX_DEPTH);
        fields.violation(name, "value_error", message);
        return None;
    }
    Some(value).filter(|value| !value.is_null())
}

/// The order to start a run of this component.
///
/// # Errors
/// 400 for media that cannot be taken, 422 where there is nothing to answer.
pub fn order(kind: ComponentKind, component: ComponentId, form: Form<RunForm>) -> Result<StartRun, Error> {
    let Form { fields, uploads } = form;
    let media = media_form::media(fields.references, uploads)?;
    let text = fields.message.unwrap_or_default();
    if text.is_empty() && media.is_empty() {
        return Err(media_form::missing_message());
    }
    Ok(StartRun {
        kind,
        component,
        session: fields.session,
        user: fields.user,
        input: Input { text, media, extra: None },
        options: fields.options,
        on_second_message: fields.on_second_message,
    })
}
