//! Flags: marks on moments of attached calls.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::of_issue;
use super::form::{Faults, Form};
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;

/// A flag as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    /// Names it.
    pub id: Uuid,
    /// Of which issue.
    pub issue: Uuid,
    /// What it says.
    #[serde(flatten)]
    pub mark: Mark,
    /// Who raised it.
    pub author: String,
    /// When.
    pub created: Timestamp,
}

/// What a flag says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The call it is on.
    pub call_id: String,
    /// In `lower_snake_case`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Up to 4000 characters.
    pub note: String,
    /// The node of the conversation's plan.
    pub node_id: Option<String>,
    /// What that node was called.
    pub node_name: Option<String>,
    /// The turn of the transcript, from 0.
    pub message_index: Option<u64>,
    /// What was said then.
    pub message_text: Option<String>,
}

impl Document for Flag {
    const KIND: RecordKind = RecordKind("triage_flag");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: vec![of_issue(self.issue)] }
    }
}

impl Mark {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sent: &Object) -> Result<Self, Faults> {
        let mut form = Form::of(sent);
        let mark = Self {
            call_id: form.required("call_id", |form| form.text("call_id", 1..=256)),
            kind: form.required("type", |form| {
                let kind = snake_case(form.string("type")?);
                let fits = (1..=64).contains(&kind.chars().count());
                if !fits {
                    form.fault("type", "must be 1-64 characters of letters and digits");
                }
                fits.then_some(kind)
            }),
            note: form.text("note", 1..=4000).unwrap_or_default(),
            node_id: form.text("node_id", 0..=usize::MAX),
            node_name: form.text("node_name", 0..=usize::MAX),
            message_index: form.number("message_index", 0..=u64::MAX),
            message_text: form.text("message_text", 0..=usize::MAX),
        };
        form.done(mark)
    }
}

/// `Missed Handoff`, `missed-handoff` and `missedHandoff` are all `missed_handoff`.
pub fn snake_case(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut after_lower = false;
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            if after_lower && letter.is_uppercase() {
                words.push('_');
            }
            words.extend(letter.to_lowercase());
        } else if !words.ends_with('_') {
            words.push('_');
        }
        after_lower = letter.is_lowercase();
    }
    words.trim_matches('_').to_owned()
}

/// A type of flags, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagType {
    /// In `lower_snake_case`.
    pub name: String,
    /// The newest note of any.
    pub description: String,
    /// Flags that there are.
    pub usage: u64,
    /// When the newest was raised.
    pub last_used: Timestamp,
}

/// The flags of an owner by their types, oldest first, each with its note.
#[derive(Default)]
pub(super) struct FlagTypes(HashMap<String, BTreeMap<(Timestamp, Uuid), Box<str>>>);

impl FlagTypes {
    pub(super) fn put(&mut self, flag: &Flag) {
        let flags = self.0.entry(flag.mark.kind.clone()).or_default();
        flags.insert((flag.created, flag.id), flag.mark.note.as_str().into());
    }

    pub(super) fn remove(&mut self, flag: &Flag) {
        let Some(flags) = self.0.get_mut(&flag.mark.kind) else { return };
        flags.remove(&(flag.created, flag.id));
        if flags.is_empty() {
            self.0.remove(&flag.mark.kind);
        }
    }

    /// All of them, the most used first.
    pub(super) fn list(&self) -> Vec<FlagType> {
        let mut types: Vec<FlagType> = self.0.iter().map(|(name, flags)| FlagType::of(name, flags)).collect();
        types.sort_by(|one, other| one.place().cmp(&other.place()));
        types
    }
}

impl FlagType {
    fn of(name: &str, flags: &BTreeMap<(Timestamp, Uuid), Box<str>>) -> Self {
        let note = flags.values().rev().find(|note| !note.is_empty());
        Self {
            name: name.into(),
            description: note.map(|note| note.to_string()).unwrap_or_default(),
            usage: u64::try_from(flags.len()).unwrap_or(u64::MAX),
            last_used: flags.keys().next_back().map(|(at, _)| *at).unwrap_or_default(),
        }
    }

    /// Its place in the list.
    pub fn place(&self) -> (Reverse<u64>, &str) {
        (Reverse(self.usage), &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_flags_are_written_in_one_way() {
        for text in ["Missed Handoff", "missed-handoff", "missedHandoff", "  missed__handoff! "] {
            assert_eq!(snake_case(text), "missed_handoff", "{text}");
        }
        assert_eq!(snake_case("HTTPError 500"), "httperror_500");
        assert_eq!(snake_case("Übergabe fehlt"), "übergabe_fehlt");
        assert_eq!(snake_case("--"), "");
    }
}
