//! Whether pieces that were written but not synced may be gone.
//!
//! They survive the death of the process and not that of the machine. The kernel names each of its starts, so a
//! folder that was not closed cleanly and was last open under another name has been through a power cut.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Where Linux says under which name it runs.
const KERNEL: &str = "/proc/sys/kernel/random/boot_id";
/// Every content has this length, so that writing needs no room on a full disk.
const LENGTH: usize = 36;

const CLOSED: &str = "closed";
const LOST: &str = "lost";
/// A kernel that does not say its name is another one each time.
const UNKNOWN: &str = "unknown";

/// The file in a data folder that says how it was left.
#[derive(Debug)]
pub(super) struct Boot {
    file: File,
    kernel: String,
    now: Mutex<Now>,
}

/// What the folder goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// Not open yet: the file is as it was found.
    Opening,
    /// What was lost, if anything was, has been dealt with.
    Settled,
    /// Nobody has dealt with it, so the next open must know too.
    Lost,
}

impl Boot {
    /// Reads how the folder was left, and whether pieces may be lost. Changes nothing but a missing file.
    pub(super) fn read(folder: &Path) -> io::Result<(Self, bool)> {
        let kernel = std::fs::read_to_string(KERNEL).unwrap_or_else(|_| UNKNOWN.into());
        Self::read_as(folder, kernel.trim())
    }

    /// The same, under this name of the kernel's start.
    fn read_as(folder: &Path, kernel: &str) -> io::Result<(Self, bool)> {
        let path = folder.join("boot");
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut found = String::new();
        // What is no text says nothing, as half a write does.
        let _unreadable = file.read_to_string(&mut found);
        let found = found.trim();
        let lost = match found {
            // A folder of an earlier version: it does not say, but a clean end leaves no pieces.
            "" if is_new => holds_pieces(folder),
            CLOSED => false,
            same => same != kernel || kernel == UNKNOWN,
        };
        if is_new {
            File::open(folder)?.sync_all()?;
        }
        let now = Mutex::new(Now::Opening);
        Ok((Self { file, kernel: kernel.into(), now }, lost))
    }

    /// From now on the folder is open.
    pub(super) fn open(&self, lost: bool) -> io::Result<()> {
        self.write(if lost { LOST } else { &self.kernel })?;
        self.set(if lost { Now::Lost } else { Now::Settled });
        Ok(())
    }

    fn settle(&self) -> io::Result<()> {
        self.write(&self.kernel)?;
        self.set(Now::Settled);
        Ok(())
    }

    /// All that was written is synced.
    fn close(&self) {
        let now = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now == Now::Settled
            && let Err(error) = self.write(CLOSED)
        {
            tracing::warn!(%error, "that the store was closed cleanly cannot be written down");
        }
    }

    fn write(&self, content: &str) -> io::Result<()> {
        let content: String = content.chars().take(LENGTH).collect();
        self.file.write_all_at(format!("{content:LENGTH$}\n").as_bytes(), 0)?;
        self.file.sync_data()
    }

    fn set(&self, now: Now) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// Closes the folder when it goes.
#[derive(Debug)]
pub(super) struct Closing(pub(super) Arc<Boot>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The machine went down while the store was open: entries of pieces that somebody was shown may be gone from
/// the ends of logs. Every open says so until it is settled.
#[derive(Debug)]
#[must_use]
pub struct LostPieces(pub(super) Arc<Boot>);

impl LostPieces {
    /// Whatever follows from it has been written, and synced.
    ///
    /// # Errors
    /// What the disk says; then the next open says again that pieces may be lost.
    pub fn settle(&self) -> io::Result<()> {
        self.0.settle()
    }
}

fn holds_pieces(folder: &Path) -> bool {
    folder.join("tail").read_dir().is_ok_and(|mut files| files.next().is_some())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    /// Opens a folder under a kernel, and lets go of it; says whether pieces may be lost.
    fn open(folder: &Path, kernel: &str, end: End) -> bool {
        let (boot, lost) = Boot::read_as(folder, kernel).unwrap();
        if end == End::Failed {
            return lost;
        }
        boot.open(lost).unwrap();
        if end == End::Settled {
            boot.settle().unwrap();
        }
        if end != End::Killed {
            drop(Closing(Arc::new(boot)));
        }
        lost
    }

    #[derive(PartialEq)]
    enum End {
        Failed,
        Killed,
        Closed,
        Settled,
    }

    #[test]
    fn pieces_may_be_lost_when_the_machine_was_restarted_while_the_store_was_open() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!open(folder, "first", End::Killed));
        assert!(!open(folder, "first", End::Closed), "the process was killed, the machine ran on");
        assert!(!open(folder, "second", End::Killed), "it was closed before the restart");
        assert!(open(folder, "third", End::Failed));
        assert!(open(folder, "third", End::Killed), "an open that failed changes nothing");
        assert!(open(folder, "third", End::Closed), "nobody has settled it");
        assert!(open(folder, "third", End::Settled));
        assert!(!open(folder, "fourth", End::Killed));
    }

    #[test]
    fn a_kernel_without_a_name_is_another_each_time() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!open(folder.path(), UNKNOWN, End::Killed));
        assert!(open(folder.path(), UNKNOWN, End::Settled));
        assert!(!open(folder.path(), UNKNOWN, End::Killed));
    }

    #[test]
    fn a_folder_of_an_earlier_version_with_pieces_in_it_may_have_lost_some() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tail")).unwrap();
        std::fs::write(folder.path().join("tail/00000001.log"), "").unwrap();
        assert!(open(folder.path(), "first", End::Settled));
    }
}
