//! Query strings: every parameter that is wrong is named, as in bodies.

use std::future::{Ready, ready};
use std::ops::RangeInclusive;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::api::endpoint::{Parameter, ParameterKind};
use crate::api::problem::Problem;
use crate::domain::Object;
use crate::triage::form::{Fault, Faults, Word};

/// How many items a page has.
const LIMITS: RangeInclusive<usize> = 1..=100;

/// How many where nothing is said.
const DEFAULT_LIMIT: usize = 50;

/// The parameters of a request, and what was found wrong with them.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = serde_urlencoded::from_str(request.query_string()).unwrap_or_default();
        ready(Ok(Self { pairs, faults: Vec::new() }))
    }
}

impl Query {
    /// Of a tool's arguments: what may be repeated may be a list.
    pub fn of_arguments(sent: &Object, parameters: &[Parameter]) -> Self {
        let mut query = Self { pairs: Vec::new(), faults: Vec::new() };
        for Parameter { name, kind, .. } in parameters {
            match (sent.get(*name), kind) {
                (None | Some(Value::Null), _) => {}
                (Some(Value::Array(items)), ParameterKind::Texts | ParameterKind::Choices(_)) => {
                    items.iter().for_each(|item| query.take(name, item));
                }
                (Some(value), _) => query.take(name, value),
            }
        }
        query
    }

    fn take(&mut self, name: &str, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return self.fault(name, "must be a string or a number");
            }
        };
        self.pairs.push((name.to_owned(), text));
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn done<T>(self, read: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(read) } else { Err(Faults(self.faults)) }
    }

    /// Notes that a parameter is wrong.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault { path: name.into(), message: message.into() });
    }

    /// The last of this name; empty is as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// All of this name that are not empty.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let found = self.pairs.iter().filter(|(known, text)| known == name && !text.is_empty());
        found.map(|(_, text)| text.clone()).collect()
    }

    /// A word of a list.
    pub fn word<T: Word>(&mut self, name: &str) -> Option<T> {
        let found = T::of(self.text(name)?);
        if found.is_none() {
            self.fault(name, format!("must be one of {}", T::list()));
        }
        found
    }

    /// Words of a list; the parameter may be repeated.
    pub fn words<T: Word>(&mut self, name: &str) -> Vec<T> {
        let texts = self.texts(name);
        let found: Vec<T> = texts.iter().filter_map(|text| T::of(text)).collect();
        if found.len() < texts.len() {
            self.fault(name, format!("must be one of {}", T::list()));
        }
        found
    }

    /// A whole number.
    pub fn number(&mut self, name: &str) -> Option<u64> {
        let found = self.text(name)?.parse().ok();
        if found.is_none() {
            self.fault(name, "must be an integer of at least 0");
        }
        found
    }

    /// How many items are asked for.
    pub fn limit(&mut self) -> usize {
        let Some(text) = self.text("limit") else { return DEFAULT_LIMIT };
        let found = text.parse().ok().filter(|limit| LIMITS.contains(limit));
        if found.is_none() {
            self.fault("limit", "must be an integer from 1 to 100");
        }
        found.unwrap_or(DEFAULT_LIMIT)
    }

    /// Where the page goes on: a cursor that was given for this very list.
    pub fn cursor<T: DeserializeOwned>(&mut self, list: &impl Serialize) -> Option<T> {
        let text = self.text("cursor")?;
        let found = open(text).filter(|(made_for, _)| *made_for == fingerprint(list));
        if found.is_none() {
            self.fault("cursor", "must be a cursor of this list, with the same filters and order");
        }
        found.map(|(_, place)| place)
    }
}

/// A cursor to a place of a list. `list` is everything the list depends on.
pub fn cursor(list: &impl Serialize, place: &impl Serialize) -> String {
    let sealed = serde_json::to_vec(&(fingerprint(list), place)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(sealed)
}

fn open<T: DeserializeOwned>(text: &str) -> Option<(String, T)> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn fingerprint(list: &impl Serialize) -> String {
    let hash = Sha256::digest(serde_json::to_vec(list).unwrap_or_default());
    URL_SAFE_NO_PAD.encode(hash.get(..9).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query { pairs: serde_urlencoded::from_str(text).unwrap_or_default(), faults: Vec::new() }
    }

    #[test]
    fn a_cursor_is_good_for_the_list_it_was_made_for() {
        let given = cursor(&("created_at", "asc"), &(7, "id"));
        let mut same = query(&format!("cursor={given}"));
        assert_eq!(same.cursor(&("created_at", "asc")), Some((7, "id".to_owned())));
        let mut other = query(&format!("cursor={given}"));
        assert_eq!(other.cursor::<(u64, String)>(&("created_at", "desc")), None);
        assert!(other.done(()).is_err());
        let mut broken = query("cursor=nonsense!");
        assert_eq!(broken.cursor::<(u64, String)>(&0), None);
        assert!(broken.done(()).is_err());
    }

    #[test]
    fn a_page_has_1_to_100_items_and_50_where_nothing_is_said() {
        assert_eq!(query("").limit(), 50);
        assert_eq!(query("limit=100").limit(), 100);
        for wrong in ["0", "101", "-1", "x", "1.5"] {
            let mut query = query(&format!("limit={wrong}"));
            query.limit();
            assert!(query.done(()).is_err(), "{wrong}");
        }
    }
}
