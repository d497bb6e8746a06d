//! Looks through a store: can all of it be read, and does it agree with itself?

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use bytes::Bytes;

use super::source::{Overlaid, Source};
use super::walk::{Names, Sink, each, shown, visible, walk};
use super::{DumpError, Seen, Tell};
use crate::domain::document::Key;
use crate::domain::fact::Entry;
use crate::store::embedded::keys::{self, List};
use crate::store::embedded::kv::{Direction, Kv};
use crate::store::embedded::records::Header;
use crate::store::embedded::sealed;
use crate::store::{Log, StoreConfig};

/// Reads everything in `folder` and tells what is damaged. Changes nothing. Blocks.
///
/// # Errors
/// [`DumpError`] if nothing can be read at all.
pub fn verify(config: &StoreConfig, folder: &Path, tell: &mut Tell<'_>) -> Result<Seen, DumpError> {
    let mut damaged = 0;
    let mut source = Source::open(config, folder, &mut |what| {
        damaged += 1;
        tell(what);
    })?;
    let mut report = Report { seen: Seen { damaged, ..Seen::default() }, log: None, tell };
    let mut names = Names::default();
    walk(&mut source, &mut names, &mut report)?;
    let kv = &source.kv;
    records_can_be_found(kv, &mut names, &mut report)?;
    lists_name_records(kv, &mut names, &mut report)?;
    lengths_have_lists(kv, &mut names, &mut report)?;
    parts_have_records(kv, &mut names, &mut report)?;
    nothing_else_is_there(kv, &mut report)?;
    Ok(report.seen)
}

struct Report<'a> {
    seen: Seen,
    log: Option<Log>,
    tell: &'a mut Tell<'a>,
}

impl Sink for Report<'_> {
    fn record(&mut self, _: &Key, _: &Header, _: &Bytes) -> Result<(), DumpError> {
        self.seen.readable.records += 1;
        Ok(())
    }

    fn entry(&mut self, log: &Log, _: &Entry, _: &str) -> Result<(), DumpError> {
        if self.log.as_ref() != Some(log) {
            self.seen.readable.logs += 1;
            self.log = Some(log.clone());
        }
        self.seen.readable.entries += 1;
        Ok(())
    }

    fn damaged(&mut self, what: &str) {
        self.seen.damaged += 1;
        (self.tell)(what);
    }
}

/// By its name, and in every list it stands in.
fn records_can_be_found(kv: &Overlaid, names: &mut Names, report: &mut dyn Sink) -> Result<(), DumpError> {
    each(kv, keys::under(&[keys::RECORD]), report, &mut |report, at, value| {
        let Some(key) = names.record_key(at) else { return Ok(()) };
        if !is_there(kv, at) {
            report.damaged(&format!("the record {} cannot be found by its name", shown(&key)));
        }
        let Ok(header) = Header::open(&key, at, value) else { return Ok(()) };
        for (list, sort) in header.places() {
            let entry = keys::index_entry(&keys::index(&key.owner, key.kind, &list), sort, &key.id);
            let found = kv.get(&entry).ok().flatten();
            if found.is_none_or(|value| sealed::open(&entry, &value).is_none()) {
                let list = shown_list(key.kind.0, &list);
                report.damaged(&format!("the record {} is missing from the list of {list}", shown(&key)));
            }
        }
        Ok(())
    })
}

fn is_there(kv: &Overlaid, key: &[u8]) -> bool {
    kv.get(key).is_ok_and(|value| value.is_some())
}

/// An entry of a list, taken apart.
struct Listed {
    list: List,
    sort: u64,
    /// Without the space: owner, kind and list.
    of: Vec<u8>,
    key: Key,
}

impl Listed {
    fn parse(at: &[u8], names: &mut Names) -> Option<Self> {
        let mut rest = at.get(1..)?;
        let all = rest;
        let owner = super::line::owner(&keys::take_text(&mut rest)?)?;
        let kind = names.kind(&keys::take_text(&mut rest)?)?;
        let list = List::take(&mut rest)?;
        let of = all.get(..all.len() - rest.len())?.to_vec();
        let (sort, mut rest) = rest.split_first_chunk::<8>()?;
        let id = keys::take_text(&mut rest)?;
        let sort = u64::from_be_bytes(*sort);
        rest.is_empty().then_some(Self { list, sort, of, key: Key { owner, kind, id } })
    }
}

fn lists_name_records(kv: &Overlaid, names: &mut Names, report: &mut dyn Sink) -> Result<(), DumpError> {
    let mut current: Option<(Vec<u8>, String, u64)> = None;
    each(kv, keys::under(&[keys::INDEX]), report, &mut |report, at, _| {
        let Some(listed) = Listed::parse(at, names) else {
            report.damaged("an entry of a list cannot be read");
            return Ok(());
        };
        let Listed { list, sort, of, key } = listed;
        let name = shown_list(key.kind.0, &list);
        match current.as_mut().filter(|(list, ..)| *list == of) {
            Some((.., length)) => *length += 1,
            None => {
                if let Some(done) = current.replace((of, name.clone(), 1)) {
                    check_length(kv, done, report);
                }
            }
        }
        let record = keys::record(&key);
        match kv.get(&record) {
            Ok(Some(value)) => {
                let header = Header::open(&key, &record, &value);
                if header.is_ok_and(|header| !header.places().contains(&(list, sort))) {
                    let key = shown(&key);
                    report.damaged(&format!("the list of {name} names the record {key}, which is not of it"));
                }
            }
            Ok(None) => {
                report.damaged(&format!("the record {} is missing: the list of {name} names it", shown(&key)))
            }
            // It was told already.
            Err(_) => {}
        }
        Ok(())
    })?;
    if let Some(done) = current {
        check_length(kv, done, report);
    }
    Ok(())
}

fn check_length(kv: &Overlaid, list: (Vec<u8>, String, u64), report: &mut dyn Sink) {
    let (of, name, length) = list;
    let at = [&[keys::COUNT], of.as_slice()].concat();
    let stored = kv.get(&at).ok().flatten();
    let stored = stored.and_then(|value| sealed::open_number(&at, &value, String::new).ok());
    match stored {
        Some(stored) if stored == length => {}
        Some(stored) => {
            report.damaged(&format!("the list of {name} has {length} entries, and is said to have {stored}"));
        }
        None => report.damaged(&format!("the length of the list of {name} cannot be read")),
    }
}

fn lengths_have_lists(kv: &Overlaid, names: &mut Names, report: &mut dyn Sink) -> Result<(), DumpError> {
    each(kv, keys::under(&[keys::COUNT]), report, &mut |report, at, _| {
        let mut index = at.to_vec();
        if let Some(space) = index.first_mut() {
            *space = keys::INDEX;
        }
        let mut has_entries = false;
        let range = keys::under(&index);
        let scanned = kv.scan(&range.start..&range.end, Direction::Forward, &mut |_, _| {
            has_entries = true;
            ControlFlow::Break(())
        });
        if scanned.is_ok() && !has_entries {
            let mut rest = at.get(1..).unwrap_or_default();
            let _owner = keys::take_text(&mut rest);
            let kind = keys::take_text(&mut rest).and_then(|kind| names.kind(&kind));
            let list = List::take(&mut rest);
            let name = kind.zip(list).map_or_else(|| "?".into(), |(kind, list)| shown_list(kind.0, &list));
            report.damaged(&format!("the list of {name} is missing"));
        }
        Ok(())
    })
}

/// Parts of a body tell of a record that is not there any more.
fn parts_have_records(kv: &Overlaid, names: &mut Names, report: &mut dyn Sink) -> Result<(), DumpError> {
    let mut last = Vec::new();
    each(kv, keys::under(&[keys::RECORD_PART]), report, &mut |report, at, _| {
        // Its last bytes are a version and a number.
        let mut record = at.get(..at.len().saturating_sub(12)).unwrap_or_default().to_vec();
        if record == last {
            return Ok(());
        }
        last.clone_from(&record);
        let key = names.record_key(&record);
        if let Some(space) = record.first_mut() {
            *space = keys::RECORD;
        }
        if !is_there(kv, &record) {
            let name = key.map_or_else(|| "without a readable name".into(), |key| shown(&key));
            report.damaged(&format!("the record {name} is missing: parts of it are there"));
        }
        Ok(())
    })
}

/// A key that was altered may stand anywhere.
fn nothing_else_is_there(kv: &Overlaid, report: &mut dyn Sink) -> Result<(), DumpError> {
    let between = |after: &[u8], end: u8| [after, &[0]].concat()..vec![end];
    let ranges: [Range<Vec<u8>>; 6] = [
        Vec::new()..keys::FORMAT.to_vec(),
        between(keys::FORMAT, 0x02),
        between(keys::JOURNAL, keys::RECORD),
        vec![keys::RECORD_PART + 1]..vec![keys::ENTRY],
        vec![keys::HEAD + 2]..vec![keys::INDEX],
        vec![keys::COUNT + 1]..vec![0xFF; 8],
    ];
    let mut strays: BTreeMap<u8, u64> = BTreeMap::new();
    for range in ranges {
        each(kv, range, report, &mut |_, key, _| {
            *strays.entry(key.first().copied().unwrap_or_default()).or_default() += 1;
            Ok(())
        })?;
    }
    for (space, count) in strays {
        report.damaged(&format!("{count} keys that begin with {space:#04x} do not belong to a store"));
    }
    Ok(())
}

/// A list's name, for people: `session`, or `run with session=s1`.
fn shown_list(kind: &str, list: &List) -> String {
    let tag = list.tag().map_or_else(String::new, |(name, value)| format!(" with {name}={value}"));
    visible(&format!("{kind}{tag}"))
}
