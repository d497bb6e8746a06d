//! Goes through all that a store holds, and round what cannot be read.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use bytes::{Buf, Bytes};

use super::source::Source;
use super::{DumpError, line};
use crate::domain::document::{Key, RecordKind};
use crate::domain::fact::{Entry, Seq};
use crate::domain::id::RunId;
use crate::store::embedded::kv::{Direction, Kv};
use crate::store::embedded::records::{self, Header};
use crate::store::embedded::{keys, sealed};
use crate::store::{Log, StoreError};

/// Keys that are read at a time.
const PAGE_KEYS: usize = 512;
/// And bytes.
const PAGE_BYTES: usize = 1024 * 1024;

/// What is told of a store.
pub(super) trait Sink {
    /// A record that can be read.
    fn record(&mut self, key: &Key, header: &Header, body: &Bytes) -> Result<(), DumpError>;
    /// An entry that can be read, as it is stored. Those of one log come together and in order.
    fn entry(&mut self, log: &Log, entry: &Entry, json: &str) -> Result<(), DumpError>;
    /// Something that cannot, in a sentence.
    fn damaged(&mut self, what: &str);
}

/// Visits every record, then every log with its entries, in the order of their keys.
pub(super) fn walk(source: &mut Source, names: &mut Names, sink: &mut dyn Sink) -> Result<(), DumpError> {
    each_record(source, names, sink)?;
    each_log(source, sink)?;
    logs_without_head(source, sink)
}

fn each_record(source: &Source, names: &mut Names, sink: &mut dyn Sink) -> Result<(), DumpError> {
    let range = keys::under(&[keys::RECORD]);
    each(&source.kv, range, sink, &mut |sink, at, value| {
        let Some(key) = names.record_key(at) else {
            sink.damaged("a record's name cannot be read");
            return Ok(());
        };
        let found = Header::open(&key, at, value).and_then(|header| {
            let body = records::body(&source.kv, &key, &header)?;
            Ok(body.map(|body| (header, body)))
        });
        match found {
            Ok(Some((header, body))) => sink.record(&key, &header, &body)?,
            Ok(None) => sink.damaged(&format!("a part of the record {} cannot be read", shown(&key))),
            Err(StoreError::Damaged(_)) => {
                sink.damaged(&format!("the record {} cannot be read", shown(&key)))
            }
            Err(error) => sink.damaged(&format!("the record {} cannot be read: {error}", shown(&key))),
        }
        Ok(())
    })
}

fn each_log(source: &mut Source, sink: &mut dyn Sink) -> Result<(), DumpError> {
    let mut waiting = std::mem::take(&mut source.waiting);
    let source = &*source;
    let range = keys::under(&[keys::HEAD]);
    each(&source.kv, range, sink, &mut |sink, at, value| {
        // Logs of which nothing is durable yet.
        while let Some(first) = waiting.first_entry().filter(|first| first.key().as_slice() < at) {
            let (log, pieces) = first.remove();
            one_log(source, &log, Some(0), &pieces, sink)?;
        }
        let Some(log) = log_of(at) else {
            sink.damaged("a session's name cannot be read");
            return Ok(());
        };
        let head = sealed::open_number(at, value, String::new).ok();
        if head.is_none() {
            sink.damaged(&format!("where the log of session {} ends cannot be read", session(&log)));
        }
        let pieces = waiting.remove(at).map_or_else(Vec::new, |(_, pieces)| pieces);
        one_log(source, &log, head, &pieces, sink)
    })?;
    waiting.into_values().try_for_each(|(log, pieces)| one_log(source, &log, Some(0), &pieces, sink))
}

/// Entries whose log nobody knows would never be seen.
fn logs_without_head(source: &Source, sink: &mut dyn Sink) -> Result<(), DumpError> {
    let mut range = keys::under(&[keys::ENTRY]);
    while let Some(at) = first_in(&source.kv, &range) {
        let log = log_of(&at);
        range.start = log
            .as_ref()
            .map_or_else(|| [at.as_slice(), &[0]].concat(), |log| keys::after(&keys::entries(log)));
        let Some(log) = log else {
            sink.damaged("an entry of a log that has no readable name");
            continue;
        };
        let has_head = source.kv.get(&keys::head(&log)).is_ok_and(|head| head.is_some());
        if !has_head && !source.forgotten.contains(&log) {
            sink.damaged(&format!("where the log of session {} ends is missing", session(&log)));
            one_log(source, &log, None, &[], sink)?;
        }
    }
    Ok(())
}

fn first_in(kv: &dyn Kv, range: &Range<Vec<u8>>) -> Option<Vec<u8>> {
    let mut first = None;
    let scanned = kv.scan(&range.start..&range.end, Direction::Forward, &mut |key, _| {
        first = Some(key.to_vec());
        ControlFlow::Break(())
    });
    scanned.ok().and(first)
}

/// The entries of a log up to its head, then the pieces that wait.
fn one_log(
    source: &Source,
    log: &Log,
    head: Option<Seq>,
    pieces: &[Entry],
    sink: &mut dyn Sink,
) -> Result<(), DumpError> {
    let prefix = keys::entries(log);
    let mut reading = LogReading { log, prefix: &prefix, head, last: 0, run: None, parts: Parts::default() };
    each(&source.kv, keys::under(&prefix), sink, &mut |sink, key, value| reading.part(key, value, sink))?;
    if let Some(head) = head {
        reading.missing_up_to(head, sink);
    }
    for entry in pieces {
        let json = serde_json::to_string(entry).map_err(std::io::Error::other)?;
        reading.missing_up_to(entry.seq - 1, sink);
        reading.last = entry.last_seq();
        sink.entry(log, entry, &json)?;
    }
    Ok(())
}

/// A log of which the first entries were read.
struct LogReading<'a> {
    log: &'a Log,
    prefix: &'a [u8],
    /// Where it ends, if that is known.
    head: Option<Seq>,
    /// The last number that was read, or told to be missing.
    last: Seq,
    /// The run of the last entry.
    run: Option<RunId>,
    parts: Parts,
}

/// Parts of an entry, from the first on without gaps.
#[derive(Default)]
struct Parts {
    seq: Seq,
    seen: u32,
    all: u32,
    checksum: u32,
    json: Vec<u8>,
}

impl LogReading<'_> {
    fn part(&mut self, key: &[u8], value: &[u8], sink: &mut dyn Sink) -> Result<(), DumpError> {
        let Some((entry, json)) = self.take(key, value) else { return Ok(()) };
        if entry.seq <= self.last || self.head.is_some_and(|head| entry.last_seq() > head) {
            let session = session(self.log);
            sink.damaged(&format!("entry {} of session {session} does not belong there", entry.seq));
            return Ok(());
        }
        self.missing_up_to(entry.seq - 1, sink);
        (self.last, self.run) = (entry.last_seq(), Some(entry.run));
        sink.entry(self.log, &entry, &json)
    }

    /// Takes a part; gives the entry when it is whole. What cannot be read shows as a gap.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<(Entry, String)> {
        let (seq, part) = keys::seq_in(self.prefix, key)?;
        let mut payload = sealed::open(key, value)?;
        if part == 0 {
            let (all, checksum) = (payload.try_get_u32().ok()?, payload.try_get_u32().ok()?);
            self.parts = Parts { seq, seen: 0, all, checksum, json: Vec::new() };
        }
        let parts = &mut self.parts;
        if (seq, part) != (parts.seq, parts.seen) {
            return None;
        }
        parts.json.extend_from_slice(payload);
        parts.seen += 1;
        if parts.seen < parts.all {
            return None;
        }
        let whole = std::mem::take(parts);
        let json = String::from_utf8(whole.json).ok()?;
        let entry: Entry = serde_json::from_str(&json).ok()?;
        let is_right = crc32fast::hash(json.as_bytes()) == whole.checksum && entry.seq == seq;
        is_right.then_some((entry, json))
    }

    fn missing_up_to(&mut self, seq: Seq, sink: &mut dyn Sink) {
        if seq <= self.last {
            return;
        }
        let first = self.last + 1;
        let what = if first == seq { format!("entry {seq}") } else { format!("entries {first} to {seq}") };
        let behind = self.run.map_or_else(String::new, |run| format!(", behind one of run {run},"));
        sink.damaged(&format!("{what} of session {}{behind} cannot be read", session(self.log)));
        self.last = seq;
    }
}

type VisitPair<'a> = dyn FnMut(&mut dyn Sink, &[u8], &[u8]) -> Result<(), DumpError> + 'a;

/// Visits a range some keys at a time, and goes on behind what the engine cannot read.
pub(super) fn each(
    kv: &dyn Kv,
    mut range: Range<Vec<u8>>,
    sink: &mut dyn Sink,
    visit: &mut VisitPair<'_>,
) -> Result<(), DumpError> {
    loop {
        let mut page: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        let scanned = kv.scan(&range.start..&range.end, Direction::Forward, &mut |key, value| {
            bytes += key.len() + value.len();
            page.push((key.to_vec(), value.to_vec()));
            let is_full = page.len() >= PAGE_KEYS || bytes >= PAGE_BYTES;
            if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let is_full = page.len() >= PAGE_KEYS || bytes >= PAGE_BYTES;
        if let Some((last, _)) = page.last() {
            range.start = [last.as_slice(), &[0]].concat();
        }
        page.iter().try_for_each(|(key, value)| visit(sink, key, value))?;
        match scanned {
            Ok(()) if is_full => {}
            Ok(()) => return Ok(()),
            Err(error) => {
                sink.damaged(&format!("the engine cannot read on behind {}: {error}", place(&range.start)));
                match next_readable(kv, &range) {
                    Some(key) if key > range.start => range.start = key,
                    Some(_) | None => return Ok(()),
                }
            }
        }
    }
}

/// From the end back to the damage: where reading can go on.
fn next_readable(kv: &dyn Kv, range: &Range<Vec<u8>>) -> Option<Vec<u8>> {
    let mut next = None;
    let _damaged = kv.scan(&range.start..&range.end, Direction::Backward, &mut |key, _| {
        next = Some(key.to_vec());
        ControlFlow::Continue(())
    });
    next
}

/// A place in the store, for people.
fn place(key: &[u8]) -> String {
    let Some((space, mut rest)) = key.split_first() else { return "its beginning".into() };
    let space = match *space {
        keys::RECORD => "the record",
        keys::RECORD_PART => "a part of the record",
        keys::ENTRY => "an entry of session",
        keys::HEAD => "the end of session",
        keys::INDEX => "the list",
        keys::COUNT => "the length of the list",
        _ => "an unknown key",
    };
    let mut texts = Vec::new();
    while let Some(text) = keys::take_text(&mut rest) {
        texts.push(visible(&text));
    }
    format!("{space} {}", texts.join("/"))
}

/// The log in the key of an entry or a head.
pub(super) fn log_of(key: &[u8]) -> Option<Log> {
    let mut rest = key.get(1..)?;
    let owner = line::owner(&keys::take_text(&mut rest)?)?;
    Some(Log { owner, session: keys::take_text(&mut rest)?.parse().ok()? })
}

/// A log's name, for people.
fn session(log: &Log) -> String {
    visible(&format!("{}/{}", log.owner, log.session))
}

/// A record's name, for people.
pub(super) fn shown(key: &Key) -> String {
    visible(&key.to_string())
}

/// What is stored may be anything, and a terminal must survive it.
pub(super) fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Kinds of records by their names, which live as long as the process.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, RecordKind>);

impl Names {
    /// A store has a handful of kinds; more than that is damage, and would fill the memory.
    const MOST: usize = 256;

    /// The kind of a name.
    pub(super) fn kind(&mut self, name: &str) -> Option<RecordKind> {
        if let Some(kind) = self.0.get(name) {
            return Some(*kind);
        }
        if self.0.len() >= Self::MOST || name.len() > 256 {
            return None;
        }
        let kind = RecordKind(name.to_owned().leak());
        self.0.insert(name.to_owned(), kind);
        Some(kind)
    }

    /// The record in the key of a header; of a part, if its last bytes were cut off.
    pub(super) fn record_key(&mut self, at: &[u8]) -> Option<Key> {
        let mut rest = at.get(1..)?;
        let owner = line::owner(&keys::take_text(&mut rest)?)?;
        let kind = self.kind(&keys::take_text(&mut rest)?)?;
        let id = keys::take_text(&mut rest)?;
        rest.is_empty().then_some(Key { owner, kind, id })
    }
}
