//! One process, one data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::store::OpenError;

/// A process that is just ending gets as long to let go.
const PATIENCE: Duration = Duration::from_secs(1);

/// Held until it is dropped; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock and leaves our process id for the next one to read. Blocks for up to a second.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if somebody else has it.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { folder: folder.into(), source };
        let path = folder.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(io)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(io(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&mut file).unwrap_or_else(|| "unknown".into());
                    return Err(OpenError::InUse { folder: folder.into(), pid });
                }
            }
        }
        sign(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<String> {
    let mut pid = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut pid).ok()?;
    let pid = pid.trim();
    (!pid.is_empty()).then(|| pid.to_owned())
}
