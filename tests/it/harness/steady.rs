//! Answers without what differs from run to run.

use serde_json::{Value, json};

/// Keys of times.
const TIMES: [&str; 3] = ["created_at", "updated_at", "instantiated_at"];
/// Keys of things that take their time, or are measured.
const MEASURES: [&str; 4] = ["duration", "time_to_first_token", "start_time", "end_time"];

/// The same with `<time>` for times, 0 for what is measured and `<uuid>` for made ids.
pub(crate) fn steady(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| member(name, value)).collect(),
        Value::Array(items) => items.into_iter().map(steady).collect(),
        Value::String(text) if text.contains(" completed in ") => {
            json!(text.split_once(" in ").map(|(what, _)| what))
        }
        Value::String(text) if uuid::Uuid::parse_str(&text).is_ok() => json!("<uuid>"),
        other => other,
    }
}

fn member(name: String, value: Value) -> (String, Value) {
    let steady = match &value {
        Value::Null => Value::Null,
        _ if TIMES.contains(&name.as_str()) => json!("<time>"),
        _ if MEASURES.contains(&name.as_str()) => json!(0),
        _ => steady(value),
    };
    (name, steady)
}
