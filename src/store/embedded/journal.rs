//! The files of the write-ahead journal: what is in them is durable, and not yet in the engine.
//!
//! A file begins with a header: magic, its number, a random mark and a random seed, checksum. A record is mark,
//! length, checksum, a number, and the keys and values of one batch. Mark and seed are known to nobody outside,
//! so no value can pass for a record. One record is written and synced at a time, numbered without gaps through
//! all files: what cannot be read at the very end is a write that was never acknowledged, and anywhere else it
//! is damage.
//!
//! A file that is done becomes the one after the next. Its blocks are there already, and a sync need not write
//! down that it has grown; what was in it before has another mark.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut};

use super::folder;
use super::kv::{Changes, io_error};
use crate::store::StoreError;

const MAGIC: &[u8; 4] = b"RHJ1";
const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 12;
/// Stands for the length of a value where a key is taken away.
const TAKEN_AWAY: u32 = u32::MAX;
/// A buffer that grew over it is not kept.
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

/// Numbers the files, without gaps, over the life of a data folder.
pub(super) type Number = u64;

/// Where the files are.
pub(super) struct JournalFolder {
    path: PathBuf,
    /// A file and its good length, while what is behind that was answered as failed and is still there.
    failed: Mutex<Option<(Number, u64)>>,
}

/// What the files of an earlier process hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// All of it, the newest value of each key.
    pub(super) changes: Changes,
    /// The last file.
    pub(super) last: Number,
}

impl JournalFolder {
    /// Creates nothing yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, failed: Mutex::new(None) }
    }

    /// Reads the files after `applied`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if something in the middle cannot be read, or a file is missing.
    pub(super) fn read_after(&self, applied: Number) -> Result<Left, StoreError> {
        let io = |error: io::Error| io_error(&error);
        folder::create(&self.path).map_err(io)?;
        self.cut_failed().map_err(io)?;
        let mut left = Left { last: applied, ..Left::default() };
        let mut reading = Reading::default();
        for number in self.numbers().map_err(io)?.into_iter().filter(|number| *number > applied) {
            if number != left.last + 1 {
                return Err(damaged(left.last + 1, "it is missing"));
            }
            left.last = number;
            let bytes = fs::read(self.file(number)).map_err(io)?;
            reading.file(number, &bytes, &mut left.changes)?;
        }
        Ok(left)
    }

    /// Begins a file; its name and header are durable.
    pub(super) fn create(&self, number: Number) -> io::Result<JournalFile> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.file(number))?;
        let begun = JournalFile::begin(file, number, Vec::new())?;
        folder::sync(&self.path)?;
        Ok(begun)
    }

    /// Begins a file in the place of one of which the engine has everything.
    pub(super) fn reuse(&self, done: JournalFile, number: Number) -> io::Result<JournalFile> {
        let JournalFile { number: old, file, buffer, .. } = done;
        // The header first: under its new name it must never be taken for what it was.
        let begun = JournalFile::begin(file, number, buffer)?;
        fs::rename(self.file(old), self.file(number))?;
        folder::sync(&self.path)?;
        Ok(begun)
    }

    /// Removes the files up to this one. If one comes back after a power cut, the number of the last applied
    /// file, which the engine keeps, says that it is void; those behind it are empty, and go from the last on, so
    /// that there is no gap before any that comes back.
    pub(super) fn remove_up_to(&self, last: Number) -> io::Result<()> {
        let mut done = self.numbers()?.into_iter().rev().filter(|number| *number <= last);
        done.try_for_each(|number| fs::remove_file(self.file(number)))?;
        folder::sync(&self.path)
    }

    /// What is behind this length was answered as failed and must never be read again.
    pub(super) fn fail(&self, number: Number, length: u64) {
        *self.failed() = Some((number, length));
        if let Err(error) = self.cut_failed() {
            tracing::warn!(file = number, %error, "a record that failed cannot be cut off the journal yet");
        }
    }

    fn cut_failed(&self) -> io::Result<()> {
        let mut failed = self.failed();
        let Some((number, length)) = *failed else { return Ok(()) };
        match OpenOptions::new().write(true).open(self.file(number)) {
            Ok(file) => {
                file.set_len(length)?;
                file.sync_all()?;
            }
            // All that was good in it is in the engine.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        *failed = None;
        Ok(())
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Number, u64)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, number: Number) -> PathBuf {
        self.path.join(format!("{number:08}.log"))
    }

    fn numbers(&self) -> io::Result<Vec<Number>> {
        let mut found = Vec::new();
        for entry in self.path.read_dir()? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".log"));
            found.extend(name.and_then(|name| name.parse::<Number>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// A file that is written to.
pub(super) struct JournalFile {
    number: Number,
    file: File,
    mark: Mark,
    /// How much of it is good.
    bytes: u64,
    /// The number of the next record.
    next: u64,
    buffer: Vec<u8>,
}

impl JournalFile {
    fn begin(file: File, number: Number, buffer: Vec<u8>) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mark = Mark::new(random);
        file.write_all_at(&file_header(number, &mark), 0)?;
        file.sync_all()?;
        Ok(Self { number, file, mark, bytes: FILE_HEADER_BYTES as u64, next: 0, buffer })
    }

    /// Goes on where another file ends.
    pub(super) fn follow(&mut self, previous: &Self) {
        self.next = previous.next;
    }

    /// Its number.
    pub(super) fn number(&self) -> Number {
        self.number
    }

    /// How much of it is good, in bytes. What a failed [`JournalFile::append`] left is behind it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a record and syncs it; says how many bytes it took. After an error nothing may be appended.
    pub(super) fn append(&mut self, changes: &Changes) -> io::Result<usize> {
        self.buffer.clear();
        encode(self.next, changes, &self.mark, &mut self.buffer)?;
        self.file.write_all_at(&self.buffer, self.bytes)?;
        self.file.sync_data()?;
        let length = self.buffer.len();
        self.bytes += length as u64;
        self.next += 1;
        if length > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        Ok(length)
    }
}

/// What tells the records of a file from anything else.
struct Mark {
    bytes: [u8; 4],
    seed: [u8; 4],
}

impl Mark {
    fn new(random: [u8; 8]) -> Self {
        let [a, b, c, d, seed @ ..] = random;
        Self { bytes: [a, b, c, d], seed }
    }

    fn checksum(&self, payload: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.seed);
        sum.update(payload);
        sum.finalize()
    }
}

fn file_header(number: Number, mark: &Mark) -> Vec<u8> {
    let mut header = Vec::with_capacity(FILE_HEADER_BYTES);
    header.put_slice(MAGIC);
    header.put_u64(number);
    header.put_slice(&mark.bytes);
    header.put_slice(&mark.seed);
    header.put_u32(crc32fast::hash(&header));
    header
}

fn encode(number: u64, changes: &Changes, mark: &Mark, out: &mut Vec<u8>) -> io::Result<()> {
    out.put_slice(&mark.bytes);
    out.put_bytes(0, RECORD_HEADER_BYTES - mark.bytes.len());
    out.put_u64(number);
    for (key, value) in changes {
        // Keys and values are a few KiB at most.
        out.put_u32(key.len() as u32);
        out.put_u32(value.as_ref().map_or(TAKEN_AWAY, |value| value.len() as u32));
        out.put_slice(key);
        out.put_slice(value.as_deref().unwrap_or_default());
    }
    let Some((header, payload)) = out.split_first_chunk_mut::<RECORD_HEADER_BYTES>() else { return Ok(()) };
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let sum = mark.checksum(payload);
    let mut fields = header.get_mut(mark.bytes.len()..).unwrap_or_default();
    fields.put_u32(length);
    fields.put_u32(sum);
    Ok(())
}

/// How far the files were read.
#[derive(Default)]
struct Reading {
    /// The number that the next record must have; any will do at first.
    next: Option<u64>,
    /// A file without a record: only others like it may follow.
    empty: Option<Number>,
}

impl Reading {
    /// Adds what a file holds.
    fn file(&mut self, number: Number, bytes: &[u8], changes: &mut Changes) -> Result<(), StoreError> {
        let Some((header, records)) = bytes.split_at_checked(FILE_HEADER_BYTES) else {
            // It was just being created.
            self.empty.get_or_insert(number);
            return Ok(());
        };
        let mark = header.get(12..20).and_then(|random| random.try_into().ok()).map(Mark::new);
        let Some(mark) = mark.filter(|mark| file_header(number, mark) == header) else {
            return Err(damaged(number, "its header cannot be read"));
        };
        let mut rest = records;
        while let Some((payload, next)) = read_record(rest, &mark) {
            self.record(number, payload, changes)?;
            rest = next;
        }
        if rest.len() == records.len() {
            self.empty.get_or_insert(number);
        }
        let follows = |at| rest.get(at..).is_some_and(|rest| read_record(rest, &mark).is_some());
        if (1..rest.len()).any(follows) {
            return Err(damaged(number, "a record in it cannot be read, and others follow it"));
        }
        if rest.starts_with(&mark.bytes) {
            tracing::warn!(file = number, "the torn end of the journal is cut");
        }
        Ok(())
    }

    fn record(&mut self, file: Number, payload: &[u8], changes: &mut Changes) -> Result<(), StoreError> {
        if let Some(empty) = self.empty {
            return Err(damaged(empty, "nothing in it can be read, and others follow it"));
        }
        let found = decode(payload, changes).ok_or_else(|| damaged(file, "a record in it makes no sense"))?;
        if self.next.is_some_and(|next| next != found) {
            return Err(damaged(file, "what comes before it cannot be read"));
        }
        self.next = Some(found + 1);
        Ok(())
    }
}

fn read_record<'a>(bytes: &'a [u8], mark: &Mark) -> Option<(&'a [u8], &'a [u8])> {
    let mut fields = bytes.strip_prefix(&mark.bytes)?;
    let length = fields.try_get_u32().ok()?;
    let sum = fields.try_get_u32().ok()?;
    let (payload, rest) = fields.split_at_checked(length as usize)?;
    (mark.checksum(payload) == sum).then_some((payload, rest))
}

/// Adds the changes of a record; gives its number.
fn decode(mut payload: &[u8], changes: &mut Changes) -> Option<u64> {
    let number = payload.try_get_u64().ok()?;
    while !payload.is_empty() {
        let key_length = payload.try_get_u32().ok()?;
        let value_length = payload.try_get_u32().ok()?;
        let (key, rest) = payload.split_at_checked(key_length as usize)?;
        let taken_away = value_length == TAKEN_AWAY;
        let (value, rest) = rest.split_at_checked(if taken_away { 0 } else { value_length as usize })?;
        changes.insert(key.to_vec(), (!taken_away).then(|| value.to_vec()));
        payload = rest;
    }
    Some(number)
}

fn damaged(number: Number, what: &str) -> StoreError {
    StoreError::Damaged(format!("file {number} of the journal: {what}").into())
}
