//! The exported file: JSON Lines, which any program can read and a person too.
//!
//! The first line says what the file is. Then comes each record, then each entry of each log, in the order of
//! their names and numbers; no time and no name of an engine, so equal stores give equal files. The last line has
//! the counts and a checksum over all before it, so that a file that was cut or altered is noticed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Counts;
use crate::domain::id::Owner;

/// What we write, and the only one we read.
pub(super) const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line<'a> {
    /// The first.
    Export(Begin<'a>),
    /// A record.
    Record(RecordLine<'a>),
    /// An entry of a log.
    Entry(EntryLine<'a>),
    /// The last.
    End(End<'a>),
}

/// What the file is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin<'a> {
    /// Always [`Begin::OF`].
    pub(super) of: Cow<'a, str>,
    /// Of the lines.
    pub(super) format: u32,
    /// The version of the program that wrote it, for people.
    pub(super) program: Cow<'a, str>,
}

impl Begin<'_> {
    /// What is exported.
    pub(super) const OF: &'static str = "runhold store";
}

/// A record, with everything that is stored of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordLine<'a> {
    pub(super) owner: Cow<'a, str>,
    pub(super) kind: Cow<'a, str>,
    pub(super) id: Cow<'a, str>,
    pub(super) version: u64,
    pub(super) sort: u64,
    /// Whether it stands in the list of its kind.
    pub(super) listed: bool,
    /// Names and values.
    pub(super) tags: Vec<(String, String)>,
    pub(super) body: Body,
}

/// A body that is JSON is written as it is, character for character; another one as base64.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Body {
    Json(Box<RawValue>),
    Base64(String),
}

impl Body {
    /// The body as a line can hold it.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let one_line = std::str::from_utf8(bytes).ok().filter(|text| !text.contains(['\n', '\r']));
        let json = one_line.and_then(|text| RawValue::from_string(text.to_owned()).ok());
        match json.filter(|json| json.get().len() == bytes.len()) {
            Some(json) => Self::Json(json),
            None => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes it stands for.
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Json(json) => Some(json.get().as_bytes().to_vec()),
            Self::Base64(text) => STANDARD.decode(text).ok(),
        }
    }
}

/// An entry of a log, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryLine<'a> {
    pub(super) owner: Cow<'a, str>,
    pub(super) session: Cow<'a, str>,
    pub(super) entry: Cow<'a, RawValue>,
}

/// How the file ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End<'a> {
    pub(super) counts: Counts,
    /// How many things could not be read when it was written, and are not in it.
    pub(super) damaged: u64,
    /// SHA-256 of all lines before, in hexadecimal digits.
    pub(super) sha256: Cow<'a, str>,
}

/// An owner as a key or a file names it: the server's own records are there too.
pub(super) fn owner(name: &str) -> Option<Owner> {
    let server = Owner::server();
    if name == server.as_str() { Some(server) } else { name.parse().ok() }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
