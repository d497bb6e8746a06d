//! How keys sort: a byte of space, then escaped texts and big-endian integers.
//!
//! A text ends with `0x00 0x01`, and a `0x00` inside it is written `0x00 0xFF`: no text can reach into the next
//! part of a key, and texts sort as they did. The names of the spaces and the order of the parts are the format.

use std::ops::Range;

use crate::domain::document::{Key, RecordKind, Tag};
use crate::domain::fact::Seq;
use crate::domain::id::Owner;
use crate::store::Log;

/// Says which format the rest has.
pub(super) const FORMAT: &[u8] = &[0x01];
/// Which file of the journal the engine has last.
pub(super) const JOURNAL: &[u8] = &[0x02];
/// The space of records' headers.
pub(super) const RECORD: u8 = 0x10;
/// The space of parts of long bodies.
pub(super) const RECORD_PART: u8 = 0x11;
/// The space of entries of logs.
pub(super) const ENTRY: u8 = 0x20;
/// The space of logs' ends.
pub(super) const HEAD: u8 = 0x21;
const FORGOTTEN: u8 = 0x22;
/// The space of entries of lists.
pub(super) const INDEX: u8 = 0x30;
/// The space of lists' lengths.
pub(super) const COUNT: u8 = 0x31;

const EVERY: u8 = 0x01;
const TAGGED: u8 = 0x02;

/// Which list of a kind: all of it, or those with a tag. A finished part of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List(pub(super) Vec<u8>);

impl List {
    /// All records of a kind.
    pub(super) fn every() -> Self {
        Self(vec![EVERY])
    }

    /// Those that carry the tag.
    pub(super) fn tagged(tag: &Tag) -> Self {
        Self::of(tag.name, &tag.value)
    }
}

impl List {
    /// Name and value of its tag, if it is a list of those with a tag.
    pub(super) fn tag(&self) -> Option<(String, String)> {
        let mut rest = self.0.strip_prefix(&[TAGGED])?;
        let tag = (take_text(&mut rest)?, take_text(&mut rest)?);
        rest.is_empty().then_some(tag)
    }

    /// Those that carry a tag of this name and value.
    pub(super) fn of(name: &str, value: &str) -> Self {
        let mut list = vec![TAGGED];
        push(&mut list, name.as_bytes());
        push(&mut list, value.as_bytes());
        Self(list)
    }

    /// Takes a list off the front of a key.
    pub(super) fn take(key: &mut &[u8]) -> Option<Self> {
        let whole = *key;
        let (first, rest) = key.split_first()?;
        *key = rest;
        if *first == TAGGED {
            take_text(key)?;
            take_text(key)?;
        } else if *first != EVERY {
            return None;
        }
        whole.get(..whole.len() - key.len()).map(|list| Self(list.to_vec()))
    }
}

/// Takes a text off the front of a key.
pub(super) fn take_text(key: &mut &[u8]) -> Option<String> {
    let mut text = Vec::new();
    let mut bytes = key.iter();
    loop {
        match *bytes.next()? {
            0x00 => match *bytes.next()? {
                0xFF => text.push(0x00),
                0x01 => break,
                _ => return None,
            },
            byte => text.push(byte),
        }
    }
    *key = bytes.as_slice();
    String::from_utf8(text).ok()
}

/// Where a record's header is.
pub(super) fn record(key: &Key) -> Vec<u8> {
    record_in(RECORD, key)
}

/// Where a part of a long body is. The version keeps parts of two writes apart.
pub(super) fn record_part(key: &Key, version: u64, part: u32) -> Vec<u8> {
    let mut at = record_in(RECORD_PART, key);
    at.extend(version.to_be_bytes());
    at.extend(part.to_be_bytes());
    at
}

/// What every entry of a list starts with; the sort number and the id follow.
pub(super) fn index(owner: &Owner, kind: RecordKind, list: &List) -> Vec<u8> {
    in_list(INDEX, owner, kind, list)
}

/// An entry of a list.
pub(super) fn index_entry(index: &[u8], sort: u64, id: &str) -> Vec<u8> {
    let mut at = index.to_vec();
    at.extend(sort.to_be_bytes());
    push(&mut at, id.as_bytes());
    at
}

/// The id in an entry of a list.
pub(super) fn id_in(index: &[u8], entry: &[u8]) -> Option<String> {
    let escaped = entry.strip_prefix(index)?.get(8..)?.strip_suffix(&[0x00, 0x01])?;
    let mut id = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        if *byte == 0x00 && bytes.next() != Some(&0xFF) {
            return None;
        }
        id.push(*byte);
    }
    String::from_utf8(id).ok()
}

/// How long a list is.
pub(super) fn count(owner: &Owner, kind: RecordKind, list: &List) -> Vec<u8> {
    in_list(COUNT, owner, kind, list)
}

/// What every entry of a log starts with.
pub(super) fn entries(log: &Log) -> Vec<u8> {
    in_log(ENTRY, log)
}

/// A part of an entry; the first is 0.
pub(super) fn entry(log: &Log, seq: Seq, part: u32) -> Vec<u8> {
    let mut at = entries(log);
    at.extend(seq.to_be_bytes());
    at.extend(part.to_be_bytes());
    at
}

/// The number and the part in the key of an entry.
pub(super) fn seq_in(entries: &[u8], entry: &[u8]) -> Option<(Seq, u32)> {
    let (seq, part) = entry.strip_prefix(entries)?.split_first_chunk::<8>()?;
    Some((Seq::from_be_bytes(*seq), u32::from_be_bytes(part.try_into().ok()?)))
}

/// The last durable number of a log.
pub(super) fn head(log: &Log) -> Vec<u8> {
    in_log(HEAD, log)
}

/// A log that is being taken away.
pub(super) fn forgotten(log: &Log) -> Vec<u8> {
    in_log(FORGOTTEN, log)
}

/// All logs that are being taken away.
pub(super) fn all_forgotten() -> Range<Vec<u8>> {
    under(&[FORGOTTEN])
}

/// All keys that start with `prefix`.
pub(super) fn under(prefix: &[u8]) -> Range<Vec<u8>> {
    prefix.to_vec()..after(prefix)
}

/// The first key behind all that start with `prefix`.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

fn record_in(space: u8, key: &Key) -> Vec<u8> {
    let mut at = vec![space];
    push(&mut at, key.owner.as_str().as_bytes());
    push(&mut at, key.kind.0.as_bytes());
    push(&mut at, key.id.as_bytes());
    at
}

fn in_list(space: u8, owner: &Owner, kind: RecordKind, list: &List) -> Vec<u8> {
    let mut at = vec![space];
    push(&mut at, owner.as_str().as_bytes());
    push(&mut at, kind.0.as_bytes());
    at.extend(&list.0);
    at
}

fn in_log(space: u8, log: &Log) -> Vec<u8> {
    let mut at = vec![space];
    push(&mut at, log.owner.as_str().as_bytes());
    push(&mut at, log.session.as_str().as_bytes());
    at
}

fn push(key: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        key.push(*byte);
        if *byte == 0x00 {
            key.push(0xFF);
        }
    }
    key.extend([0x00, 0x01]);
}
