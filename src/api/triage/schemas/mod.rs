//! What is sent and shown, as JSON Schema: for the surface's description, and for its tools.
//!
//! Bodies are read and written field by field, so these say it a second time; tests hold every answer of the surface
//! against them.

mod evidence;
mod sent;
mod shown;

use std::ops::RangeInclusive;

use serde_json::{Value, json};

pub(super) use sent::{comment, flag, issue, issue_patch, relation, resource};

use crate::triage::form::Word;

/// Where documents keep schemas.
const PLACE: &str = "#/components/schemas/";

/// How the name of a list's page ends; what it begins with is an item's.
const PAGE: &str = "Page";

/// How the name of an answer ends; what it begins with is what it holds.
const ANSWER: &str = "Answer";

/// Every schema that stands for itself, by name.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let mut all = sent::all();
    all.extend(shown::all());
    all.extend(evidence::all());
    all
}

/// The name of an answer that holds this.
pub(super) fn answer_of(name: &str) -> String {
    format!("{name}{ANSWER}")
}

/// The name of an answer that holds a page of these.
pub(super) fn page_of(name: &str) -> String {
    format!("{name}{PAGE}{ANSWER}")
}

/// The schema of a name that follows from another's: an answer in its envelope, or a page.
pub(super) fn derived(name: &str) -> Option<(&str, Value)> {
    if let Some(held) = name.strip_suffix(ANSWER) {
        return Some((held, whole(&[("data", named(held)), ("errors", json!({ "type": "null" }))])));
    }
    let item = name.strip_suffix(PAGE)?;
    Some((item, whole(&[("items", list(&named(item))), ("next_cursor", maybe(text()))])))
}

/// The names of the schemas a document refers to.
pub(super) fn named_in(document: &Value) -> Vec<String> {
    match document {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix(PLACE));
            let deeper = fields.values().flat_map(named_in);
            name.map(ToOwned::to_owned).into_iter().chain(deeper).collect()
        }
        Value::Array(items) => items.iter().flat_map(named_in).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// How failures are told.
pub(super) fn failure() -> Value {
    let detail = whole(&[("path", text()), ("message", text())]);
    let fields = [("error", text()), ("message", text()), ("details", list(&detail))];
    let error = object(&fields, &["error", "message"]);
    let errors = json!({ "type": "array", "items": error, "minItems": 1 });
    whole(&[("data", json!({ "type": "null" })), ("errors", errors)])
}

/// A schema that the document has under this name.
fn named(name: &str) -> Value {
    json!({ "$ref": format!("{PLACE}{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// A text of so many characters.
fn sized(length: RangeInclusive<usize>) -> Value {
    match (*length.start(), *length.end()) {
        (0, most) => json!({ "type": "string", "maxLength": most }),
        (least, most) => json!({ "type": "string", "minLength": least, "maxLength": most }),
    }
}

fn word<T: Word>() -> Value {
    let words: Vec<&str> = T::ALL.iter().map(|(_, word)| *word).collect();
    json!({ "type": "string", "enum": words })
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn flagged() -> Value {
    json!({ "type": "boolean" })
}

fn number(least: u64) -> Value {
    json!({ "type": "integer", "minimum": least })
}

fn anything() -> Value {
    json!({})
}

fn some_object() -> Value {
    json!({ "type": "object" })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// The same with a word about it.
fn about(mut schema: Value, words: &str) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".into(), words.into());
    }
    schema
}

/// This, or `null`.
fn maybe(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// An object of these fields, some of which must be there.
fn object(fields: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// An object that always has all of these.
fn whole(fields: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    object(fields, &names)
}
