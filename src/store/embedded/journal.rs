//! The files of the write-ahead journal: what is in them is durable, and not yet in the engine.
//!
//! A file begins with a header: magic, its number, a random mark and a random seed, checksum. A record is mark,
//! length, checksum, and the keys and values of one batch. Mark and seed are known to nobody outside, so no
//! value can pass for a record. One record is written and synced at a time, and a file begins only when all in
//! the one before is durable: what cannot be read at the very end is a write that was never acknowledged, and
//! anywhere else it is damage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut};

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
        if !self.path.exists() {
            fs::create_dir(&self.path).map_err(io)?;
            self.path.parent().map_or(Ok(()), sync_folder).map_err(io)?;
        }
        self.cut_failed().map_err(io)?;
        let mut left = Left { last: applied, ..Left::default() };
        let mut torn = None;
        for number in self.numbers().map_err(io)?.into_iter().filter(|number| *number > applied) {
            if number != left.last + 1 {
                return Err(damaged(left.last + 1, "it is missing"));
            }
            left.last = number;
            let bytes = fs::read(self.file(number)).map_err(io)?;
            let Some(rest) = read_file(number, &bytes, &mut left.changes)? else { continue };
            if let Some(torn) = torn {
                return Err(damaged(torn, "its end cannot be read, and another file follows it"));
            }
            if rest > 0 {
                tracing::warn!(file = number, bytes = rest, "the torn end of a journal file is cut");
                torn = Some(number);
            }
        }
        Ok(left)
    }

    /// Begins a file; its name and header are durable.
    pub(super) fn create(&self, number: Number) -> io::Result<JournalFile> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mark = Mark::new(random);
        let path = self.file(number);
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        let begun = file
            .write_all(&file_header(number, &mark))
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(&self.path));
        if let Err(error) = begun {
            // It may be tried again under the same name.
            fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(JournalFile { number, file, mark, bytes: FILE_HEADER_BYTES as u64, buffer: Vec::new() })
    }

    /// Removes the files up to this one. If one comes back after a power cut, the number of the last applied
    /// file, which the engine keeps, says that it is void.
    pub(super) fn remove_up_to(&self, last: Number) -> io::Result<()> {
        let done = self.numbers()?.into_iter().filter(|number| *number <= last);
        done.map(|number| fs::remove_file(self.file(number))).collect()
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
    buffer: Vec<u8>,
}

impl JournalFile {
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
        encode(changes, &self.mark, &mut self.buffer)?;
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        let length = self.buffer.len();
        self.bytes += length as u64;
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

fn encode(changes: &Changes, mark: &Mark, out: &mut Vec<u8>) -> io::Result<()> {
    out.put_slice(&mark.bytes);
    out.put_bytes(0, RECORD_HEADER_BYTES - mark.bytes.len());
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

/// Adds what a file holds; gives the length of its torn end, or nothing if the file holds nothing at all.
fn read_file(number: Number, bytes: &[u8], changes: &mut Changes) -> Result<Option<usize>, StoreError> {
    let Some((header, mut rest)) = bytes.split_at_checked(FILE_HEADER_BYTES) else {
        // It was just being created.
        return Ok(None);
    };
    let mark = header.get(12..20).and_then(|random| random.try_into().ok()).map(Mark::new);
    let Some(mark) = mark.filter(|mark| file_header(number, mark) == header) else {
        return Err(damaged(number, "its header cannot be read"));
    };
    if rest.is_empty() {
        return Ok(None);
    }
    while !rest.is_empty() {
        let Some((payload, next)) = read_record(rest, &mark) else { break };
        decode(payload, changes).ok_or_else(|| damaged(number, "a record in it makes no sense"))?;
        rest = next;
    }
    let follows =
        (1..rest.len()).any(|at| rest.get(at..).is_some_and(|rest| read_record(rest, &mark).is_some()));
    if follows {
        return Err(damaged(number, "a record in it cannot be read, and others follow it"));
    }
    Ok(Some(rest.len()))
}

fn read_record<'a>(bytes: &'a [u8], mark: &Mark) -> Option<(&'a [u8], &'a [u8])> {
    let mut fields = bytes.strip_prefix(&mark.bytes)?;
    let length = fields.try_get_u32().ok()?;
    let sum = fields.try_get_u32().ok()?;
    let (payload, rest) = fields.split_at_checked(length as usize)?;
    (mark.checksum(payload) == sum).then_some((payload, rest))
}

fn decode(mut payload: &[u8], changes: &mut Changes) -> Option<()> {
    while !payload.is_empty() {
        let key_length = payload.try_get_u32().ok()?;
        let value_length = payload.try_get_u32().ok()?;
        let (key, rest) = payload.split_at_checked(key_length as usize)?;
        let taken_away = value_length == TAKEN_AWAY;
        let (value, rest) = rest.split_at_checked(if taken_away { 0 } else { value_length as usize })?;
        changes.insert(key.to_vec(), (!taken_away).then(|| value.to_vec()));
        payload = rest;
    }
    Some(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn damaged(number: Number, what: &str) -> StoreError {
    StoreError::Damaged(format!("file {number} of the journal: {what}").into())
}
