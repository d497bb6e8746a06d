//! What the kernel asks, and the faults it is answered with.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::process::{Pid, Signal, kill_process};

use super::content::{Content, PAGE};
use super::tree::{Folder, Kind, Node};
use super::{State, lock};

/// The kernel keeps nothing in mind: each question is asked.
const NOT_KEPT: Duration = Duration::ZERO;
const ONE_LIFE: Generation = Generation(0);
const NO_HANDLE: FileHandle = FileHandle(0);
/// The disk's size where nothing else is said, in bytes.
const LARGE: u64 = 1 << 36;

/// The file system.
pub(super) struct Fuse(pub(super) Arc<Mutex<State>>);

impl State {
    /// Something is to be changed: goes ahead, fails, or costs a life.
    fn change(&mut self, request: &Request) -> Result<(), Errno> {
        if self.faults.frozen {
            return Err(Errno::EIO);
        }
        self.operations += 1;
        if self.faults.kill_at == Some(self.operations) {
            self.faults.frozen = true;
            let pid = i32::try_from(request.pid()).ok().and_then(Pid::from_raw);
            let _gone = pid.map(|pid| kill_process(pid, Signal::KILL));
            return Err(Errno::EIO);
        }
        if self.faults.writes_fail { Err(Errno::EIO) } else { Ok(()) }
    }

    fn sync_fails(&mut self) -> bool {
        let fails = self.faults.syncs_that_fail > 0;
        self.faults.syncs_that_fail = self.faults.syncs_that_fail.saturating_sub(1);
        fails
    }

    fn make(
        &mut self,
        request: &Request,
        (folder, name): (INodeNo, &OsStr),
        mode: u32,
        kind: Kind,
    ) -> Result<FileAttr, Errno> {
        self.change(request)?;
        let number = self.tree.create(folder.0, name, mode & 0o7777, kind)?;
        self.attributes(INodeNo(number))
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        Ok(attributes(number, self.tree.node(number.0)?))
    }

    fn write(&mut self, request: &Request, number: INodeNo, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        self.change(request)?;
        let more = self.tree.file(number.0)?.pages_for(offset, bytes.len() as u64) * PAGE;
        if more > 0 && self.faults.room.is_some_and(|room| self.tree.used() + more > room) {
            return Err(Errno::ENOSPC);
        }
        self.tree.file(number.0)?.write(offset, bytes);
        Ok(bytes.len() as u32)
    }

    fn set(
        &mut self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        size: Option<u64>,
    ) -> Result<FileAttr, Errno> {
        if let Some(size) = size {
            self.change(request)?;
            self.tree.file(number.0)?.resize(size);
        }
        if let Some(mode) = mode {
            self.tree.node_mut(number.0)?.mode = mode & 0o7777;
        }
        self.attributes(number)
    }

    fn read(&mut self, number: INodeNo, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        if self.faults.reads_fail {
            return Err(Errno::EIO);
        }
        Ok(self.tree.file(number.0)?.read(offset, size.into()))
    }

    fn sync(&mut self, request: &Request, number: INodeNo) -> Result<(), Errno> {
        self.change(request)?;
        let fails = self.sync_fails();
        let content = self.tree.file(number.0)?;
        if fails {
            content.fail_sync();
            return Err(Errno::EIO);
        }
        content.sync();
        Ok(())
    }

    fn sync_folder(&mut self, request: &Request, number: INodeNo) -> Result<(), Errno> {
        self.change(request)?;
        if self.sync_fails() {
            return Err(Errno::EIO);
        }
        self.tree.sync_folder(number.0)
    }
}

fn attributes(ino: INodeNo, node: &Node) -> FileAttr {
    let (kind, size, blocks) = match &node.kind {
        Kind::File(content) => (FileType::RegularFile, content.size(), content.pages() * PAGE / 512),
        Kind::Folder(_) => (FileType::Directory, 0, 0),
    };
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino,
        size,
        blocks,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: node.mode as u16,
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: PAGE as u32,
        flags: 0,
    }
}

impl Fuse {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.entry(&NOT_KEPT, &attributes, ONE_LIFE),
        Err(error) => reply.error(error),
    }
}

fn attribute(reply: ReplyAttr, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.attr(&NOT_KEPT, &attributes),
        Err(error) => reply.error(error),
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Fuse {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        let found = state.tree.find(parent.0, name);
        entry(reply, found.and_then(|number| state.attributes(INodeNo(number))));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attribute(reply, self.state().attributes(ino));
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        attribute(reply, self.state().set(request, ino, mode, size));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let kind = Kind::Folder(Folder::default());
        entry(reply, self.state().make(request, (parent, name), mode, kind));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let done = state.change(request).and_then(|()| state.tree.remove(parent.0, name));
        empty(reply, done);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(request, parent, name, reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = self.state();
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && state.tree.find(newparent.0, newname).is_ok() {
            return reply.error(Errno::EEXIST);
        }
        let (from, to) = ((parent.0, name), (newparent.0, newname));
        let done = state.change(request).and_then(|()| state.tree.rename(from, to));
        empty(reply, done);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(NO_HANDLE, FopenFlags::FOPEN_DIRECT_IO);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let kind = Kind::File(Content::default());
        match self.state().make(request, (parent, name), mode, kind) {
            Ok(made) => reply.created(&NOT_KEPT, &made, ONE_LIFE, NO_HANDLE, FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.state().read(ino, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        request: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.state().write(request, ino, offset, data) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, request: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.state().sync(request, ino));
    }

    fn fsyncdir(&self, request: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.state().sync_folder(request, ino));
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let folder = match state.tree.folder(ino.0) {
            Ok(folder) => folder,
            Err(error) => return reply.error(error),
        };
        for (place, (name, number)) in folder.names.iter().enumerate().skip(offset as usize) {
            let number = INodeNo(*number);
            let Ok(found) = state.attributes(number) else { continue };
            if reply.add(number, place as u64 + 1, found.kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let state = self.state();
        let all = state.faults.room.unwrap_or(LARGE);
        let free = all.saturating_sub(state.tree.used()) / PAGE;
        reply.statfs(all / PAGE, free, free, 1 << 20, 1 << 20, PAGE as u32, 255, PAGE as u32);
    }

    fn fallocate(
        &self,
        request: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        let zeros = vec![0; length as usize];
        let done = self.state().write(request, ino, offset, &zeros);
        empty(reply, done.map(drop));
    }
}
