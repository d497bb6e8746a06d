//! How far the engine must be: so that one that forgets a part of what it held cannot hide it.
//!
//! sled takes damage in its log for the end of it, and comes up with an earlier state, perhaps with nothing. So
//! the number of the journal's file that the engine has last is kept beside it too. It is written after the
//! engine is durable and need not be synced: if it is behind, it only promises less.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::journal::Number;
use super::kv::{Changes, Kv};
use super::{keys, sealed};
use crate::store::StoreError;

/// The file beside the engine.
pub(super) struct Applied {
    path: PathBuf,
    file: OnceLock<File>,
}

impl Applied {
    /// Where it is, in a data folder.
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join("applied")
    }

    /// Of a data folder; touches nothing yet.
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: Self::path(folder), file: OnceLock::new() }
    }

    /// Whether the engine has what it had.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it has lost writes.
    pub(super) fn check(&self, engine: &dyn Kv) -> Result<(), StoreError> {
        let Some(had) = self.read()? else { return Ok(()) };
        let mark = engine.get(keys::JOURNAL)?;
        let what = || "the mark of the journal".into();
        let has = mark.map(|mark| sealed::open_number(keys::JOURNAL, &mark, what)).transpose()?.unwrap_or(0);
        if has >= had {
            return Ok(());
        }
        Err(StoreError::Damaged(
            format!("the engine has lost its latest writes: it is at {has}, and was at {had}").into(),
        ))
    }

    /// The engine has these changes now.
    pub(super) fn note(&self, number: Number) {
        let text = format!("{number:020}");
        let line = format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes()));
        if let Err(error) = self.open().and_then(|file| file.write_all_at(line.as_bytes(), 0)) {
            tracing::warn!(%error, "how far the engine is cannot be written down");
        }
    }

    fn open(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn read(&self) -> Result<Option<Number>, StoreError> {
        let damaged = || StoreError::Damaged("the file `applied`, which says how far the engine was".into());
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(super::kv::io_error(&error)),
        };
        // A power cut came before its first line was on the disk.
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        let (number, sum) = text.trim_end().split_once(' ').ok_or_else(damaged)?;
        if format!("{:08x}", crc32fast::hash(number.as_bytes())) != sum {
            return Err(damaged());
        }
        number.parse().map(Some).map_err(|_| damaged())
    }
}

/// The number that these changes bring the engine to.
pub(super) fn number_in(changes: &Changes) -> Option<Number> {
    let value = changes.get(keys::JOURNAL)?.as_ref()?;
    sealed::open_number(keys::JOURNAL, value, String::new).ok()
}
