//! What is sent and shown, as JSON Schema: for the surface's description, and for its tools.
//!
//! Bodies are read and written field by field, so these say it a second time; tests hold every answer of the surface
//! against them.

mod evidence;
mod sent;
mod shown;

use serde_json::{Value, json};

pub(super) use sent::{comment, flag, issue, issue_patch, relation, resource};

use crate::api::schemas::{
    about, anything, flagged, list, maybe, named, number, object, one_of, sized, some_object, text, time,
    uuid, whole,
};
use crate::triage::form::Word;

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

/// How failures are told.
pub(super) fn failure() -> Value {
    let detail = whole(&[("path", text()), ("message", text())]);
    let fields = [("error", text()), ("message", text()), ("details", list(&detail))];
    let error = object(&fields, &["error", "message"]);
    let errors = json!({ "type": "array", "items": error, "minItems": 1 });
    whole(&[("data", json!({ "type": "null" })), ("errors", errors)])
}

fn word<T: Word>() -> Value {
    let words: Vec<&str> = T::ALL.iter().map(|(_, word)| *word).collect();
    one_of(&words)
}
