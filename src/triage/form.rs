//! Fields that were sent, by a client or by a model, each read as what it should be; what is wrong is collected.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::Value;
use uuid::Uuid;

use crate::domain::Object;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: names and numbers, with dots between them.
    pub path: String,
    /// Why, as the end of a sentence.
    pub message: String,
}

/// Everything that is wrong; never nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { path, message }) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{path}: {message}")?;
        }
        Ok(())
    }
}

/// A word of a fixed list.
pub trait Word: Copy + 'static {
    /// All of them, in the order they are listed in.
    const ALL: &'static [(Self, &'static str)];

    /// The one that is written so.
    fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(value, _)| *value)
    }

    /// `a, b, c`.
    fn list() -> String {
        let words: Vec<&str> = Self::ALL.iter().map(|(_, word)| *word).collect();
        words.join(", ")
    }
}

/// An enum whose values are words: `Severity { Low = "low" }`.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$about])* #[serde(rename = $word)] $variant),+ }

        impl $crate::triage::form::Word for $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $word)),+];
        }

        impl $name {
            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

/// What may be done about a field that says nothing, or says `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// It was not sent.
    Absent,
    /// It was sent as `null`.
    Null,
    /// It was sent.
    Value(T),
}

/// Named values, and what was found wrong with them.
#[derive(Debug)]
pub struct Form<'a> {
    fields: &'a Object,
    within: String,
    faults: Vec<Fault>,
}

impl<'a> Form<'a> {
    /// Of a JSON object.
    pub fn of(fields: &'a Object) -> Self {
        Self { fields, within: String::new(), faults: Vec::new() }
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn done<T>(self, read: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(read) } else { Err(Faults(self.faults)) }
    }

    /// Notes that a field is wrong.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        let path = format!("{}{name}", self.within);
        self.faults.push(Fault { path, message: message.into() });
    }

    /// As it was sent; `null` and absent are the same.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Whether it was sent, and if as `null`.
    pub fn given<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Given<T> {
        match self.fields.get(name) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(_) => read(self).map_or(Given::Absent, Given::Value),
        }
    }

    /// What must be there.
    pub fn required<T: Default>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> T {
        if self.value(name).is_none() {
            self.fault(name, "required");
            return T::default();
        }
        read(self).unwrap_or_default()
    }

    /// Any text.
    pub fn string(&mut self, name: &str) -> Option<&'a str> {
        let text = self.value(name)?.as_str();
        if text.is_none() {
            self.fault(name, "must be a string");
        }
        text
    }

    /// A text of so many characters, as it was sent.
    pub fn text(&mut self, name: &str, length: RangeInclusive<usize>) -> Option<String> {
        let text = self.string(name)?;
        self.fits(name, text, length).then(|| text.to_owned())
    }

    /// A text of so many characters, without blanks around it.
    pub fn trimmed(&mut self, name: &str, length: RangeInclusive<usize>) -> Option<String> {
        let text = self.string(name)?.trim();
        self.fits(name, text, length).then(|| text.to_owned())
    }

    fn fits(&mut self, name: &str, text: &str, length: RangeInclusive<usize>) -> bool {
        let fits = length.contains(&text.chars().count());
        if !fits {
            self.fault(name, bounds(&length));
        }
        fits
    }

    /// One of the words of a list.
    pub fn word<T: Word>(&mut self, name: &str) -> Option<T> {
        let found = self.value(name)?.as_str().and_then(T::of);
        if found.is_none() {
            self.fault(name, format!("must be one of {}", T::list()));
        }
        found
    }

    /// A UUID.
    pub fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let found = self.value(name)?.as_str().and_then(uuid);
        if found.is_none() {
            self.fault(name, "must be a UUID");
        }
        found
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let found = self.value(name)?.as_u64().filter(|number| bounds.contains(number));
        if found.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            let message = match *most {
                u64::MAX => format!("must be an integer of at least {least}"),
                most => format!("must be an integer from {least} to {most}"),
            };
            self.fault(name, message);
        }
        found
    }

    /// A list of at most so many; `read` is given each one's path.
    pub fn list<T>(
        &mut self,
        name: &str,
        most: usize,
        mut read: impl FnMut(&mut Self, &str, &'a Value) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.fault(name, "must be an array");
            return Vec::new();
        };
        if items.len() > most {
            self.fault(name, format!("must hold at most {most}"));
            return Vec::new();
        }
        let items = items.iter().enumerate();
        items.filter_map(|(index, item)| read(self, &format!("{name}.{index}"), item)).collect()
    }

    /// An object within, read as a form of its own.
    pub fn within<T>(
        &mut self,
        path: &str,
        value: &'a Value,
        read: impl FnOnce(&mut Form<'a>) -> T,
    ) -> Option<T> {
        let Some(fields) = value.as_object() else {
            self.fault(path, "must be an object");
            return None;
        };
        let mut inner = Form { fields, within: format!("{}{path}.", self.within), faults: Vec::new() };
        let found = read(&mut inner);
        let sound = inner.faults.is_empty();
        self.faults.extend(inner.faults);
        sound.then_some(found)
    }
}

/// A UUID as ids are written here: with hyphens.
pub fn uuid(text: &str) -> Option<Uuid> {
    let length = uuid::fmt::Hyphenated::LENGTH;
    (text.len() == length).then(|| text.parse().ok()).flatten()
}

fn bounds(length: &RangeInclusive<usize>) -> String {
    match (length.start(), length.end()) {
        (0, most) => format!("must be at most {most} characters"),
        (least, most) => format!("must be {least}-{most} characters"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::triage::evidence::ResourceType as Sort;

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let sent =
            json!({"title": "  ", "sort": "ugly", "links": [{"id": "x"}, 1, {}], "note": 7, "index": -1});
        let mut form = Form::of(sent.as_object().unwrap());
        form.required("title", |form| form.trimmed("title", 1..=200));
        form.required("name", |form| form.text("name", 1..=64));
        form.word::<Sort>("sort");
        form.text("note", 0..=10);
        form.number("index", 0..=u64::MAX);
        form.list("links", 100, |form, path, item| {
            form.within(path, item, |link| link.required("id", |link| link.text("id", 2..=9)))
        });
        let said = form.done(()).unwrap_err().to_string();
        assert_eq!(
            said,
            "title: must be 1-200 characters; name: required; sort: must be one of call, sms_conversation, file; \
             note: must be a string; index: must be an integer of at least 0; \
             links.0.id: must be 2-9 characters; links.1: must be an object; links.2.id: required"
        );
    }

    #[test]
    fn lengths_count_characters_and_not_bytes() {
        let sent = json!({"a": "äöü", "b": " äöü "});
        let mut form = Form::of(sent.as_object().unwrap());
        assert_eq!(form.text("a", 1..=3), Some("äöü".into()));
        assert_eq!(form.trimmed("b", 1..=3), Some("äöü".into()));
        assert!(form.done(()).is_ok());
    }

    #[test]
    fn null_can_be_told_from_absent() {
        let sent = json!({"a": null, "b": "call"});
        let mut form = Form::of(sent.as_object().unwrap());
        assert_eq!(form.given("a", |form| form.word::<Sort>("a")), Given::Null);
        assert_eq!(form.given("b", |form| form.word::<Sort>("b")), Given::Value(Sort::Call));
        assert_eq!(form.given("c", |form| form.word::<Sort>("c")), Given::Absent);
    }
}
