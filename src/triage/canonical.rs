//! One spelling for each JSON value, so that equal values have equal hashes.

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// The SHA-256 of a value's canonical spelling, in hexadecimal.
pub fn hash(value: &Value) -> String {
    hex(&Sha256::digest(canonical(value)))
}

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value as RFC 8785 spells it: no blanks, names sorted, numbers as JavaScript writes them. Whole numbers keep
/// all their digits, though JavaScript would round those over 2^53.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) => text.push_str(&spelled(number)),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(at, text);
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (at, (name, field)) in fields.into_iter().enumerate() {
                separate(at, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(field, text);
            }
            text.push('}');
        }
    }
}

fn separate(at: usize, text: &mut String) {
    if at > 0 {
        text.push(',');
    }
}

fn spelled(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_spelled(float),
        _ => number.to_string(),
    }
}

fn float_spelled(float: f64) -> String {
    let size = float.abs();
    if size == 0.0 {
        return "0".into();
    }
    if (1e-6..1e21).contains(&size) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    if size >= 1.0 { text.replace('e', "e+") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_and_blanks_left_out() {
        let value =
            json!({ "b": [1, true, null], "a": { "z": "é\n\"", "y": {} }, "\u{fb33}": 1, "\u{1f600}": 2 });
        let spelled =
            "{\"a\":{\"y\":{},\"z\":\"é\\n\\\"\"},\"b\":[1,true,null],\"\u{1f600}\":2,\"\u{fb33}\":1}";
        assert_eq!(canonical(&value), spelled);
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        let numbers = json!([1.0, -0.0, 4.50, 2e-3, 1e21, 1e-7, 1.5e300, 18_446_744_073_709_551_615_u64, -3]);
        assert_eq!(canonical(&numbers), "[1,0,4.5,0.002,1e+21,1e-7,1.5e+300,18446744073709551615,-3]");
    }

    #[test]
    fn equal_values_have_equal_hashes_however_they_are_ordered() {
        let (one, other) = (json!({ "a": 1, "b": 2 }), json!({ "b": 2.0, "a": 1 }));
        assert_eq!(hash(&one), hash(&other));
        assert_eq!(hash(&json!({})), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_ne!(hash(&json!({ "a": "1" })), hash(&json!({ "a": 1 })));
    }
}
