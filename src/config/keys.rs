//! All keys there are, from the schema.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// Every key with dots, sorted; `*` stands for a name the user chooses: `providers.*.base_url`.
pub fn known_keys() -> Vec<String> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    let mut keys = Vec::new();
    walk(schema.as_value(), "", &mut keys);
    keys.sort();
    keys.dedup();
    keys
}

fn walk(schema: &Value, path: &str, keys: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut is_leaf = true;
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        is_leaf = false;
        walk(inner, &below(name), keys);
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        is_leaf = false;
        walk(inner, &below("*"), keys);
    }
    let of_tables = |choice: &&Value| choice.get("properties").is_some();
    for choice in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().filter(of_tables) {
        is_leaf = false;
        walk(choice, path, keys);
    }
    if is_leaf {
        keys.push(path.into());
    }
}

/// Whether it is a key, or falls under one with `*`.
pub(super) fn is_known(path: &[String]) -> bool {
    known_keys().iter().any(|key| {
        let mut segments = key.split('.');
        let fits = path.iter().all(|part| segments.next().is_some_and(|known| known == "*" || known == part));
        fits && segments.next().is_none()
    })
}

/// The variable that is most like this one.
pub(super) fn closest_variable(name: &str) -> String {
    let variables = known_keys().into_iter().map(|key| variable(&key)).chain(["RUNHOLD_CONFIG".into()]);
    variables.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default()
}

fn variable(key: &str) -> String {
    format!("RUNHOLD_{}", key.replace('*', "NAME").replace('.', "__").to_uppercase())
}
