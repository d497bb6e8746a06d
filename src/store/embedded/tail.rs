//! Pieces that are written but not synced: frames in small files beside the engine.
//!
//! A frame is length, checksum, JSON; one write each, so that `kill -9` leaves it whole or torn at the very
//! end. The files only ever grow, and a file goes when none of its pieces is waiting any more. Opening reads
//! them all, writes what still waits into a fresh one and removes the old ones, so nothing stale is left.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder;
use crate::domain::fact::Entry;
use crate::domain::id::{Owner, SessionId};
use crate::store::{Log, StoreError};

/// A file that has grown over it is not written to any more.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// A file without waiting pieces is emptied when it has grown over it.
const WORTH_EMPTYING_BYTES: u64 = 1024 * 1024;
const HEADER_BYTES: usize = 8;

/// Which file a frame is in.
pub(super) type Segment = u64;

/// What a frame says: pieces of a log, or, without any, that the log was taken away.
pub(super) type Frame = (Log, Vec<Entry>);

/// A frame as JSON.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    owner: Cow<'a, Owner>,
    session: Cow<'a, SessionId>,
    entries: Cow<'a, [Entry]>,
}

/// The bytes of a frame.
pub(super) fn frame(log: &Log, entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    let frame = Written {
        owner: Cow::Borrowed(&log.owner),
        session: Cow::Borrowed(&log.session),
        entries: Cow::Borrowed(entries),
    };
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, &frame)
        .map_err(|error| StoreError::Damaged(error.to_string().into()))?;
    if let Some((header, json)) = bytes.split_first_chunk_mut::<HEADER_BYTES>() {
        let sum = crc32fast::hash(json).to_le_bytes();
        let length = (json.len() as u32).to_le_bytes();
        header.iter_mut().zip(length.into_iter().chain(sum)).for_each(|(to, from)| *to = from);
    }
    Ok(bytes)
}

/// The files of a data folder.
pub(super) struct Tail {
    folder: PathBuf,
    current: Option<Current>,
    next: Segment,
    /// How many waiting entries each file has.
    waiting: BTreeMap<Segment, usize>,
}

struct Current {
    number: Segment,
    file: File,
    bytes: u64,
}

impl Tail {
    /// Reads what an earlier process left, in the order it was written: pieces of a log, or none where the log
    /// was taken away. The files stay until [`Tail::remove_before`].
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<Frame>)> {
        folder::create(folder)?;
        let left = left(folder)?;
        for (segment, bytes) in &left.torn {
            tracing::warn!(segment, bytes, "the torn end of a tail file is cut");
        }
        let Left { frames, next, .. } = left;
        Ok((Self { folder: folder.into(), current: None, next, waiting: BTreeMap::new() }, frames))
    }

    /// Writes a frame of so many entries; says which file it is in. After an error nothing was written.
    pub(super) fn write(&mut self, frame: &[u8], entries: usize) -> io::Result<Segment> {
        let mut current = match self.current.take() {
            Some(current) if current.bytes < SEGMENT_BYTES => current,
            Some(_) | None => self.start_segment()?,
        };
        if let Err(error) = current.file.write_all(frame) {
            // Half a frame would hide those behind it; if it cannot be cut off, a new file is begun.
            if current.file.set_len(current.bytes).is_ok() {
                self.current = Some(current);
            }
            return Err(error);
        }
        current.bytes += frame.len() as u64;
        let number = current.number;
        *self.waiting.entry(number).or_default() += entries;
        self.current = Some(current);
        Ok(number)
    }

    /// One entry of the file waits no more.
    pub(super) fn release(&mut self, segment: Segment) {
        let Some(waiting) = self.waiting.get_mut(&segment) else { return };
        *waiting = waiting.saturating_sub(1);
        if *waiting > 0 {
            return;
        }
        match &mut self.current {
            Some(current) if current.number == segment => {
                if current.bytes > WORTH_EMPTYING_BYTES && current.file.set_len(0).is_ok() {
                    current.bytes = 0;
                }
            }
            Some(_) | None => {
                self.waiting.remove(&segment);
                self.remove(segment);
            }
        }
    }

    /// Whether an earlier frame of any log may still be in a file.
    pub(super) fn holds_frames(&self) -> bool {
        !self.waiting.is_empty() || self.current.is_some()
    }

    /// Makes what was written last outlive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |current| current.file.sync_data())?;
        folder::sync(&self.folder)
    }

    /// The file the next frame that needs a new one will be in.
    pub(super) fn next_segment(&self) -> Segment {
        self.next
    }

    /// Removes all files before this one.
    pub(super) fn remove_before(&mut self, first: Segment) -> io::Result<()> {
        segments(&self.folder)?
            .into_iter()
            .filter(|number| *number < first)
            .try_for_each(|number| fs::remove_file(path(&self.folder, number)))?;
        // Numbers begin again where no file is left, and then one that came back would pass for a later one.
        folder::sync(&self.folder)
    }

    fn start_segment(&mut self) -> io::Result<Current> {
        let number = self.next;
        let file = OpenOptions::new().append(true).create_new(true).open(path(&self.folder, number))?;
        self.next += 1;
        // The one before may have nothing waiting in it: then nobody else would remove it.
        let done: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| **waiting == 0).map(|(number, _)| *number).collect();
        for number in done {
            self.waiting.remove(&number);
            self.remove(number);
        }
        Ok(Current { number, file, bytes: 0 })
    }

    fn remove(&self, segment: Segment) {
        if let Err(error) = fs::remove_file(path(&self.folder, segment)) {
            tracing::warn!(segment, %error, "a tail file that is not needed any more cannot be removed");
        }
    }
}

/// A clean end: nothing waiting, no files; else what waits is synced too.
impl Drop for Tail {
    fn drop(&mut self) {
        let done = if self.waiting.values().all(|waiting| *waiting == 0) {
            self.current = None;
            self.remove_before(Segment::MAX)
        } else {
            self.sync()
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the tail files cannot be left tidy");
        }
    }
}

/// What the files hold.
pub(super) struct Left {
    /// In the order they were written.
    pub(super) frames: Vec<Frame>,
    /// Files whose last so many bytes cannot be read.
    pub(super) torn: Vec<(Segment, usize)>,
    next: Segment,
}

/// Reads the files and leaves them as they are.
pub(super) fn left(folder: &Path) -> io::Result<Left> {
    let mut left = Left { frames: Vec::new(), torn: Vec::new(), next: 1 };
    for number in segments(folder)? {
        left.next = number + 1;
        let bytes = fs::read(path(folder, number))?;
        let whole = read_frames(&bytes, &mut left.frames);
        if whole < bytes.len() {
            left.torn.push((number, bytes.len() - whole));
        }
    }
    Ok(left)
}

fn path(folder: &Path, segment: Segment) -> PathBuf {
    folder.join(format!("{segment:08}.log"))
}

fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        let number: Option<Segment> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|name| name.parse().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads frames up to the first that is not whole; says how many bytes they took.
fn read_frames(mut bytes: &[u8], frames: &mut Vec<Frame>) -> usize {
    let all = bytes.len();
    while let Some((frame, rest)) = read_frame(bytes) {
        let log = Log { owner: frame.owner.into_owned(), session: frame.session.into_owned() };
        frames.push((log, frame.entries.into_owned()));
        bytes = rest;
    }
    all - bytes.len()
}

fn read_frame(bytes: &[u8]) -> Option<(Written<'static>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (json, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    if crc32fast::hash(json) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((serde_json::from_slice(json).ok()?, rest))
}
