//! The way back after a failure: what the engine holds then is unknown, so it is opened anew.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Engine;
use super::ballast::Ballast;
use super::committer::{begun_forgetting, finish_forgetting, stored_head};
use super::kv::{Kv, io_error};
use super::logs::Logs;
use crate::store::StoreError;

/// How long nothing is tried after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// sled cannot even be opened on a full disk, so as much has to fit before it is closed.
const PROBE_BYTES: usize = 1024 * 1024;
/// As long an engine gets to let go of its file.
const RELEASE: Duration = Duration::from_secs(2);
/// A file is written again in pieces of this size.
const PIECE_BYTES: usize = 1024 * 1024;

/// Opens the engine.
pub(super) type OpenKv = Box<dyn Fn() -> Result<Arc<dyn Kv>, StoreError> + Send>;

/// Opens the engine again, and tries it at most once a second.
pub(super) struct Reopen {
    /// Opens a new one once the old one is gone.
    open: OpenKv,
    /// Where there must be room for it.
    folder: Option<PathBuf>,
    /// When it may be tried again.
    not_before: Option<Instant>,
    /// The engine was opened again, and has used the room that is kept for a full disk.
    tight: bool,
}

impl Reopen {
    /// An engine that is open.
    pub(super) fn new(open: OpenKv, folder: Option<PathBuf>) -> Self {
        Self { open, folder, not_before: None, tight: false }
    }

    /// Says whether writes may go on.
    pub(super) fn attempt(&mut self, engine: &Engine, logs: &Logs) -> bool {
        if self.not_before.is_some_and(|moment| Instant::now() < moment) {
            return false;
        }
        match self.mend(engine, logs) {
            Ok(()) => {
                tracing::info!("the store takes writes again");
                self.not_before = None;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the store takes no writes yet");
                self.not_before = Some(Instant::now() + PAUSE);
                false
            }
        }
    }

    /// The engine is open, and only what makes room may be written.
    pub(super) fn is_tight(&self) -> bool {
        self.tight
    }

    /// The engine failed: it must be opened again.
    pub(super) fn failed(&mut self) {
        self.tight = false;
    }

    /// There is room now: what was put off is tried at once.
    pub(super) fn hurry(&mut self) {
        self.not_before = None;
    }

    fn mend(&mut self, engine: &Engine, logs: &Logs) -> Result<(), StoreError> {
        if !self.tight {
            self.reopen(engine, logs).inspect_err(|_| read_on(engine))?;
            self.tight = true;
        }
        // What grows now would take the room that was kept to open and to delete.
        if !engine.ballast().is_none_or(Ballast::is_back) {
            logs.refuse_growth();
            return Err(StoreError::Full);
        }
        self.tight = false;
        logs.mend();
        Ok(())
    }

    fn reopen(&self, engine: &Engine, logs: &Logs) -> Result<(), StoreError> {
        // The room to open is kept for this: an engine that failed does not read everything any more.
        let release = || engine.ballast().is_some_and(Ballast::release);
        match self.probe() {
            Err(StoreError::Full) if release() => self.probe(),
            probed => probed,
        }?;
        engine.close()?;
        let kv = match self.open_again() {
            Err(StoreError::Full) if release() => self.open_again(),
            opened => opened,
        }?;
        let begun = begun_forgetting(&*kv)?;
        logs.reset(&begun, |log| stored_head(&*kv, log))?;
        begun.iter().try_for_each(|log| finish_forgetting(&*kv, log))?;
        engine.open(kv);
        Ok(())
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.folder.as_deref().map_or(Ok(()), |folder| probe(folder).map_err(|error| io_error(&error)))
    }

    fn open_again(&self) -> Result<Arc<dyn Kv>, StoreError> {
        if let Some(folder) = &self.folder {
            write_again(folder).map_err(|error| io_error(&error))?;
        }
        catch_unwind(AssertUnwindSafe(|| (self.open)()))
            .map_err(|_| StoreError::Damaged("the engine panicked when it was opened".into()))?
    }
}

/// Where the engine itself has failed and cannot be opened again: what it held may be readable all the same.
fn read_on(engine: &Engine) {
    let reader = engine.now().and_then(|kv| kv.to_read());
    let shown = reader.map(|reader| {
        let reader = reader?;
        engine.close()?;
        engine.open(reader);
        Ok::<(), StoreError>(())
    });
    match shown {
        Some(Ok(())) => tracing::warn!("what the engine held when it failed is read from its file"),
        Some(Err(error)) => tracing::warn!(%error, "what the engine held when it failed cannot be read"),
        None => {}
    }
}

/// Whether the disk takes a little and gives it back. Before that the engine stays open: it can be read.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
    let written = opened.and_then(|file| {
        let mut bytes = vec![1; PROBE_BYTES];
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        file.read_exact_at(&mut bytes, 0)
    });
    // On a full disk too: it must not take the room it looks for.
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// After a sync that failed, the kernel takes for clean what never reached the disk: it can be read, and is lost with
/// the power, and an engine that goes on from there ends up with a hole. So it is written once more and synced.
/// What is in the journal is safe without: it is moved into the engine, and synced there, before a file of it goes.
fn write_again(folder: &Path) -> io::Result<()> {
    for engine in ["sled", "redb"].map(|name| folder.join(name)) {
        if engine.is_dir() {
            let _alone = alone(&engine.join("db"))?;
            for entry in engine.read_dir()? {
                let path = entry?.path();
                if path.is_file() {
                    write_file_again(&path)?;
                }
            }
        } else if engine.is_file() {
            let _alone = alone(&engine)?;
            write_file_again(&engine)?;
        }
    }
    Ok(())
}

/// What an engine writes meanwhile would be undone, and its threads may outlive it for a moment. Nobody else has the
/// file until this one is closed.
fn alone(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let deadline = Instant::now() + RELEASE;
    while let Err(error) = file.try_lock() {
        if Instant::now() > deadline {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(file)
}

fn write_file_again(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = 0;
    // What is a hole stays one.
    while let Some(next) = next_data(&file, at)? {
        let read = file.read_at(&mut buffer, next)?;
        if read == 0 {
            break;
        }
        file.write_all_at(buffer.get(..read).unwrap_or_default(), next)?;
        at = next + read as u64;
    }
    file.sync_all()
}

/// Where there is data from `at` on; nothing behind the last.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
