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
/// It is made where so many times its size are free.
const AMPLE: u64 = 2;
/// How long it is not tried again to bring it back.
const PAUSE: Duration = Duration::from_secs(10);

/// The file, there or not.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    /// How much it takes, in bytes; nothing on a small disk.
    size: Option<u64>,
    /// Nothing while it is there.
    missing: Mutex<Option<Missing>>,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    /// When to look whether it can come back.
    not_before: Instant,
    /// Whether its room was needed.
    released: bool,
}

impl Ballast {
    /// Makes the file if it is not there and there is ample room.
    pub(super) fn keep(folder: &Path) -> Self {
        let size = statvfs(folder).ok().and_then(|disk| size_on(disk.f_blocks.saturating_mul(disk.f_frsize)));
        let missing = Missing { not_before: Instant::now(), released: false };
        let ballast = Self { path: folder.join("ballast"), size, missing: Mutex::new(Some(missing)) };
        ballast.restore();
        ballast
    }

    /// Removes the file; says whether that made room.
    pub(super) fn release(&self) -> bool {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = fs::remove_file(&self.path).is_ok();
        let released = removed || missing.is_some_and(|missing| missing.released);
        *missing = Some(Missing { not_before: Instant::now() + PAUSE, released });
        if removed {
            tracing::warn!("the disk is full: the room that was kept for this is used");
        }
        removed
    }

    /// Brings the file back if it is missing and there is ample room again. Cheap while it is there.
    pub(super) fn restore(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Missing { not_before, released }) = *missing
            && Instant::now() >= not_before
        {
            let not_before = Instant::now() + PAUSE;
            *missing = if self.make() { None } else { Some(Missing { not_before, released }) };
        }
    }

    /// Whether its room is not in use: brings it back if it was released and there is ample room again.
    pub(super) fn is_back(&self) -> bool {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.is_some_and(|missing| missing.released) && self.make() {
            *missing = None;
        }
        missing.is_none_or(|missing| !missing.released)
    }

    /// Says whether the file is there now.
    fn make(&self) -> bool {
        self.size.is_some_and(|size| {
            make(&self.path, size).unwrap_or_else(|error| {
                tracing::debug!(%error, "no room can be kept for a full disk");
                let _gone = fs::remove_file(&self.path);
                false
            })
        })
    }
}

/// Says whether the file is there now.
fn make(path: &Path, size: u64) -> io::Result<bool> {
    let disk = statvfs(path.parent().unwrap_or(path))?;
    let available = disk.f_bavail.saturating_mul(disk.f_frsize);
    // One that is shorter is what a crash left of making it.
    let there = fs::metadata(path).map_or(0, |found| found.len());
    if there >= size {
        return Ok(true);
    }
    if available < size.saturating_mul(AMPLE) {
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
        assert!(ballast.is_back(), "unless somebody waits for it");
        assert!(folder.path().join("ballast").exists());
    }
}
