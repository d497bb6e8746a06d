//! What the triage surface says of itself, held against what it answers.

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const PATH: &str = "/v1/triage/openapi.json";

/// The surface's description, with objects that have nothing besides what is described.
async fn description(server: &str) -> &'static Value {
    static DESCRIPTION: OnceCell<Value> = OnceCell::const_new();
    let read = || async {
        let url = reqwest::Url::parse(server).unwrap().join(PATH).unwrap();
        let mut document: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        close(&mut document["components"]);
        document
    };
    DESCRIPTION.get_or_init(read).await
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Panics if an operation of the surface is answered with a status or a body that it is not described with.
pub(crate) async fn hold(url: &reqwest::Url, method: &Method, status: u16, body: &Value) {
    let document = description(url.as_str()).await;
    let paths = document["paths"].as_object().unwrap();
    let fitting = paths.keys().filter(|template| fits(template, url.path()));
    // An address that is written out is another than a place that may hold the same.
    let Some(template) = fitting.min_by_key(|template| template.matches('{').count()) else { return };
    let operation = &paths[template][method.as_str().to_lowercase()];
    if operation.is_null() {
        return;
    }
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{method} {template} answers {status}, which is not described: {body}");
    let Some(schema) = answer["content"]["application/json"]["schema"].as_object() else {
        assert_eq!(*body, Value::Null, "{method} {template} {status} is described without a body");
        return;
    };
    let whole = json!({"$ref": schema["$ref"], "components": document["components"]});
    let wrong: Vec<String> =
        validator(&whole).iter_errors(body).map(|it| format!("{}: {it}", it.instance_path())).collect();
    assert!(wrong.is_empty(), "{method} {template} {status} is not as described: {wrong:#?}\n{body:#}");
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

fn fits(template: &str, path: &str) -> bool {
    let (known, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    known.len() == given.len()
        && known.iter().zip(&given).all(|(known, given)| known == given || known.starts_with('{'))
}
