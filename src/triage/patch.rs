//! Edits of a JSON value that name places in it: JSON Patch without copies, and one more for long texts.
//!
//! Whoever edits says what stands there (`test`, `old`), so that an edit meant for another text does nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most edits of one patch.
pub const MAX_OPS: usize = 500;

/// One edit. A path is a JSON Pointer: `""` is the whole, `/tools/0/name` a name, `/tools/-` behind the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Puts a value into a list before that place, or into an object, whatever stands there.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Puts a value in the place of another.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value away.
    Remove {
        /// Which.
        path: String,
    },
    /// Changes nothing, and fails unless the value there is this one.
    Test {
        /// Where.
        path: String,
        /// What it must be.
        value: Value,
    },
    /// Replaces a part of a text that occurs there exactly once.
    ReplaceText {
        /// The text.
        path: String,
        /// What occurs in it.
        old: String,
        /// What is put there.
        new: String,
    },
}

/// Why a patch does not fit a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("edit {index} at `{path}`: {reason}")]
pub struct Misfit {
    /// Which edit, from 0.
    pub index: usize,
    /// The place it names.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// The value after all edits, in order; the one given stays as it is.
///
/// # Errors
/// The first edit that does not fit.
pub fn apply(value: &Value, ops: &[Op]) -> Result<Value, Misfit> {
    if ops.len() > MAX_OPS {
        let reason = format!("a patch has at most {MAX_OPS} edits");
        return Err(Misfit { index: MAX_OPS, path: String::new(), reason });
    }
    let mut patched = value.clone();
    for (index, op) in ops.iter().enumerate() {
        op.apply(&mut patched).map_err(|reason| Misfit { index, path: op.path().to_owned(), reason })?;
    }
    Ok(patched)
}

impl Op {
    /// The place it names.
    pub fn path(&self) -> &str {
        match self {
            Self::Add { path, .. }
            | Self::Replace { path, .. }
            | Self::Remove { path }
            | Self::Test { path, .. }
            | Self::ReplaceText { path, .. } => path,
        }
    }

    fn apply(&self, root: &mut Value) -> Result<(), String> {
        match self {
            Self::Add { path, value } => add(root, path, value.clone()),
            Self::Replace { path, value } => {
                *found(root, path)? = value.clone();
                Ok(())
            }
            Self::Remove { path } => remove(root, path),
            Self::Test { path, value } => {
                if found(root, path)? == value {
                    Ok(())
                } else {
                    Err("another value stands there".into())
                }
            }
            Self::ReplaceText { path, old, new } => replace_text(found(root, path)?, old, new),
        }
    }
}

fn found<'a>(root: &'a mut Value, path: &str) -> Result<&'a mut Value, String> {
    well_formed(path)?;
    root.pointer_mut(path).ok_or_else(|| "there is nothing".into())
}

fn well_formed(path: &str) -> Result<(), String> {
    if path.is_empty() || path.starts_with('/') {
        Ok(())
    } else {
        Err("a path is empty or starts with `/`".into())
    }
}

/// A list or object, and the name or index in it that a path ends with.
enum Home<'a> {
    List(&'a mut Vec<Value>, String),
    Object(&'a mut Map<String, Value>, String),
}

fn home<'a>(root: &'a mut Value, path: &str) -> Result<Home<'a>, String> {
    well_formed(path)?;
    let (above, last) = path.rsplit_once('/').ok_or("the whole value has no place in another")?;
    let last = last.replace("~1", "/").replace("~0", "~");
    match root.pointer_mut(above) {
        Some(Value::Array(list)) => Ok(Home::List(list, last)),
        Some(Value::Object(object)) => Ok(Home::Object(object, last)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Err("what it is to be in is neither a list nor an object".into())
        }
        None => Err("there is nothing it could be in".into()),
    }
}

fn add(root: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *root = value;
        return Ok(());
    }
    match home(root, path)? {
        Home::Object(object, name) => {
            object.insert(name, value);
        }
        Home::List(list, place) => {
            let at = if place == "-" { list.len() } else { index(&place)? };
            if at > list.len() {
                return Err(format!("the list has {} items", list.len()));
            }
            list.insert(at, value);
        }
    }
    Ok(())
}

fn remove(root: &mut Value, path: &str) -> Result<(), String> {
    match home(root, path)? {
        Home::Object(object, name) => {
            object.shift_remove(&name).ok_or("there is nothing")?;
        }
        Home::List(list, place) => {
            let at = index(&place)?;
            if at >= list.len() {
                return Err("there is nothing".into());
            }
            list.remove(at);
        }
    }
    Ok(())
}

/// As JSON Pointer has it: no sign, no leading zero.
fn index(text: &str) -> Result<usize, String> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let index = plain.then(|| text.parse().ok()).flatten();
    index.ok_or_else(|| format!("`{text}` is no place in a list"))
}

fn replace_text(value: &mut Value, old: &str, new: &str) -> Result<(), String> {
    let Value::String(text) = value else { return Err("no text stands there".into()) };
    if old.is_empty() {
        return Err("`old` must not be empty".into());
    }
    let first = text.find(old).ok_or("`old` does not occur in the text")?;
    let next = first + old.chars().next().map_or(1, char::len_utf8);
    if text.get(next..).is_some_and(|rest| rest.contains(old)) {
        return Err("`old` occurs more than once in the text; say more of it".into());
    }
    text.replace_range(first..first + old.len(), new);
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(value: Value, ops: Value) -> Result<Value, String> {
        let ops: Vec<Op> = serde_json::from_value(ops).unwrap();
        apply(&value, &ops).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn each_edit_does_what_json_patch_says() {
        let agent =
            json!({ "instructions": "Be nice.", "tools": [{ "name": "a" }, { "name": "c" }], "a/b": 1 });
        let ops = json!([
            { "op": "test", "path": "/tools/0/name", "value": "a" },
            { "op": "add", "path": "/tools/1", "value": { "name": "b" } },
            { "op": "add", "path": "/tools/-", "value": { "name": "d" } },
            { "op": "remove", "path": "/tools/0" },
            { "op": "replace", "path": "/a~1b", "value": null },
            { "op": "add", "path": "/model", "value": "x/y" },
        ]);
        let after = json!({
            "instructions": "Be nice.",
            "tools": [{ "name": "b" }, { "name": "c" }, { "name": "d" }],
            "a/b": null,
            "model": "x/y",
        });
        assert_eq!(patched(agent, ops), Ok(after));
    }

    #[test]
    fn a_whole_value_can_be_replaced_but_not_removed() {
        assert_eq!(
            patched(json!("old"), json!([{ "op": "replace", "path": "", "value": "new" }])),
            Ok(json!("new"))
        );
        let refused = patched(json!(1), json!([{ "op": "remove", "path": "" }]));
        assert_eq!(refused, Err("edit 0 at ``: the whole value has no place in another".into()));
    }

    #[test]
    fn a_part_of_a_text_is_replaced_only_where_it_occurs_once() {
        let edit = |old: &str| {
            let op = json!([{ "op": "replace_text", "path": "/text", "old": old, "new": "b" }]);
            patched(json!({ "text": "aaxé, é" }), op)
        };
        assert_eq!(edit("x"), Ok(json!({ "text": "aabé, é" })));
        assert_eq!(edit("aa"), Ok(json!({ "text": "bxé, é" })));
        let twice = "edit 0 at `/text`: `old` occurs more than once in the text; say more of it";
        assert_eq!(edit("a"), Err(twice.into()));
        assert_eq!(edit("é"), Err(twice.into()));
        assert_eq!(edit("q"), Err("edit 0 at `/text`: `old` does not occur in the text".into()));
        assert_eq!(edit(""), Err("edit 0 at `/text`: `old` must not be empty".into()));
    }

    #[test]
    fn an_edit_that_does_not_fit_is_named_and_nothing_is_changed() {
        let value = json!({ "list": [1], "text": "a" });
        let refused = |op: Value| {
            let first = json!({ "op": "add", "path": "/new", "value": 1 });
            patched(value.clone(), json!([first, op])).unwrap_err()
        };
        let at = |path: &str, reason: &str| format!("edit 1 at `{path}`: {reason}");
        assert_eq!(
            refused(json!({ "op": "test", "path": "/list/0", "value": 2 })),
            at("/list/0", "another value stands there")
        );
        assert_eq!(refused(json!({ "op": "remove", "path": "/list/1" })), at("/list/1", "there is nothing"));
        assert_eq!(
            refused(json!({ "op": "add", "path": "/list/3", "value": 1 })),
            at("/list/3", "the list has 1 items")
        );
        assert_eq!(
            refused(json!({ "op": "add", "path": "/list/01", "value": 1 })),
            at("/list/01", "`01` is no place in a list")
        );
        assert_eq!(
            refused(json!({ "op": "replace", "path": "/none", "value": 1 })),
            at("/none", "there is nothing")
        );
        assert_eq!(
            refused(json!({ "op": "add", "path": "/text/a", "value": 1 })),
            at("/text/a", "what it is to be in is neither a list nor an object")
        );
        assert_eq!(
            refused(json!({ "op": "add", "path": "list", "value": 1 })),
            at("list", "a path is empty or starts with `/`")
        );
        assert_eq!(value, json!({ "list": [1], "text": "a" }));
    }

    #[test]
    fn an_edit_without_its_value_is_none() {
        assert!(serde_json::from_value::<Op>(json!({ "op": "add", "path": "/a" })).is_err());
        assert!(serde_json::from_value::<Op>(json!({ "op": "move", "path": "/a", "from": "/b" })).is_err());
    }
}
