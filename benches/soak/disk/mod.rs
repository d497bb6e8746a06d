//! A disk that loses its power, fills up and fails when it is told to.
//!
//! It is a file system in memory, served to the kernel through FUSE, so that the real program stands on it. It knows
//! of each file and each folder what was synced, and a power cut leaves that and nothing that can be relied on
//! beside. `sync_file_range` never reaches it, as it never reached a platter.

mod content;
mod fuse;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use fuser::{BackgroundSession, Config, MountOption};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;

use self::fuse::Fuse;
use self::tree::Tree;
use crate::dice::Dice;

/// Begins the name a mount has in the list of mounts; the process id follows.
const NAME: &str = "runhold-faulty-disk-";

/// What is wrong with it now.
#[derive(Debug, Default)]
struct Faults {
    room: Option<u64>,
    reads_fail: bool,
    writes_fail: bool,
    syncs_that_fail: u64,
    kill_at: Option<u64>,
    /// The one who wrote is dead: nothing of what it still has on the way arrives.
    frozen: bool,
}

struct State {
    tree: Tree,
    faults: Faults,
    operations: u64,
}

/// What was on a disk.
pub(crate) struct Image(Tree);

/// A mounted disk; unmounted when it is dropped.
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
    folder: TempDir,
}

impl Disk {
    /// An empty disk without faults.
    pub(crate) fn mount() -> Self {
        sweep();
        let folder = TempDir::new().unwrap();
        let state = State { tree: Tree::default(), faults: Faults::default(), operations: 0 };
        let state = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(format!("{NAME}{}", std::process::id()))];
        let session = fuser::spawn_mount(Fuse(Arc::clone(&state)), folder.path(), &config).unwrap();
        Self { state, session: Some(session), folder }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The power goes and comes back: what was not synced is lost, all of it or in part. Whoever wrote must be dead.
    pub(crate) fn cut_power(&self, dice: &mut Dice) {
        let mut state = self.state();
        state.faults = Faults::default();
        state.tree.cut(dice);
    }

    /// The process that asks for the `operation`th change from now on is killed instead of served.
    pub(crate) fn kill_at(&self, operation: u64) {
        let mut state = self.state();
        state.operations = 0;
        state.faults.kill_at = Some(operation);
    }

    /// What was given to [`Disk::kill_at`].
    pub(crate) fn killing_at(&self) -> Option<u64> {
        self.state().faults.kill_at
    }

    /// Changes asked for since the last [`Disk::kill_at`].
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Nobody is killed any more. Says whether somebody was.
    pub(crate) fn spare(&self) -> bool {
        let mut state = self.state();
        state.faults.kill_at = None;
        std::mem::take(&mut state.faults.frozen)
    }

    /// What is on it, synced or not.
    pub(crate) fn image(&self) -> Image {
        Image(self.state().tree.clone())
    }

    /// Goes back to an image. Whoever wrote must be dead.
    pub(crate) fn restore(&self, image: &Image) {
        let mut state = self.state();
        state.faults = Faults::default();
        state.tree = image.0.clone();
    }

    /// Bytes it holds now.
    pub(crate) fn used(&self) -> u64 {
        self.state().tree.used()
    }

    /// Holds at most so many bytes; none: as many as there are.
    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.state().faults.room = bytes;
    }

    /// Whether reads of files end in EIO.
    pub(crate) fn fail_reads(&self, fail: bool) {
        self.state().faults.reads_fail = fail;
    }

    /// Whether changes end in EIO.
    pub(crate) fn fail_writes(&self, fail: bool) {
        self.state().faults.writes_fail = fail;
    }

    /// So many syncs from now on fail, and what they should have synced counts as clean, as on Linux: it can still be
    /// read, and is lost with the power.
    pub(crate) fn fail_syncs(&self, count: u64) {
        self.state().faults.syncs_that_fail = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, for the last user may not have closed its files yet.
        let gone = unmount(self.path(), UnmountFlags::DETACH);
        drop(self.session.take());
        if let Err(error) = gone
            && !std::thread::panicking()
        {
            panic!("the disk cannot be unmounted: {error}");
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Unmounts what a killed test left behind.
fn sweep() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(place)) = (words.next(), words.next()) else { continue };
        let owner = name.strip_prefix(NAME).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        if owner.is_some_and(|owner| test_kill_process(owner).is_err()) {
            let place = PathBuf::from(place);
            let _gone = unmount(&place, UnmountFlags::DETACH);
            let _gone = std::fs::remove_dir(&place);
        }
    }
}
