//! Files that a session begins with: those its capabilities bring, and those its client gave.

use super::Runtime;
use crate::capability::Mount;
use crate::capability::files::{FileError, Files, Onto, Write};
use crate::domain::file::FilePath;
use crate::domain::id::{Owner, SessionId};

impl Runtime {
    /// Puts files into a session. What is there already is left alone, and a file that cannot be put there is
    /// passed over: a session is worth more than the files it was to begin with.
    pub async fn mount(&self, owner: &Owner, session: &SessionId, mounts: &[Mount]) {
        let files = self.files(owner, session);
        for mount in mounts {
            let path = match FilePath::parse(&mount.path) {
                Ok(path) => path,
                Err(reason) => {
                    tracing::warn!(%session, path = mount.path, "a file is not mounted: {reason}");
                    continue;
                }
            };
            let how = Write { onto: Onto::Nothing, readonly: Some(mount.readonly) };
            match files.write(&path, mount.content.clone(), how).await {
                Ok(_) | Err(FileError::Exists(_)) => {}
                Err(reason) => tracing::warn!(%session, %path, "a file is not mounted: {reason}"),
            }
        }
    }
}
