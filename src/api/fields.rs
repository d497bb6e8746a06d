//! Named fields of a body, form or query, each read as the type it should have.

use std::str::FromStr;

use actix_web::HttpRequest;
use serde_json::{Value, json};

use super::guard;
use super::problem::{Problem, Violation};
use crate::domain::Object;
use crate::domain::id::BadId;

/// A place of the address, as it was meant: escapes the router leaves alone are decoded too.
pub fn path_text(request: &HttpRequest, name: &str) -> String {
    let text = request.match_info().get(name).unwrap_or_default();
    guard::decoded(text).unwrap_or_else(|_| text.to_owned())
}

/// An id in the address; `None` if it is none, and so names nothing.
pub fn path_id<T: FromStr>(request: &HttpRequest, name: &str) -> Option<T> {
    path_text(request, name).parse().ok()
}

/// Where fields come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// JSON or a form.
    Body,
    /// The query string.
    Query,
}

/// A request type that can be read from fields; what is wrong is noted in them.
pub trait FromFields: Sized {
    /// Reads it. Where a field is wrong the value does not matter: it is thrown away.
    fn from_fields(fields: &mut Fields) -> Self;
}

/// Named values, and what was found wrong with them. `null` and absent are the same.
#[derive(Debug)]
pub struct Fields {
    place: Place,
    values: Vec<(String, Value)>,
    violations: Vec<Violation>,
}

impl Fields {
    /// Of a JSON object.
    pub fn of_object(place: Place, object: Object) -> Self {
        Self { place, values: object.into_iter().collect(), violations: Vec::new() }
    }

    /// Of a form or query, where every value is text and names may repeat.
    pub fn of_pairs(place: Place, pairs: Vec<(String, String)>) -> Self {
        let values = pairs.into_iter().map(|(name, text)| (name, Value::String(text))).collect();
        Self { place, values, violations: Vec::new() }
    }

    /// Reads a whole request type.
    ///
    /// # Errors
    /// 422 with everything that is wrong.
    pub fn read<T: FromFields>(mut self) -> Result<T, Problem> {
        let value = T::from_fields(&mut self);
        if self.violations.is_empty() { Ok(value) } else { Err(Problem::invalid(self.violations)) }
    }

    /// Notes that a field is wrong.
    pub fn violation(&mut self, name: &str, kind: &'static str, message: impl Into<String>) {
        let place = match self.place {
            Place::Body => "body",
            Place::Query => "query",
        };
        let input = self.value(name).unwrap_or(Value::Null);
        let place = vec![place.into(), name.into()];
        self.violations.push(Violation { kind, place, message: message.into(), input, context: None });
    }

    /// As it was sent; the last one of several.
    pub fn value(&self, name: &str) -> Option<Value> {
        let (_, value) = self.values.iter().rev().find(|(known, _)| known == name)?;
        (!value.is_null()).then(|| value.clone())
    }

    /// Text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.violation(name, "string_type", "Input should be a valid string");
                None
            }
        }
    }

    /// Text that must be there; may be empty.
    pub fn required_text(&mut self, name: &str) -> String {
        if self.value(name).is_none() {
            self.missing(name);
        }
        self.text(name).unwrap_or_default()
    }

    /// Notes that a field is missing.
    pub fn missing(&mut self, name: &str) {
        self.violation(name, "missing", "Field required");
    }

    /// All texts of a name, in order: repeated in a form or query, a list in JSON.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        let mut texts = Vec::new();
        let mut wrong = false;
        for value in self.values.iter().filter(|(known, _)| known == name).map(|(_, value)| value) {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for item in items {
                match item.as_str() {
                    Some(text) => texts.push(text.to_owned()),
                    None => wrong |= !item.is_null(),
                }
            }
        }
        if wrong {
            self.violation(name, "string_type", "Input should be a valid string");
        }
        texts
    }

    /// A list that must be there and hold something; `read` gives an item or says what is wrong with it.
    pub fn required_list<T>(
        &mut self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, (&'static str, String)>,
    ) -> Vec<T> {
        let items = match self.value(name) {
            Some(Value::Array(items)) => items,
            None => {
                self.missing(name);
                return Vec::new();
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                self.violation(name, "list_type", "Input should be a valid list");
                return Vec::new();
            }
        };
        if items.is_empty() {
            self.violation(name, "too_short", "List should have at least 1 item after validation, not 0");
            self.context(json!({ "field_type": "List", "min_length": 1, "actual_length": 0 }));
        }
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match read(&item) {
                Ok(value) => list.push(value),
                Err((kind, message)) => {
                    self.violation(name, kind, message);
                    if let Some(last) = self.violations.last_mut() {
                        last.place.push(index.into());
                        last.input = item;
                    }
                }
            }
        }
        list
    }

    /// An id; empty text counts as absent.
    pub fn id<T: FromStr<Err = BadId>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name).filter(|text| !text.is_empty())?;
        match text.parse() {
            Ok(id) => Some(id),
            Err(reason) => {
                self.violation(name, "value_error", format!("Value error, {reason}"));
                None
            }
        }
    }

    /// A JSON object.
    pub fn object(&mut self, name: &str) -> Option<Object> {
        match self.value(name)? {
            Value::Object(object) => Some(object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::String(_) => {
                self.violation(name, "dict_type", "Input should be a valid dictionary");
                None
            }
        }
    }

    /// A truth value, as JSON or in any of the spellings forms use.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let flag = match self.value(name)? {
            Value::Bool(flag) => Some(flag),
            Value::String(text) => spelled(&text),
            Value::Number(number) => number.as_u64().and_then(|number| spelled(&number.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        if flag.is_none() {
            let message = "Input should be a valid boolean, unable to interpret input";
            self.violation(name, "bool_parsing", message);
        }
        flag
    }

    /// A whole number of at least `least`.
    pub fn number(&mut self, name: &str, least: u64) -> Option<u64> {
        let number = match self.value(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let Some(number) = number else {
            let message = "Input should be a valid integer, unable to parse string as an integer";
            self.violation(name, "int_parsing", message);
            return None;
        };
        match u64::try_from(number) {
            Ok(number) if number >= least => Some(number),
            Ok(_) | Err(_) => {
                let message = format!("Input should be greater than or equal to {least}");
                self.violation(name, "greater_than_equal", message);
                self.context(json!({ "ge": least }));
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.value(name)?;
        let choice = choices.iter().find(|(word, _)| text.as_str() == Some(word)).map(|(_, choice)| *choice);
        if choice.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("'{word}'")).collect();
            let expected = listed(&words);
            self.violation(name, "enum", format!("Input should be {expected}"));
            self.context(json!({ "expected": expected }));
        }
        choice
    }

    fn context(&mut self, context: Value) {
        if let (Some(last), Value::Object(context)) = (self.violations.last_mut(), context) {
            last.context = Some(context);
        }
    }
}

/// `'a', 'b' or 'c'`.
fn listed(words: &[String]) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
        None => String::new(),
    }
}

fn spelled(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" | "t" | "y" => Some(true),
        "false" | "0" | "off" | "no" | "f" | "n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Wish {
        text: Option<String>,
        flag: Option<bool>,
        number: Option<u64>,
        choice: Option<char>,
    }

    impl FromFields for Wish {
        fn from_fields(fields: &mut Fields) -> Self {
            Self {
                text: fields.text("text"),
                flag: fields.flag("flag"),
                number: fields.number("number", 1),
                choice: fields.choice("choice", &[("a", 'a'), ("b", 'b'), ("c", 'c')]),
            }
        }
    }

    fn query(pairs: &[(&str, &str)]) -> Result<Wish, Problem> {
        let pairs = pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        Fields::of_pairs(Place::Query, pairs).read()
    }

    fn json(object: Value) -> Result<Wish, Problem> {
        Fields::of_object(Place::Body, object.as_object().unwrap().clone()).read()
    }

    #[test]
    fn forms_and_json_are_read_alike() {
        let wish = Wish { text: Some("x".into()), flag: Some(true), number: Some(2), choice: Some('b') };
        assert_eq!(query(&[("text", "x"), ("flag", "Yes"), ("number", "2"), ("choice", "b")]).unwrap(), wish);
        assert_eq!(json(json!({ "text": "x", "flag": true, "number": 2, "choice": "b" })).unwrap(), wish);
    }

    #[test]
    fn null_and_absent_are_the_same_and_unknown_names_are_passed_over() {
        let none = Wish { text: None, flag: None, number: None, choice: None };
        assert_eq!(json(json!({ "text": null, "flag": null, "number": null, "other": 1 })).unwrap(), none);
        assert_eq!(query(&[]).unwrap(), none);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let problem = query(&[("flag", "maybe"), ("number", "0"), ("choice", "z")]).unwrap_err();
        let found: Vec<_> =
            problem.violations.iter().map(|wrong| (wrong.kind, wrong.message.as_str())).collect();
        assert_eq!(
            found,
            [
                ("bool_parsing", "Input should be a valid boolean, unable to interpret input"),
                ("greater_than_equal", "Input should be greater than or equal to 1"),
                ("enum", "Input should be 'a', 'b' or 'c'"),
            ]
        );
        assert_eq!(problem.violations[0].place, [json!("query"), json!("flag")]);
        assert_eq!(problem.violations[0].input, json!("maybe"));
    }

    #[test]
    fn flags_have_many_spellings() {
        let flag = |text| query(&[("flag", text)]).unwrap().flag;
        for text in ["true", "1", "ON", "yes", "t", "Y"] {
            assert_eq!(flag(text), Some(true), "{text}");
        }
        for text in ["False", "0", "off", "no", "f", "N"] {
            assert_eq!(flag(text), Some(false), "{text}");
        }
    }
}
