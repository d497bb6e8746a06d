//! From a file to a store.
//!
//! What is imported grows beside the place where a store would be looked for, and is moved there when the last
//! line has been read and is right. An import that stops half way has changed nothing that counts.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::line::{self, Begin, End, EntryLine, FORMAT, Line, RecordLine, hex};
use super::walk::Names;
use super::{Counts, DumpError, Seen};
use crate::domain::document::Key;
use crate::domain::fact::{Entry, Seq};
use crate::store::embedded::applied::Applied;
use crate::store::embedded::entries::{self, Draft};
use crate::store::embedded::journaled::applied_mark;
use crate::store::embedded::keys::{self, List};
use crate::store::embedded::kv::{Changes, Kv};
use crate::store::embedded::lock::FolderLock;
use crate::store::embedded::open::{check_format, engine_path, open_engine, open_error};
use crate::store::embedded::overlay::Overlay;
use crate::store::embedded::records::{self, New};
use crate::store::embedded::sealed;
use crate::store::{Log, OpenError, StoreConfig, StoreError};

/// What is written to the engine at a time, in bytes and in keys.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
const BATCH_KEYS: usize = 4000;
/// Nothing that a store takes makes a longer line.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// Where the store grows, in the data folder.
const GROWING: &str = "import";

/// Fills the store in `folder`, which must not hold one yet, from an exported file. Says how much was in it, and
/// how many things were missing when it was made. Blocks.
///
/// # Errors
/// [`DumpError`] names the line that is wrong; then nothing was changed.
pub fn import(config: &StoreConfig, folder: &Path, input: &mut dyn BufRead) -> Result<Seen, DumpError> {
    let io = |source| DumpError::Open(OpenError::Io { folder: folder.into(), source });
    let target = engine_path(config, folder).ok_or(DumpError::InMemory)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let _lock = FolderLock::take(folder)?;
    if holds_data(folder).map_err(io)? {
        return Err(DumpError::NotEmpty(folder.into()));
    }
    let growing = folder.join(GROWING);
    remove(&growing).map_err(io)?;
    DirBuilder::new().mode(0o700).create(&growing).map_err(io)?;
    let seen = fill(config, &growing, input);
    let moved = seen.and_then(|seen| {
        let grown = engine_path(config, &growing).ok_or(DumpError::InMemory)?;
        put_in_place(&grown, &target).map_err(io)?;
        // In this order: without it a store is whole, and it without a store says that one was lost.
        put_in_place(&Applied::path(&growing), &Applied::path(folder)).map_err(io)?;
        Ok(seen)
    });
    let removed = remove(&growing);
    let seen = moved?;
    removed.map_err(io)?;
    Ok(seen)
}

/// Whatever a store could have left.
fn holds_data(folder: &Path) -> io::Result<bool> {
    for engine in ["sled", "redb"] {
        if folder.join(engine).exists() {
            return Ok(true);
        }
    }
    for files in ["journal", "tail"] {
        let path = folder.join(files);
        if path.exists() && path.read_dir()?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove(folder: &Path) -> io::Result<()> {
    if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) }
}

fn put_in_place(grown: &Path, target: &Path) -> io::Result<()> {
    fs::rename(grown, target)?;
    target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn fill(config: &StoreConfig, folder: &Path, input: &mut dyn BufRead) -> Result<Seen, DumpError> {
    let engine = open_engine(*config, folder)?;
    check_format(&*engine, folder)?;
    let store_error = |error: StoreError| DumpError::Open(open_error(folder, error));
    let mut filling = Filling::new(&*engine);
    let mut lines = Lines { input, sum: Sha256::new(), number: 0 };
    let first = lines.next()?.ok_or_else(|| lines.wrong("it is empty"))?;
    begin(&first).map_err(|reason| lines.wrong(reason))?;
    loop {
        // The last line is not part of the sum it holds.
        let sum = lines.sum.clone();
        let text = lines.next()?.ok_or_else(|| lines.wrong("it was cut: its last line is missing"))?;
        let line: Line<'_> = serde_json::from_str(&text).map_err(|error| lines.wrong(error))?;
        let done = match line {
            Line::Export(_) => Err("it begins a second time".into()),
            Line::Record(record) => filling.record(record),
            Line::Entry(entry) => filling.entry(&entry),
            Line::End(end) => {
                filling.end(&end, &hex(&sum.finalize())).map_err(|wrong| wrong.told(&lines, store_error))?;
                if lines.next()?.is_some() {
                    return Err(lines.wrong("there is something behind the end"));
                }
                return Ok(Seen { readable: filling.counts, damaged: end.damaged });
            }
        };
        done.map_err(|wrong| wrong.told(&lines, store_error))?;
    }
}

/// Says what keeps the file from being read, as its first line tells.
fn begin(line: &str) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct First<'a> {
        #[serde(borrow)]
        export: Begin<'a>,
    }
    match serde_json::from_str::<First<'_>>(line) {
        Ok(First { export }) if export.of != Begin::OF => Err(format!("it is an export of {}", export.of)),
        Ok(First { export }) if export.format != FORMAT => Err(format!(
            "it has format {} (written by version {}), this program reads {FORMAT}",
            export.format, export.program
        )),
        Ok(_) => Ok(()),
        Err(_) => Err("this is not an exported store".into()),
    }
}

/// The file, line by line.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    sum: Sha256,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<String>, DumpError> {
        self.number += 1;
        let mut bytes = Vec::new();
        let read = (&mut *self.input).take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() != Some(&b'\n') {
            return Err(self.wrong("it was cut: the line has no end"));
        }
        self.sum.update(&bytes);
        String::from_utf8(bytes).map(Some).map_err(|_| self.wrong("it is not text"))
    }

    fn wrong(&self, reason: impl ToString) -> DumpError {
        DumpError::Line { line: self.number, reason: reason.to_string() }
    }
}

/// Why a line was not taken.
enum Wrong {
    /// The line's fault.
    Line(String),
    /// The engine's.
    Store(StoreError),
}

impl Wrong {
    fn told(self, lines: &Lines<'_>, store_error: impl Fn(StoreError) -> DumpError) -> DumpError {
        match self {
            Self::Line(reason) => lines.wrong(reason),
            Self::Store(error) => store_error(error),
        }
    }
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<&str> for Wrong {
    fn from(reason: &str) -> Self {
        Self::Line(reason.into())
    }
}

/// A store that grows.
struct Filling<'a> {
    kv: &'a dyn Kv,
    names: Names,
    changes: Changes,
    bytes: usize,
    counts: Counts,
    /// The log whose entries come now, and its last number.
    log: Option<(Log, Seq)>,
}

impl<'a> Filling<'a> {
    fn new(kv: &'a dyn Kv) -> Self {
        let (names, changes, counts) = (Names::default(), Changes::new(), Counts::default());
        Self { kv, names, changes, bytes: 0, counts, log: None }
    }

    fn record(&mut self, line: RecordLine<'_>) -> Result<(), Wrong> {
        let owner = line::owner(&line.owner).ok_or("the owner is none")?;
        let kind = self.names.kind(&line.kind).ok_or("there are too many kinds of records")?;
        let key = Key { owner, kind, id: line.id.into_owned() };
        let body: Bytes = line.body.into_bytes().ok_or("the body is not base64")?.into();
        let tags = line.tags.iter().map(|(name, value)| List::of(name, value));
        let lists: Vec<_> = tags.chain(line.listed.then(List::every)).collect();
        records::check_names(&key.id, lists.iter().map(|list| list.0.len()).sum())?;
        let at = keys::record(&key);
        let mut overlay = Overlay::new(self.kv, &self.changes);
        if overlay.get(&at)?.is_some() {
            return Err("the record is there twice".into());
        }
        let new = New { version: line.version, sort: line.sort, lists, body: &body };
        records::write(&mut overlay, &key, None, new)?;
        let own = overlay.into_changes();
        self.counts.records += 1;
        self.add(own)
    }

    fn entry(&mut self, line: &EntryLine<'_>) -> Result<(), Wrong> {
        let owner = line::owner(&line.owner).ok_or("the owner is none")?;
        let session = line.session.parse().map_err(|_| "the session's id is none")?;
        let log = Log { owner, session };
        let json: &RawValue = &line.entry;
        let entry: Entry =
            serde_json::from_str(json.get()).map_err(|error| Wrong::Line(format!("the entry: {error}")))?;
        let last = match &self.log {
            Some((current, last)) if *current == log => *last,
            Some(_) | None => {
                self.end_log()?;
                if Overlay::new(self.kv, &self.changes).get(&keys::head(&log))?.is_some() {
                    return Err("the session's entries are not together".into());
                }
                self.counts.logs += 1;
                0
            }
        };
        if entry.seq <= last {
            return Err("the entry's number is not over that of the one before".into());
        }
        self.counts.entries += 1;
        self.log = Some((log.clone(), entry.last_seq()));
        let mut overlay = Overlay::new(self.kv, &self.changes);
        entries::write(&mut overlay, &log, Draft { entry, json: Some(json.get().into()) })?;
        let own = overlay.into_changes();
        self.add(own)
    }

    fn end_log(&mut self) -> Result<(), Wrong> {
        let Some((log, head)) = self.log.take() else { return Ok(()) };
        let at = keys::head(&log);
        let value = sealed::seal_number(&at, head);
        self.add(Changes::from([(at, Some(value))]))
    }

    fn end(&mut self, end: &End<'_>, sum: &str) -> Result<(), Wrong> {
        if end.sha256 != sum {
            return Err("the file was altered: its checksum is another".into());
        }
        if end.counts != self.counts {
            return Err(Wrong::Line(format!("it should have {}, and has {}", end.counts, self.counts)));
        }
        self.end_log()?;
        self.add(Changes::from([applied_mark(1)]))?;
        self.apply()
    }

    fn add(&mut self, own: Changes) -> Result<(), Wrong> {
        self.bytes +=
            own.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum::<usize>();
        self.changes.extend(own);
        if self.bytes > BATCH_BYTES || self.changes.len() > BATCH_KEYS { self.apply() } else { Ok(()) }
    }

    fn apply(&mut self) -> Result<(), Wrong> {
        self.bytes = 0;
        Ok(self.kv.apply(Arc::new(std::mem::take(&mut self.changes)))?)
    }
}
