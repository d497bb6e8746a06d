//! What surfaces say of themselves, held against what they answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jsonschema::Validator;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// A surface: where its description is, and what that says, of objects that have nothing besides what is described.
struct Surface {
    path: &'static str,
    document: OnceCell<Value>,
    /// By the names of their schemas.
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

static TRIAGE: Surface = Surface::at("/v1/triage/openapi.json");
static EVERRUNS: Surface = Surface::at("/api-doc/openapi.json");

impl Surface {
    const fn at(path: &'static str) -> Self {
        Self { path, document: OnceCell::const_new(), validators: Mutex::new(BTreeMap::new()) }
    }

    async fn description(&self, server: &Url) -> &Value {
        let read = || async {
            let mut document: Value =
                reqwest::get(server.join(self.path).unwrap()).await.unwrap().json().await.unwrap();
            close(&mut document["components"]);
            document
        };
        self.document.get_or_init(read).await
    }

    /// Of the schema of this name.
    fn validator(&self, document: &Value, name: &str) -> Arc<Validator> {
        let mut known = self.validators.lock().unwrap();
        let made = known.entry(name.to_owned()).or_insert_with(|| {
            let schema = json!({"$ref": name, "components": document["components"]});
            Arc::new(jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
        });
        made.clone()
    }
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

/// Panics if an operation of the triage surface is answered with a status or a body that it is not described with.
pub(crate) async fn hold(url: &Url, method: &Method, status: u16, body: &Value) {
    let document = TRIAGE.description(url).await;
    let Some((template, operation)) = operation(document, url, method) else { return };
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{method} {template} answers {status}, which is not described: {body}");
    hold_body(&TRIAGE, document, &format!("{method} {template} {status}"), answer, body);
}

/// The same of the Everruns surface; failures that any request may meet need not be described.
pub(crate) async fn hold_everruns(url: &Url, method: &Method, status: u16, body: &Value) {
    let document = EVERRUNS.description(url).await;
    let Some((template, operation)) = operation(document, url, method) else { return };
    let answer = &operation["responses"][status.to_string()];
    assert!(
        answer.is_object() || status >= 400,
        "{method} {template} answers {status}, which is not described: {body}"
    );
    let failure =
        json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}});
    let answer = if answer.is_object() { answer } else { &failure };
    hold_body(&EVERRUNS, document, &format!("{method} {template} {status}"), answer, body);
}

/// Panics if what was sent to the Everruns surface, and taken, is not as it is described.
pub(crate) async fn hold_sent(url: &Url, method: &Method, body: &Value) {
    let document = EVERRUNS.description(url).await;
    let (template, operation) = operation(document, url, method).unwrap();
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let name = schema.as_str().unwrap_or_else(|| panic!("{method} {template} is described without a body"));
    if let Err(wrong) = EVERRUNS.validator(document, name).validate(body) {
        panic!(
            "{method} {template} takes what is not described: {}: {wrong}\n{body:#}",
            wrong.instance_path()
        );
    }
}

/// What is at an address.
fn operation<'a>(document: &'a Value, url: &Url, method: &Method) -> Option<(&'a str, &'a Value)> {
    // A server behind a prefix has no description here, and nothing else.
    let paths = document["paths"].as_object()?;
    let fitting = paths.keys().filter(|template| fits(template, url.path()));
    // An address that is written out is another than a place that may hold the same.
    let template = fitting.min_by_key(|template| template.matches('{').count())?;
    let operation = &paths[template][method.as_str().to_lowercase()];
    (!operation.is_null()).then_some((template, operation))
}

fn hold_body(surface: &Surface, document: &Value, what: &str, answer: &Value, body: &Value) {
    let Some(name) = answer["content"]["application/json"]["schema"]["$ref"].as_str() else {
        assert_eq!(*body, Value::Null, "{what} is described without a body");
        return;
    };
    let validator = surface.validator(document, name);
    if validator.is_valid(body) {
        return;
    }
    let wrong: Vec<String> =
        validator.iter_errors(body).map(|it| format!("{}: {it}", it.instance_path())).collect();
    panic!("{what} is not as described: {wrong:#?}\n{body:#}");
}

fn fits(template: &str, path: &str) -> bool {
    let (known, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    // A path takes the whole rest.
    let as_many = known.len() == given.len() || known.len() < given.len() && known.last() == Some(&"{path}");
    as_many && known.iter().zip(&given).all(|(known, given)| known == given || known.starts_with('{'))
}
