//! What is sent and shown, as JSON Schema, for the surface's description: a file for each part of it.

mod agents;
mod callers;
mod events;
mod files;
mod models;
mod schedules;
mod sessions;

use serde_json::{Value, json};

use super::ids::Prefix;
use crate::api::schemas::{
    about, anything, either, exactly, flagged, list, maybe, named, number, object, one_of, open, sized,
    some_object, text, time, uuid, whole,
};

/// The content type of most bodies.
pub(super) const JSON: &str = "application/json";

/// How the name of a whole list ends; what it begins with is an item's.
const LIST: &str = "List";

/// How the name of a list ends that tells how many there are.
const COUNTED: &str = "CountedList";

/// How the name of a list's page ends.
const PAGE: &str = "Page";

/// A part of the surface: its schemas by name.
type Schemas = Vec<(&'static str, Value)>;

/// Every schema that stands for itself, by name.
pub(super) fn all() -> Schemas {
    let parts = [
        agents::all(),
        sessions::all(),
        events::all(),
        files::all(),
        models::all(),
        schedules::all(),
        callers::all(),
    ];
    parts.into_iter().flatten().collect()
}

/// The name of `{data}` with all of these.
pub(super) fn list_of(name: &str) -> String {
    format!("{name}{LIST}")
}

/// The name of `{data, total}`.
pub(super) fn counted(name: &str) -> String {
    format!("{name}{COUNTED}")
}

/// The name of `{data, total, offset, limit}`.
pub(super) fn page_of(name: &str) -> String {
    format!("{name}{PAGE}")
}

/// The schema of a list, whose name follows from that of its items.
pub(super) fn derived(name: &str) -> Option<(&str, Value)> {
    let data = |item: &str| ("data", list(&named(item)));
    if let Some(item) = name.strip_suffix(COUNTED) {
        return Some((item, whole(&[data(item), ("total", number(0))])));
    }
    if let Some(item) = name.strip_suffix(LIST) {
        return Some((item, whole(&[data(item)])));
    }
    let item = name.strip_suffix(PAGE)?;
    let place = [("total", number(0)), ("offset", number(0)), ("limit", number(0))];
    Some((item, whole(&[&[data(item)], place.as_slice()].concat())))
}

/// How failures are told.
pub(super) fn failure() -> Value {
    let error = whole(&[("code", one_of(&super::error::CODES)), ("message", text())]);
    let fields = [("error", error), ("title", text()), ("status", number(400)), ("detail", text())];
    whole(&fields)
}

/// An id of this kind.
fn id(prefix: Prefix) -> Value {
    json!({ "type": "string", "pattern": format!("^{}_[0-9a-f]{{32}}$", prefix.word()) })
}

/// The fields, those that are always there first.
fn with(always: &[(&str, Value)], sometimes: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = always.iter().map(|(name, _)| *name).collect();
    object(&[always, sometimes].concat(), &required)
}

/// Whether something is used.
fn active_or(other: &str) -> Value {
    one_of(&["active", other])
}

/// When it was made and when it last changed.
fn times() -> [(&'static str, Value); 2] {
    [("created_at", time()), ("updated_at", time())]
}

fn texts() -> Value {
    list(&text())
}
