//! The simplest value that fits a JSON Schema, filled with words from the conversation where there is room.

use serde_json::{Map, Value, json};

use super::phrases;

/// Schemas that nest deeper get `null`.
const MAX_DEPTH: usize = 12;

/// A value that fits the schema. Texts are what `fill` makes of their property's name.
pub(super) fn instance(schema: &Value, fill: &dyn Fn(&str) -> String) -> Value {
    Maker { root: schema, fill }.value(schema, "", 0)
}

struct Maker<'a> {
    root: &'a Value,
    fill: &'a dyn Fn(&str) -> String,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        if let Some(value) = given(schema) {
            return value.clone();
        }
        if let Some(target) = self.target(schema) {
            return self.value(target, name, depth + 1);
        }
        if let Some(options) = schema.get("enum").and_then(Value::as_array) {
            return self.chosen(options, name);
        }
        let one_of = ["anyOf", "oneOf"].into_iter().find_map(|key| schema.get(key)?.as_array());
        if let Some(first) = one_of.and_then(|options| options.iter().find(|option| !is_null(option))) {
            return self.value(first, name, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(self.text(schema, name)),
        }
    }

    fn target(&self, schema: &Value) -> Option<&Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }

    /// The option that the conversation mentions or hints at, else the first.
    fn chosen(&self, options: &[Value], name: &str) -> Value {
        let words = (self.fill)(name).to_lowercase();
        let mentioned =
            |option: &&Value| option.as_str().is_some_and(|text| words.contains(&text.to_lowercase()));
        let meant = || {
            options.iter().find(|option| option.as_str().is_some_and(|text| phrases::hints_at(&words, text)))
        };
        options.iter().find(mentioned).or_else(meant).or(options.first()).cloned().unwrap_or_default()
    }

    /// All that is required; where nothing is, all there is.
    fn object(&self, schema: &Value, depth: usize) -> Value {
        let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let mut fields = Map::new();
        for part in all.chain([schema]).map(|part| self.target(part).unwrap_or(part)) {
            let Some(properties) = part.get("properties").and_then(Value::as_object) else { continue };
            let required = part.get("required").and_then(Value::as_array);
            for (name, property) in properties {
                if required.is_none_or(|names| names.iter().any(|one| one == name)) {
                    fields.insert(name.clone(), self.value(property, name, depth + 1));
                }
            }
        }
        Value::Object(fields)
    }

    fn array(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let Some(items) = schema.get("items").filter(|items| items.is_object()) else { return json!([]) };
        let limit = |key| schema.get(key).and_then(Value::as_u64);
        let count = limit("minItems").unwrap_or(1).min(limit("maxItems").unwrap_or(u64::MAX)).min(100);
        (0..count).map(|_| self.value(items, name, depth + 1)).collect()
    }

    fn text(&self, schema: &Value, name: &str) -> String {
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-01-01T12:00:00Z".into(),
            Some("date") => "2026-01-01".into(),
            Some("time") => "12:00:00Z".into(),
            Some("email") => "someone@example.org".into(),
            Some("uri" | "url") => "https://example.org/".into(),
            Some("uuid") => "00000000-0000-4000-8000-000000000000".into(),
            Some(_) | None => (self.fill)(name),
        };
        let limit =
            |key| schema.get(key).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
        let least = limit("minLength").unwrap_or(0).min(10_000);
        let most = limit("maxLength").unwrap_or(usize::MAX);
        let padding = least.saturating_sub(text.chars().count());
        text.chars().chain(std::iter::repeat_n('.', padding)).take(most).collect()
    }
}

/// A value the schema itself gives.
fn given(schema: &Value) -> Option<&Value> {
    let example = || schema.get("examples").and_then(|examples| examples.get(0));
    schema.get("const").or_else(|| schema.get("default")).or_else(example)
}

fn kind(schema: &Value) -> &str {
    let implied =
        || if schema.get("properties").is_some() || schema.get("allOf").is_some() { "object" } else { "" };
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ => implied(),
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// The smallest number that is allowed, 1 if that is.
fn number(schema: &Value) -> Value {
    let bound = |key| schema.get(key).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(1.0);
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|bound| bound + step));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|bound| bound - step));
    let wanted = least.unwrap_or(step.max(1.0)).min(most.unwrap_or(f64::MAX));
    let fitting = (wanted / step).ceil() * step;
    let number =
        if most.is_some_and(|most| fitting > most) { (wanted / step).floor() * step } else { fitting };
    if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_fits_its_schema() {
        let schemas = [
            json!({"type": "object", "required": ["a", "b", "c"], "additionalProperties": false, "properties": {
                "a": {"type": "string", "enum": ["low", "high"]}, "b": {"type": "integer", "minimum": 5},
                "c": {"type": ["null", "array"], "minItems": 2, "items": {"type": "boolean"}}, "d": {"type": "null"},
            }}),
            json!({"$ref": "#/$defs/p", "$defs": {"p": {"type": "object", "properties": {
                "x": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5, "multipleOf": 0.25},
                "s": {"type": "string", "minLength": 20}, "t": {"type": "string", "maxLength": 3},
            }}}}),
            json!({"allOf": [{"properties": {"a": {"const": 7}}}], "required": ["a", "b"], "properties": {"b": {
                "anyOf": [{"type": "null"}, {"type": "integer", "maximum": -3}],
            }}}),
        ];
        for schema in schemas {
            let value = instance(&schema, &|_| "high and low".into());
            assert!(jsonschema::is_valid(&schema, &value), "{value} for {schema}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"$ref": "#"}}});
        assert!(instance(&schema, &|_| String::new()).is_object());
    }
}
