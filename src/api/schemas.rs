//! JSON Schemas as the surfaces' descriptions are made of: the ways to write them, and their place in a document.
//!
//! Bodies are read and answers written field by field, so schemas say it a second time; tests hold answers against
//! them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

/// Where documents keep schemas.
const PLACE: &str = "#/components/schemas/";

/// Puts schemas into a document: all of these, and of what its operations name besides, what `derived` makes of the
/// name, with the name of what that holds.
pub(super) fn put_into(
    document: &mut Value,
    mut all: BTreeMap<String, Value>,
    derived: impl Fn(&str) -> Option<(&str, Value)>,
) {
    let mut wanted = named_in(document);
    while let Some(name) = wanted.pop() {
        if all.contains_key(&name) {
            continue;
        }
        if let Some((held, schema)) = derived(&name) {
            wanted.push(held.to_owned());
            all.insert(name, schema);
        }
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("schemas".into(), json!(all));
    }
}

/// The names of the schemas a document refers to.
fn named_in(document: &Value) -> Vec<String> {
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

/// A schema that the document has under this name.
pub(super) fn named(name: &str) -> Value {
    json!({ "$ref": format!("{PLACE}{name}") })
}

/// A text.
pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// A text of so many characters.
pub(super) fn sized(length: RangeInclusive<usize>) -> Value {
    match (*length.start(), *length.end()) {
        (0, most) => json!({ "type": "string", "maxLength": most }),
        (least, most) => json!({ "type": "string", "minLength": least, "maxLength": most }),
    }
}

/// A UUID.
pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A moment.
pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A truth value.
pub(super) fn flagged() -> Value {
    json!({ "type": "boolean" })
}

/// A whole number of at least this.
pub(super) fn number(least: u64) -> Value {
    json!({ "type": "integer", "minimum": least })
}

/// Any JSON at all.
pub(super) fn anything() -> Value {
    json!({})
}

/// An object with any fields.
pub(super) fn some_object() -> Value {
    json!({ "type": "object" })
}

/// Any number of these.
pub(super) fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// The same with a word about it.
pub(super) fn about(mut schema: Value, words: &str) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".into(), words.into());
    }
    schema
}

/// This, or `null`.
pub(super) fn maybe(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// An object of these fields, some of which must be there.
pub(super) fn object(fields: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// An object that always has all of these.
pub(super) fn whole(fields: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    object(fields, &names)
}

/// One of these words.
pub(super) fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// This word.
pub(super) fn exactly(word: &str) -> Value {
    json!({ "type": "string", "const": word })
}

/// The schema of one of these names.
pub(super) fn either(names: &[&str]) -> Value {
    let schemas: Vec<Value> = names.iter().map(|name| named(name)).collect();
    json!({ "oneOf": schemas })
}

/// The same object, which may have fields besides.
pub(super) fn open(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("additionalProperties".into(), true.into());
    }
    schema
}
