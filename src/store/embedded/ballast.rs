//! Room that is kept for a full disk: a file that can be removed when the store must be opened, or something
//! must be taken away from it, and nothing else is free.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

const MIB: u64 = 1024 * 1024;
/// It never takes more.
const LARGEST: u64 = 16 * MIB;
/// With less nothing could be opened.
const SMALLEST: u64 = 2 * MIB;
/// A file system that is smaller has no room to spare.
const SMALLEST_DISK: u64 = 16 * MIB;
/// It takes one part of so many.
const SHARE: u64 = 50;
/// How long it is not tried again to bring it back.
const PAUSE: Duration = Duration::from_secs(10);

/// The file, there or not.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    /// When to look whether it can come back; never while it is there.
    missing: Mutex<Option<Instant>>,
}

impl Ballast {
    /// Makes the file if it is not there and there is ample room.
    pub(super) fn keep(folder: &Path) -> Self {
        let ballast = Self { path: folder.join("ballast"), missing: Mutex::new(Some(Instant::now())) };
        ballast.restore();
        ballast
    }

    /// Removes the file; says whether that made room.
    pub(super) fn release(&self) -> bool {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = Some(Instant::now() + PAUSE);
        let removed = fs::remove_file(&self.path).is_ok();
        if removed {
            tracing::warn!("the disk is full: the room that was kept for this is used");
        }
        removed
    }

    /// Brings the file back if it is missing and there is ample room again. Cheap while it is there.
    pub(super) fn restore(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.is_none_or(|moment| Instant::now() < moment) {
            return;
        }
        *missing = match make(&self.path) {
            Ok(true) => None,
            Ok(false) => Some(Instant::now() + PAUSE),
            Err(error) => {
                tracing::debug!(%error, "no room can be kept for a full disk");
                let _gone = fs::remove_file(&self.path);
                Some(Instant::now() + PAUSE)
            }
        };
    }
}

/// Says whether the file is there now.
fn make(path: &Path) -> io::Result<bool> {
    let disk = statvfs(path.parent().unwrap_or(path))?;
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    let available = disk.f_bavail.saturating_mul(disk.f_frsize);
    let Some(size) = size_on(total) else { return Ok(false) };
    // One that is shorter is what a crash left of making it.
    let there = fs::metadata(path).map_or(0, |found| found.len());
    if there >= size.min(LARGEST) {
        return Ok(true);
    }
    if available < size.saturating_mul(4) {
        return Ok(false);
    }
    allocate(&File::create(path)?, size)?;
    Ok(true)
}

/// How much it takes of a file system, in bytes; nothing of a small one.
fn size_on(total: u64) -> Option<u64> {
    (total >= SMALLEST_DISK).then(|| (total / SHARE).clamp(SMALLEST, LARGEST))
}

/// A file with holes would keep no room.
fn allocate(mut file: &File, size: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; MIB as usize];
            (0..size.div_ceil(MIB)).try_for_each(|_| file.write_all(&zeros))?;
        }
        done => done?,
    }
    file.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn it_takes_a_little_of_a_disk_and_nothing_of_a_small_one() {
        assert_eq!(size_on(8 * MIB), None);
        assert_eq!(size_on(20 * MIB), Some(2 * MIB));
        assert_eq!(size_on(200 * MIB), Some(4 * MIB));
        assert_eq!(size_on(1024 * 1024 * MIB), Some(16 * MIB));
    }

    #[test]
    fn what_it_keeps_is_really_taken_and_is_given_back_once() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::keep(folder.path());
        let Ok(file) = fs::metadata(folder.path().join("ballast")) else { return };
        assert!(file.blocks() * 512 >= file.len());
        assert!(ballast.release());
        assert!(!ballast.release());
        ballast.restore();
        assert!(!folder.path().join("ballast").exists(), "not at once");
    }
}
