//! Folders whose names outlive a power cut.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Creates a folder and those above it, for their owner alone, unless they are there.
pub(super) fn create(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        if let Some(parent) = above(folder).filter(|parent| !parent.is_dir()) {
            create(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            created => created?,
        }
    }
    // Also if it was there: whoever made it may have died before it came to this.
    above(folder).map_or(Ok(()), sync_names)
}

/// The names in a folder outlive a power cut from now on, not what is in the files.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A folder that may be used but not listed cannot be synced, and is not ours.
fn sync_names(folder: &Path) -> io::Result<()> {
    match sync(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

fn above(folder: &Path) -> Option<&Path> {
    let parent = folder.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}
