//! Session state: how runs that change it side by side all keep their changes.
//!
//! A run never writes the whole state back. It writes what it changed, as a list of [`Change`]s against what
//! it read, and those are applied to whatever is stored by then.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Object;

/// One place in a state object, and what it becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Keys from the top down; never empty.
    pub path: Vec<String>,
    /// The new value; `None` takes the key away.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub to: Option<Value>,
}

/// Tells `null` (a value) from an absent field (a removal).
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(to: &Option<Value>, out: S) -> Result<S::Ok, S::Error> {
        to.as_ref().unwrap_or(&Value::Null).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(from).map(Some)
    }
}

/// Lays `over` on `base`: objects merge key by key, everything else is replaced.
pub fn merge(base: &mut Object, over: &Object) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What turns `before` into `after`, deepest keys first named.
pub fn diff(before: &Object, after: &Object) -> Vec<Change> {
    let mut changes = Vec::new();
    collect(before, after, &mut Vec::new(), &mut changes);
    changes
}

fn collect(before: &Object, after: &Object, path: &mut Vec<String>, changes: &mut Vec<Change>) {
    for (key, new) in after {
        path.push(key.clone());
        match (before.get(key), new) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => collect(old, new, path, changes),
            _ => changes.push(Change { path: path.clone(), to: Some(new.clone()) }),
        }
        path.pop();
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        path.push(key.clone());
        changes.push(Change { path: path.clone(), to: None });
        path.pop();
    }
}

/// Applies changes in order. A path through something that is no object makes it one.
pub fn apply(state: &mut Object, changes: &[Change]) {
    for change in changes {
        if let Some((last, above)) = change.path.split_last() {
            apply_one(state, above, last, change.to.as_ref());
        }
    }
}

fn apply_one(state: &mut Object, above: &[String], last: &str, to: Option<&Value>) {
    let Some((first, rest)) = above.split_first() else {
        match to {
            Some(value) => state.insert(last.into(), value.clone()),
            None => state.shift_remove(last),
        };
        return;
    };
    if to.is_none() && !state.contains_key(first) {
        return;
    }
    let slot = state.entry(first.clone()).or_insert_with(|| Value::Object(Object::new()));
    if !slot.is_object() {
        *slot = Value::Object(Object::new());
    }
    if let Value::Object(inner) = slot {
        apply_one(inner, rest, last, to);
    }
}
