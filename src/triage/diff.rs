//! What one JSON value has that another has not, as edits that lead from the first to the second.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::patch::Op;

/// One difference. In order, they are a JSON Patch; `old` is for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What is done.
    pub op: ChangeKind,
    /// Where: a JSON Pointer.
    pub path: String,
    /// What stood there; `null` of what is added.
    pub old: Value,
    /// What stands there now; `null` of what is removed.
    pub new: Value,
}

/// What a difference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    Add,
    /// It was another.
    Replace,
    /// It is not there any more.
    Remove,
}

impl From<&Change> for Op {
    fn from(change: &Change) -> Self {
        let path = change.path.clone();
        match change.op {
            ChangeKind::Add => Self::Add { path, value: change.new.clone() },
            ChangeKind::Replace => Self::Replace { path, value: change.new.clone() },
            ChangeKind::Remove => Self::Remove { path },
        }
    }
}

/// What leads from one value to another. The order of an object's names is no difference.
pub fn diff(from: &Value, to: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", from, to, &mut changes);
    changes
}

fn compare(path: &str, from: &Value, to: &Value, changes: &mut Vec<Change>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => compare_objects(path, from, to, changes),
        (Value::Array(from), Value::Array(to)) => compare_lists(path, from, to, changes),
        _ if from == to => {}
        _ => changes.push(change(ChangeKind::Replace, path.into(), from, to)),
    }
}

fn compare_objects(
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let below = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    for (name, old) in from {
        match to.get(name) {
            Some(new) => compare(&below(name), old, new, changes),
            None => changes.push(change(ChangeKind::Remove, below(name), old, &Value::Null)),
        }
    }
    for (name, new) in to.iter().filter(|(name, _)| !from.contains_key(*name)) {
        changes.push(change(ChangeKind::Add, below(name), &Value::Null, new));
    }
}

/// What both lists begin and end with is left out; what is between is compared item by item.
fn compare_lists(path: &str, from: &[Value], to: &[Value], changes: &mut Vec<Change>) {
    let start = from.iter().zip(to).take_while(|(old, new)| old == new).count();
    let (from, to) = (from.get(start..).unwrap_or_default(), to.get(start..).unwrap_or_default());
    let end = from.iter().rev().zip(to.iter().rev()).take_while(|(old, new)| old == new).count();
    let from = from.get(..from.len() - end).unwrap_or_default();
    let to = to.get(..to.len() - end).unwrap_or_default();
    let both = from.len().min(to.len());
    let below = |at: usize| format!("{path}/{}", start + at);
    for (at, (old, new)) in from.iter().zip(to).enumerate() {
        compare(&below(at), old, new, changes);
    }
    for (at, old) in from.iter().enumerate().skip(both).rev() {
        changes.push(change(ChangeKind::Remove, below(at), old, &Value::Null));
    }
    for (at, new) in to.iter().enumerate().skip(both) {
        changes.push(change(ChangeKind::Add, below(at), &Value::Null, new));
    }
}

fn change(op: ChangeKind, path: String, old: &Value, new: &Value) -> Change {
    Change { op, path, old: old.clone(), new: new.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::triage::patch;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4_i64).prop_map(Value::from),
            "[a-c~/]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-c~/0]{0,2}", inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_the_one_to_the_other(from in values(), to in values()) {
            let ops: Vec<Op> = diff(&from, &to).iter().map(Op::from).collect();
            prop_assert_eq!(patch::apply(&from, &ops), Ok(to));
        }

        #[test]
        fn what_is_equal_has_no_diff(value in values()) {
            prop_assert_eq!(diff(&value, &value), Vec::new());
        }
    }

    #[test]
    fn a_diff_names_the_smallest_places() {
        let from = json!({ "text": "a", "tools": [1, 2, 3], "gone": true });
        let to = json!({ "tools": [0, 1, 2, 3], "text": "b", "new": {} });
        let shown = serde_json::to_value(diff(&from, &to)).unwrap_or_default();
        let expected = json!([
            { "op": "replace", "path": "/text", "old": "a", "new": "b" },
            { "op": "add", "path": "/tools/0", "old": null, "new": 0 },
            { "op": "remove", "path": "/gone", "old": true, "new": null },
            { "op": "add", "path": "/new", "old": null, "new": {} },
        ]);
        assert_eq!(shown, expected);
    }
}
