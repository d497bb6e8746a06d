//! Values of SQL as JSON, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::Statement;
use rusqlite::types::ValueRef;
use serde_json::{Number, Value, json};

/// Puts values where a statement has `?`, in order.
///
/// # Errors
/// Which does not fit, and why.
pub(super) fn bind(statement: &mut Statement<'_>, values: &[Value]) -> Result<(), String> {
    let wanted = statement.parameter_count();
    if wanted != values.len() {
        return Err(format!("the statement takes {wanted} parameters, `params` has {}", values.len()));
    }
    for (at, value) in values.iter().enumerate() {
        let cell = cell(value).ok_or_else(|| {
            format!("`params[{at}]` must be null, a boolean, a number, a text or {{\"base64\": \"…\"}}")
        })?;
        let place = at.saturating_add(1);
        statement.raw_bind_parameter(place, cell).map_err(|error| format!("`params[{at}]`: {error}"))?;
    }
    Ok(())
}

fn cell(value: &Value) -> Option<rusqlite::types::Value> {
    use rusqlite::types::Value as Cell;
    match value {
        Value::Null => Some(Cell::Null),
        Value::Bool(flag) => Some(Cell::Integer((*flag).into())),
        Value::Number(number) => number.as_i64().map(Cell::Integer).or(number.as_f64().map(Cell::Real)),
        Value::String(text) => Some(Cell::Text(text.clone())),
        Value::Object(object) if object.len() == 1 => {
            BASE64.decode(object.get("base64")?.as_str()?).ok().map(Cell::Blob)
        }
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value that was read. What JSON has no number for is its name.
pub(super) fn of_cell(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => {
            Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => json!({"base64": BASE64.encode(bytes)}),
    }
}

/// About how long a value is as JSON, in bytes.
pub(super) fn size(value: &Value) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len().saturating_add(1))
}
