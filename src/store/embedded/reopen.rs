//! The way back after a failure: what the engine holds then is unknown, so it is opened anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Engine;
use super::committer::{begun_forgetting, finish_forgetting, stored_head};
use super::kv::{Changes, Direction, Kv, Visit, io_error};
use super::logs::Logs;
use crate::store::StoreError;

/// How long nothing is tried after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// sled cannot even be opened on a full disk, so as much has to fit before it is closed.
const PROBE_BYTES: usize = 1024 * 1024;

/// Opens the engine.
pub(super) type OpenKv = Box<dyn Fn() -> Result<Arc<dyn Kv>, StoreError> + Send>;

/// Tries to open the engine again when a write comes, at most once a second.
pub(super) struct Reopen {
    /// Opens a new one once the old one is gone.
    pub(super) open: OpenKv,
    /// Where there must be room for it.
    pub(super) folder: Option<PathBuf>,
    /// When it may be tried again.
    pub(super) not_before: Option<Instant>,
}

impl Reopen {
    /// Says whether writes may go on.
    pub(super) fn attempt(&mut self, engine: &Engine, logs: &Logs) -> bool {
        if self.not_before.is_some_and(|moment| Instant::now() < moment) {
            return false;
        }
        match self.reopen(engine, logs) {
            Ok(()) => {
                tracing::info!("the store takes writes again");
                self.not_before = None;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the store cannot be opened again yet");
                self.not_before = Some(Instant::now() + PAUSE);
                false
            }
        }
    }

    fn reopen(&self, engine: &Engine, logs: &Logs) -> Result<(), StoreError> {
        if let Some(folder) = &self.folder {
            probe(folder).map_err(|error| io_error(&error))?;
        }
        engine.replace(Arc::new(Closed));
        let kv = catch_unwind(AssertUnwindSafe(|| (self.open)()))
            .map_err(|_| StoreError::Damaged("the engine panicked when it was opened".into()))??;
        let begun = begun_forgetting(&*kv)?;
        logs.reset(&begun, |log| stored_head(&*kv, log))?;
        begun.iter().try_for_each(|log| finish_forgetting(&*kv, log))?;
        engine.replace(kv);
        logs.mend();
        Ok(())
    }
}

/// Whether the disk takes a little.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![1; PROBE_BYTES])?;
        file.sync_all()
    });
    // On a full disk too: it must not take the room it looks for.
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// Stands in while there is no engine.
struct Closed;

impl Closed {
    fn refuse<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("it is being opened again".into()))
    }
}

impl Kv for Closed {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Self::refuse()
    }

    fn scan(&self, _: Range<&[u8]>, _: Direction, _: &mut Visit<'_>) -> Result<(), StoreError> {
        Self::refuse()
    }

    fn apply(&self, _: Arc<Changes>) -> Result<(), StoreError> {
        Self::refuse()
    }

    fn blocks(&self) -> bool {
        false
    }
}
