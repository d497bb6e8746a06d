//! Small records beside the logs: a header with the body or the number of its parts, entries of the lists it
//! stands in, and how long each list is.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::{Buf, BufMut, Bytes};

use super::keys::{self, List};
use super::kv::{Direction, Kv};
use super::overlay::Overlay;
use super::sealed::{self, PART_BYTES};
use crate::domain::document::{Key, Page, Query, Record};
use crate::store::{Expect, Put, StoreError};

/// Longest id, and longest sum of a record's tags, in bytes: keys and headers have to stay small.
const MAX_NAMES_BYTES: usize = 1024;

/// Bytes of a header without lists and body.
const HEADER_BYTES: usize = 30;

/// What is stored under a record's key.
pub(super) struct Header {
    pub(super) version: u64,
    pub(super) sort: u64,
    /// The lists it stands in.
    pub(super) lists: Vec<List>,
    /// 0: the body follows the header.
    pub(super) parts: u32,
    len: u32,
    checksum: u32,
    inline: Bytes,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 64 + self.inline.len());
        out.put_u64(self.version);
        out.put_u64(self.sort);
        // Lengths fit: `check_size` and the limit of a batch came first.
        out.put_u16(self.lists.len() as u16);
        for list in &self.lists {
            out.put_u16(list.0.len() as u16);
            out.put_slice(&list.0);
        }
        out.put_u32(self.parts);
        out.put_u32(self.len);
        out.put_u32(self.checksum);
        out.put_slice(&self.inline);
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let version = bytes.try_get_u64().ok()?;
        let sort = bytes.try_get_u64().ok()?;
        let mut lists = Vec::new();
        for _ in 0..bytes.try_get_u16().ok()? {
            let length = bytes.try_get_u16().ok()?;
            let (list, rest) = bytes.split_at_checked(length.into())?;
            lists.push(List(list.to_vec()));
            bytes = rest;
        }
        let parts = bytes.try_get_u32().ok()?;
        let len = bytes.try_get_u32().ok()?;
        let checksum = bytes.try_get_u32().ok()?;
        Some(Self { version, sort, lists, parts, len, checksum, inline: Bytes::copy_from_slice(bytes) })
    }

    /// The header in a value.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the record.
    pub(super) fn open(key: &Key, at: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        sealed::open(at, value).and_then(Self::decode).ok_or_else(|| damaged(key))
    }

    /// Every list the record stands in, and where.
    pub(super) fn places(&self) -> BTreeSet<(List, u64)> {
        self.lists.iter().map(|list| (list.clone(), self.sort)).collect()
    }
}

fn damaged(key: &Key) -> StoreError {
    StoreError::Damaged(format!("the record {key}").into())
}

/// The record, if there is one.
pub(super) fn get(kv: &dyn Kv, key: &Key) -> Result<Option<Record>, StoreError> {
    let at = keys::record(key);
    let mut seen = kv.get(&at)?;
    loop {
        let Some(value) = seen else { return Ok(None) };
        let header = Header::open(key, &at, &value)?;
        if let Some(body) = body(kv, key, &header)? {
            let Header { version, sort, .. } = header;
            return Ok(Some(Record { key: key.clone(), version, sort, body }));
        }
        // An engine need not have snapshots: a missing part is damage only if the header stood still.
        let now = kv.get(&at)?;
        if now.as_ref() == Some(&value) {
            return Err(damaged(key));
        }
        seen = now;
    }
}

/// The body, if all of it is there.
pub(super) fn body(kv: &dyn Kv, key: &Key, header: &Header) -> Result<Option<Bytes>, StoreError> {
    let body = if header.parts == 0 {
        header.inline.clone()
    } else {
        let mut body = Vec::with_capacity(header.len as usize);
        for part in 0..header.parts {
            let at = keys::record_part(key, header.version, part);
            let value = kv.get(&at)?;
            let Some(payload) = value.as_ref().and_then(|value| sealed::open(&at, value)) else {
                return Ok(None);
            };
            body.extend_from_slice(payload);
        }
        Bytes::from(body)
    };
    let whole = body.len() == header.len as usize && crc32fast::hash(&body) == header.checksum;
    Ok(whole.then_some(body))
}

/// Part of a list: the index says which, then each is read.
pub(super) fn list(kv: &dyn Kv, query: &Query) -> Result<Page, StoreError> {
    let list = query.tag.as_ref().map_or_else(List::every, List::tagged);
    let mut page = Page { records: Vec::new(), total: total(kv, query, &list)?, damaged: 0 };
    for id in ids(kv, query, &list)? {
        let key = Key { owner: query.owner.clone(), kind: query.kind, id };
        match get(kv, &key) {
            Ok(Some(record)) => page.records.push(record),
            Ok(None) => {}
            Err(StoreError::Damaged(_)) => {
                tracing::warn!(record = %key, "a record cannot be read and is left out of a list");
                page.damaged += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

fn ids(kv: &dyn Kv, query: &Query, list: &List) -> Result<Vec<String>, StoreError> {
    let index = keys::index(&query.owner, query.kind, list);
    let mut range = keys::under(&index);
    let (direction, place) = if query.newest_first {
        (Direction::Backward, &mut range.end)
    } else {
        (Direction::Forward, &mut range.start)
    };
    if let Some(after) = &query.after {
        *place = keys::index_entry(&index, after.sort, &after.id);
        if !query.newest_first {
            // The smallest key behind it.
            place.push(0x00);
        }
    }
    let mut ids = Vec::new();
    if query.limit == 0 {
        return Ok(ids);
    }
    let mut to_skip = query.skip;
    kv.scan(&range.start..&range.end, direction, &mut |key, _| {
        if to_skip > 0 {
            to_skip -= 1;
            return ControlFlow::Continue(());
        }
        ids.extend(keys::id_in(&index, key));
        if ids.len() < query.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(ids)
}

/// How long the list is, as the committer has counted.
fn total(kv: &dyn Kv, query: &Query, list: &List) -> Result<u64, StoreError> {
    let at = keys::count(&query.owner, query.kind, list);
    let Some(value) = kv.get(&at)? else { return Ok(0) };
    sealed::open_number(&at, &value, String::new).or_else(|_| {
        tracing::warn!(kind = query.kind.0, "the length of a list cannot be read and is counted again");
        Overlay::new(kv, &Default::default()).count(&keys::under(&keys::index(
            &query.owner,
            query.kind,
            list,
        )))
    })
}

/// Names that are too long for a header, as a number of bytes.
pub(super) fn check_size(put: &Put) -> Result<(), StoreError> {
    let tags: usize = put.tags.names.iter().map(|tag| tag.name.len() + tag.value.len() + 8).sum();
    check_names(&put.key.id, tags)
}

/// The same of an id and so many bytes of tags.
pub(super) fn check_names(id: &str, tags: usize) -> Result<(), StoreError> {
    match tags.max(id.len()) {
        bytes if bytes > MAX_NAMES_BYTES => Err(StoreError::TooLarge { bytes }),
        _ => Ok(()),
    }
}

/// Writes a record over what it was.
pub(super) fn put(overlay: &mut Overlay<'_>, put: &Put) -> Result<(), StoreError> {
    let at = keys::record(&put.key);
    let old = header(overlay, &put.key, &at)?;
    let version = old.as_ref().map_or(0, |old| old.version);
    let expected = match put.expect {
        Expect::Any => true,
        Expect::Absent => old.is_none(),
        Expect::Present => old.is_some(),
        Expect::Version(wanted) => old.is_some() && version == wanted,
    };
    if !expected {
        return Err(StoreError::Conflict(put.key.to_string()));
    }
    let every = put.tags.listed.then(List::every);
    let lists: Vec<_> = put.tags.names.iter().map(List::tagged).chain(every).collect();
    let Put { key, tags, body, .. } = put;
    write(overlay, key, old.as_ref(), New { version: version + 1, sort: tags.sort, lists, body })
}

/// A record as it is to be.
pub(super) struct New<'a> {
    /// Counts its writes.
    pub(super) version: u64,
    /// Its place in lists.
    pub(super) sort: u64,
    /// The lists it stands in.
    pub(super) lists: Vec<List>,
    /// What it holds.
    pub(super) body: &'a Bytes,
}

/// Writes a record in the place of the old one.
pub(super) fn write(
    overlay: &mut Overlay<'_>,
    key: &Key,
    old: Option<&Header>,
    new: New<'_>,
) -> Result<(), StoreError> {
    let New { version, sort, lists, body } = new;
    let at = keys::record(key);
    let names: usize = lists.iter().map(|list| list.0.len() + 2).sum();
    let small = HEADER_BYTES + names + body.len() <= PART_BYTES;
    let new = Header {
        version,
        sort,
        lists,
        parts: if small { 0 } else { body.len().div_ceil(PART_BYTES) as u32 },
        len: body.len() as u32,
        checksum: crc32fast::hash(body),
        inline: if small { body.clone() } else { Bytes::new() },
    };
    move_in_lists(overlay, key, old, Some(&new))?;
    remove_parts(overlay, key, old);
    if !small {
        for (part, payload) in (0..).zip(body.chunks(PART_BYTES)) {
            let at = keys::record_part(key, new.version, part);
            let value = sealed::seal(&at, payload);
            overlay.set(at, value);
        }
    }
    let value = sealed::seal(&at, &new.encode());
    overlay.set(at, value);
    Ok(())
}

/// Takes a record away, and out of its lists.
pub(super) fn delete(overlay: &mut Overlay<'_>, key: &Key) -> Result<(), StoreError> {
    let at = keys::record(key);
    let Some(old) = header(overlay, key, &at)? else { return Ok(()) };
    move_in_lists(overlay, key, Some(&old), None)?;
    remove_parts(overlay, key, Some(&old));
    overlay.remove(at);
    Ok(())
}

fn header(overlay: &Overlay<'_>, key: &Key, at: &[u8]) -> Result<Option<Header>, StoreError> {
    overlay.get(at)?.map(|value| Header::open(key, at, &value)).transpose()
}

fn remove_parts(overlay: &mut Overlay<'_>, key: &Key, old: Option<&Header>) {
    if let Some(old) = old {
        for part in 0..old.parts {
            overlay.remove(keys::record_part(key, old.version, part));
        }
    }
}

/// Takes the record from where it stood and puts it where it stands now; lists it stays in keep their length.
fn move_in_lists(
    overlay: &mut Overlay<'_>,
    key: &Key,
    old: Option<&Header>,
    new: Option<&Header>,
) -> Result<(), StoreError> {
    let places = |header: Option<&Header>| header.map_or_else(BTreeSet::new, Header::places);
    let (left, joined) = (places(old), places(new));
    for (list, sort) in left.difference(&joined) {
        let index = keys::index(&key.owner, key.kind, list);
        overlay.remove(keys::index_entry(&index, *sort, &key.id));
    }
    for (list, sort) in joined.difference(&left) {
        let index = keys::index(&key.owner, key.kind, list);
        let at = keys::index_entry(&index, *sort, &key.id);
        let value = sealed::seal(&at, &[]);
        overlay.set(at, value);
    }
    let lists = |places: &BTreeSet<(List, u64)>| places.iter().map(|(list, _)| list.clone()).collect();
    let (left, joined): (BTreeSet<List>, BTreeSet<List>) = (lists(&left), lists(&joined));
    for list in left.difference(&joined) {
        add_to_count(overlay, key, list, -1)?;
    }
    for list in joined.difference(&left) {
        add_to_count(overlay, key, list, 1)?;
    }
    Ok(())
}

fn add_to_count(overlay: &mut Overlay<'_>, key: &Key, list: &List, by: i64) -> Result<(), StoreError> {
    let at = keys::count(&key.owner, key.kind, list);
    let count = match overlay.get(&at)? {
        None => 0u64.saturating_add_signed(by),
        Some(value) => match sealed::open_number(&at, &value, String::new) {
            Ok(count) => count.saturating_add_signed(by),
            // The index already holds this change.
            Err(_) => overlay.count(&keys::under(&keys::index(&key.owner, key.kind, list)))?,
        },
    };
    if count == 0 {
        overlay.remove(at);
    } else {
        let value = sealed::seal_number(&at, count);
        overlay.set(at, value);
    }
    Ok(())
}
