//! What is kept beside the log: small records with tags to find them by.

use std::fmt;

use bytes::Bytes;

use super::id::Owner;

/// What sort of record; the name is part of the key, so it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKind(pub &'static str);

/// Where a record is: owner, kind, id. A record of another owner cannot even be named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub owner: Owner,
    /// What.
    pub kind: RecordKind,
    /// Which.
    pub id: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.owner, self.kind.0, self.id)
    }
}

/// What a record can be listed by. Names and values are ours or were checked; sorted, no name twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags {
    /// Where it stands in every list: numbers sort, equal ones by id.
    pub sort: u64,
    /// Listed under its kind, whatever its tags. What nobody lists costs nothing to keep out.
    pub listed: bool,
    /// Listed under each of these.
    pub names: Vec<Tag>,
}

/// A name and a value, as in `user=u1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// What about it.
    pub name: &'static str,
    /// Which.
    pub value: String,
}

impl Tag {
    /// A tag.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into() }
    }
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where.
    pub key: Key,
    /// Counts its writes, from 1.
    pub version: u64,
    /// Its place in lists.
    pub sort: u64,
    /// Opaque to the store: JSON, by convention.
    pub body: Bytes,
}

/// A list: one owner, one kind, perhaps one tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Whose.
    pub owner: Owner,
    /// What.
    pub kind: RecordKind,
    /// Only those that carry it.
    pub tag: Option<Tag>,
    /// Largest sort number first.
    pub newest_first: bool,
    /// Goes on after this place.
    pub after: Option<Place>,
    /// Passes over as many first; costs a step each, reads none of them.
    pub skip: usize,
    /// At most as many records.
    pub limit: usize,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The sort number.
    pub sort: u64,
    /// The id.
    pub id: String,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In order; those that could not be read are left out.
    pub records: Vec<Record>,
    /// How many the whole list has, however long it is; counted, not walked.
    pub total: u64,
    /// How many of this page could not be read; each was logged.
    pub damaged: usize,
}
