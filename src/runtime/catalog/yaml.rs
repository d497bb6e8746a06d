//! What front matter needs from YAML: values that know their place, maps that keep their order, durations.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, MessageFormatter as _, Spanned, UserMessageFormatter};

use super::fault::{At, Fault, Source, one_of, plain_words};
use crate::domain::Object;

/// Reads the front matter of a file; `yaml` is the file's text up to the end of the front matter, so that
/// places are those of the file.
pub(super) fn read<T: DeserializeOwned>(source: &Source, yaml: &str) -> Result<T, Fault> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().filter(|l| *l != Location::UNKNOWN).map_or(At::START, place);
        source.fault(at, words(error))
    })
}

/// A mapping that a client sent.
///
/// # Errors
/// Why it is none.
pub fn object(text: &str) -> Result<Object, String> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| words(error.without_snippet()))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum; its own words serve for the rest")]
fn words(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key `{field}`; expected {}", one_of(expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("unknown value `{variant}`; expected {}", one_of(expected.iter().copied()))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        Error::AliasError { error, .. } => words(error.without_snippet()),
        Error::Budget { .. } => "too many values, or too deep, for front matter".into(),
        other => plain_words(&UserMessageFormatter.format_message(other)),
    }
}

fn place(location: Location) -> At {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    At {
        line: count(location.line()),
        column: count(location.column()),
        width: location.span().len().try_into().unwrap_or(1),
    }
}

/// A value that knows where it was written.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent, bound = "T: DeserializeOwned")]
pub struct Placed<T>(Spanned<T>);

impl<T> Placed<T> {
    /// Where.
    pub fn at(&self) -> At {
        place(self.0.referenced)
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.0.value
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A mapping with free keys, in the order they were written.
#[derive(Debug)]
pub struct Pairs<T>(pub Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Pairs<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Pairs_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": generator.subschema_for::<T>()})
    }
}

/// A length of time as people write it: `500ms`, `30s`, `2m`, `1h 30m`. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
        length.filter(|length| !length.is_zero()).map(Self).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no duration; write it as in `500ms`, `30s` or `2m`"))
        })
    }
}

impl JsonSchema for HumanDuration {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["500ms", "30s", "2m"]})
    }
}
