//! A data folder, opened to be read: nothing that is in it is moved, mended or tidied up.
//!
//! The engines themselves may write a little when they are opened; what a server would do beyond that, such as
//! moving the journal into the engine, is done in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{DumpError, Tell};
use crate::domain::fact::Entry;
use crate::store::embedded::applied::Applied;
use crate::store::embedded::committer::{begun_forgetting, stored_head};
use crate::store::embedded::journal::JournalFolder;
use crate::store::embedded::kv::{Changes, Direction, Kv, Visit, io_error};
use crate::store::embedded::lock::FolderLock;
use crate::store::embedded::logs;
use crate::store::embedded::open::{engine_path, open_engine, read_format};
use crate::store::embedded::recent::Recent;
use crate::store::embedded::{keys, sealed, tail};
use crate::store::{Log, OpenError, StoreConfig, StoreError};

/// What is stored in a folder, with what the engine does not have yet.
pub(super) struct Source {
    /// The engine, and the journal over it.
    pub(super) kv: Overlaid,
    /// Pieces that wait to become durable, by the key of their log's head.
    pub(super) waiting: BTreeMap<Vec<u8>, (Log, Vec<Entry>)>,
    /// Logs that are being taken away.
    pub(super) forgotten: Vec<Log>,
    _lock: FolderLock,
}

impl Source {
    /// Opens a folder; what of its journal and its pieces cannot be read is told.
    pub(super) fn open(config: &StoreConfig, folder: &Path, tell: &mut Tell<'_>) -> Result<Self, DumpError> {
        let engine = engine_path(config, folder).ok_or(DumpError::InMemory)?;
        let is_there = engine.exists() || ["sled", "redb"].iter().any(|other| folder.join(other).exists());
        if !is_there {
            return Err(DumpError::NoStore(folder.into()));
        }
        let lock = FolderLock::take(folder)?;
        let kv = Overlaid { engine: open_engine(*config, folder)?, recent: Recent::default() };
        if let Err(error) = Applied::of(folder).check(&*kv.engine) {
            tell(&error.to_string());
        }
        match read_format(&*kv.engine, folder) {
            Ok(true) => {}
            Ok(false) => tell("the mark that says in which format the store is cannot be found"),
            Err(OpenError::Damaged { reason, .. }) => tell(&reason),
            Err(error) => return Err(error.into()),
        }
        if let Err(error) = kv.read_journal(folder) {
            tell(&format!("{error}; what only the journal has is left out"));
        }
        let forgotten = begun_forgetting(&kv).unwrap_or_else(|error| {
            tell(&format!("which sessions were being deleted cannot be read: {error}"));
            Vec::new()
        });
        let mut source = Self { kv, waiting: BTreeMap::new(), forgotten, _lock: lock };
        source.read_tail(folder, tell)?;
        Ok(source)
    }

    fn read_tail(&mut self, folder: &Path, tell: &mut Tell<'_>) -> Result<(), DumpError> {
        let folder = folder.join("tail");
        if !folder.exists() {
            return Ok(());
        }
        let left = match tail::left(&folder) {
            Ok(left) => left,
            Err(error) => {
                tell(&format!("the files of pieces cannot be read: {error}"));
                return Ok(());
            }
        };
        for (segment, bytes) in left.torn {
            tell(&format!(
                "the last {bytes} bytes of file {segment} of pieces cannot be read: pieces of open answers are \
                 missing, unless the process was killed while it wrote them"
            ));
        }
        let mut frames = left.frames;
        frames.retain(|(log, _)| !self.forgotten.contains(log));
        for (log, (_, waiting)) in logs::waiting(frames, &mut |log| stored_head(&self.kv, log))? {
            if !waiting.is_empty() {
                self.waiting.insert(keys::head(&log), (log, waiting));
            }
        }
        Ok(())
    }
}

/// An engine with the changes of its journal laid over it.
pub(super) struct Overlaid {
    engine: Arc<dyn Kv>,
    recent: Recent,
}

impl Overlaid {
    fn read_journal(&self, folder: &Path) -> Result<(), StoreError> {
        let folder = folder.join("journal");
        if !folder.exists() {
            return Ok(());
        }
        let what = || "the mark of the journal".into();
        let mark = self.engine.get(keys::JOURNAL)?;
        let mark = mark.map(|mark| sealed::open_number(keys::JOURNAL, &mark, what)).transpose()?;
        let left = JournalFolder::new(folder).read_after(mark.unwrap_or(0))?;
        self.recent.add(left.changes);
        Ok(())
    }
}

impl Kv for Overlaid {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.recent.get(key).map_or_else(|| self.engine.get(key), Ok)
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.recent.scan_over(&*self.engine, range, direction, visit)
    }

    fn apply(&self, _: Arc<Changes>) -> Result<(), StoreError> {
        Err(io_error(&std::io::ErrorKind::ReadOnlyFilesystem.into()))
    }
}
