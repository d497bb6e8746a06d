//! From a data folder to a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::applied::Applied;
use super::ballast::Ballast;
use super::boot::{Boot, Closing, LostPieces};
use super::committer::{begun_forgetting, finish_forgetting, stored_head};
use super::guarded::Guarded;
use super::journal::JournalFolder;
use super::journaled::{Journaled, Limits};
use super::kv::{Changes, Kv};
use super::lock::FolderLock;
use super::logs::Logs;
use super::memory::Memory;
use super::redb::Redb;
use super::reopen::Reopen;
use super::sled::Sled;
use super::tail::{Frame, Tail};
use super::{EmbeddedStore, Engine, Held, folder, keys};
use crate::store::{OpenError, Store, StoreConfig, StoreError};

/// What we write and read. Kept in plain digits, so that any version can say what it found.
const FORMAT: &str = "1";

/// A store, and what is to be known of how it was left.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// There if pieces that were written but not synced may be gone: the machine was restarted, and the store
    /// had not been closed.
    pub lost: Option<LostPieces>,
}

/// Opens the store in `folder`, which is created for its owner alone if it is not there.
///
/// The folder belongs to the store until the last handle is dropped. That is the clean end: dropping commits
/// what was sent, syncs, and lets go of the folder, and blocks for that long.
///
/// # Errors
/// Says in a sentence why it cannot be used.
pub async fn open(config: &StoreConfig, folder: &Path) -> Result<Opened, OpenError> {
    let config = *config;
    let owned = folder.to_path_buf();
    let opened = tokio::task::spawn_blocking(move || open_blocking(config, &owned)).await;
    opened
        .unwrap_or_else(|panic| Err(OpenError::Damaged { folder: folder.into(), reason: panic.to_string() }))
}

fn open_blocking(config: StoreConfig, folder: &Path) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io { folder: folder.into(), source };
    if matches!(config, StoreConfig::Memory {}) {
        let engine = Engine::new(Arc::new(Memory::default()), None);
        // It never fails, so it is never opened again.
        let reopen = Reopen::new(Box::new(|| Ok(Arc::new(Memory::default()))), None);
        let store = Arc::new(EmbeddedStore::start(engine, Logs::new(None), reopen).map_err(io)?);
        return Ok(Opened { store, lost: None });
    }
    folder::create(folder).map_err(io)?;
    let lock = FolderLock::take(folder)?;
    let ballast = Ballast::keep(folder);
    let journal = Arc::new(JournalFolder::new(folder.join("journal")));
    let opened = match open_parts(config, folder, &journal) {
        Err(error) if error.is_full() && ballast.release() => open_parts(config, folder, &journal),
        opened => opened,
    };
    let Parts { kv, logs, boot, lost } = opened?;
    let held = Held { ballast, _closing: Closing(Arc::clone(&boot)), _lock: lock };
    let engine = Engine::new(kv, Some(held));
    let store = Arc::new(EmbeddedStore::start(engine, logs, reopen(config, folder, journal)).map_err(io)?);
    Ok(Opened { store, lost: lost.then(|| LostPieces(boot)) })
}

/// What a store on a disk is made of.
struct Parts {
    kv: Arc<dyn Kv>,
    logs: Logs,
    boot: Arc<Boot>,
    lost: bool,
}

fn open_parts(config: StoreConfig, folder: &Path, journal: &Arc<JournalFolder>) -> Result<Parts, OpenError> {
    let io = |source| OpenError::Io { folder: folder.into(), source };
    let (boot, lost) = Boot::read(folder).map_err(io)?;
    let kv = open_journaled(config, folder, journal)?;
    let (tail, frames) = Tail::open(&folder.join("tail")).map_err(io)?;
    let logs = Logs::new(Some(tail));
    recover(&*kv, &logs, frames).map_err(|error| open_error(folder, error))?;
    // Last, for an open that fails must not forget that pieces were lost.
    boot.open(lost).map_err(io)?;
    Ok(Parts { kv, logs, boot: Arc::new(boot), lost })
}

fn reopen(config: StoreConfig, folder: &Path, journal: Arc<JournalFolder>) -> Reopen {
    let owned = folder.to_path_buf();
    let open = move || {
        open_journaled(config, &owned, &journal).map_err(|error| {
            if error.is_full() { StoreError::Full } else { StoreError::Unavailable(error.to_string().into()) }
        })
    };
    Reopen::new(Box::new(open), Some(folder.into()))
}

/// Finishes what the last process had begun: takes over its pieces, and takes away what was being forgotten.
/// In this order, for the mark of a forgotten log also says that its pieces are void.
pub(super) fn recover(kv: &dyn Kv, logs: &Logs, mut frames: Vec<Frame>) -> Result<(), StoreError> {
    let begun = begun_forgetting(kv)?;
    frames.retain(|(log, _)| !begun.contains(log));
    logs.recover(frames, |log| stored_head(kv, log))?;
    begun.iter().try_for_each(|log| finish_forgetting(kv, log))
}

/// The format is known before anything is read from the journal or written to the engine.
fn open_journaled(
    config: StoreConfig,
    folder: &Path,
    journal: &Arc<JournalFolder>,
) -> Result<Arc<dyn Kv>, OpenError> {
    let engine = open_engine(config, folder)?;
    // An engine that has lost everything looks like a new one, so this comes first.
    Applied::of(folder).check(&*engine).map_err(|error| open_error(folder, error))?;
    check_format(&*engine, folder)?;
    let journaled = Journaled::open(engine, Arc::clone(journal), Limits::default());
    Ok(Arc::new(journaled.map_err(|error| open_error(folder, error))?))
}

pub(super) fn open_engine(config: StoreConfig, folder: &Path) -> Result<Arc<dyn Kv>, OpenError> {
    let failed = |error| open_error(folder, error);
    match config {
        StoreConfig::Memory {} => Ok(Arc::new(Memory::default())),
        StoreConfig::Sled { cache_mib } => {
            refuse_other(folder, "redb", "sled")?;
            let path = folder.join("sled");
            Ok(Arc::new(Guarded::open(folder, || Sled::open(&path, cache_mib)).map_err(failed)?))
        }
        StoreConfig::Redb { cache_mib } => {
            refuse_other(folder, "sled", "redb")?;
            let path = folder.join("redb");
            Ok(Arc::new(Guarded::open(folder, || Redb::open(&path, cache_mib)).map_err(failed)?))
        }
    }
}

/// Where an engine keeps what it has; nowhere if it forgets.
pub(super) fn engine_path(config: &StoreConfig, folder: &Path) -> Option<PathBuf> {
    match config {
        StoreConfig::Memory {} => None,
        StoreConfig::Sled { .. } => Some(folder.join("sled")),
        StoreConfig::Redb { .. } => Some(folder.join("redb")),
    }
}

/// A folder filled by another engine would look empty, and its pieces would be thrown away.
fn refuse_other(folder: &Path, other: &str, known: &str) -> Result<(), OpenError> {
    if folder.join(other).exists() {
        return Err(OpenError::Format { folder: folder.into(), found: other.into(), known: known.into() });
    }
    Ok(())
}

/// Reads the format, or writes ours into an empty folder.
pub(super) fn check_format(kv: &dyn Kv, folder: &Path) -> Result<(), OpenError> {
    if read_format(kv, folder)? {
        return Ok(());
    }
    let changes = Changes::from([(keys::FORMAT.to_vec(), Some(FORMAT.into()))]);
    kv.apply(Arc::new(changes)).map_err(|error| open_error(folder, error))
}

/// Whether the format is written there; then it is ours.
///
/// # Errors
/// [`OpenError::Format`] if it is another one.
pub(super) fn read_format(kv: &dyn Kv, folder: &Path) -> Result<bool, OpenError> {
    match kv.get(keys::FORMAT).map_err(|error| open_error(folder, error))? {
        Some(found) if found != FORMAT.as_bytes() => {
            let found = String::from_utf8_lossy(&found).into_owned();
            Err(OpenError::Format { folder: folder.into(), found, known: FORMAT.into() })
        }
        found => Ok(found.is_some()),
    }
}

pub(super) fn open_error(folder: &Path, error: StoreError) -> OpenError {
    let folder = folder.into();
    match error {
        StoreError::Damaged(reason) => OpenError::Damaged { folder, reason: reason.to_string() },
        StoreError::Full => OpenError::Io { folder, source: std::io::ErrorKind::StorageFull.into() },
        error @ (StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::TooLarge { .. }) => {
            OpenError::Io { folder, source: std::io::Error::other(error.to_string()) }
        }
    }
}
