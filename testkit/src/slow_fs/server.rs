//! What the kernel asks for: counted, done on the disk at once, and answered when the time has come.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::AtFlags;

use super::attributes;
use super::disk::{Changes, Disk, Maker};
use super::line::Line;
use super::requests::RequestKind;

/// As much as CIFS writes at once at most.
const MAX_WRITE_BYTES: u32 = 4 << 20;

/// Serves the kernel.
pub(super) struct Server {
    disk: Disk,
    line: Arc<Line>,
    remembers: Duration,
}

impl Server {
    pub(super) fn new(directory: File, line: Arc<Line>, remembers: Duration) -> io::Result<Self> {
        Ok(Self { disk: Disk::new(directory.into())?, line, remembers })
    }

    /// Does something, and hands what came of it on when its time has come.
    fn serve<T: Send + 'static>(
        &self,
        kind: RequestKind,
        act: impl FnOnce() -> io::Result<T>,
        answer: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let arrived = self.line.arrived(kind);
        let done = act().map_err(|error| errno(&error));
        arrived.answer(move || answer(done));
    }

    fn entry(&self, kind: RequestKind, reply: ReplyEntry, act: impl FnOnce() -> io::Result<FileAttr>) {
        let remembers = self.remembers;
        self.serve(kind, act, move |done| match done {
            Ok(attributes) => reply.entry(&remembers, &attributes, generation(&attributes)),
            // That it is not there is remembered as well.
            Err(error) if kind == RequestKind::Lookup && error.code() == Errno::ENOENT.code() => {
                reply.entry(&remembers, &attributes::of_nothing(), Generation(0));
            }
            Err(error) => reply.error(error),
        });
    }

    fn empty(&self, kind: RequestKind, reply: ReplyEmpty, act: impl FnOnce() -> io::Result<()>) {
        self.serve(kind, act, move |done| match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        });
    }

    fn attributes(&self, kind: RequestKind, reply: ReplyAttr, act: impl FnOnce() -> io::Result<FileAttr>) {
        let remembers = self.remembers;
        self.serve(kind, act, move |done| match done {
            Ok(attributes) => reply.attr(&remembers, &attributes),
            Err(error) => reply.error(error),
        });
    }

    fn opened(&self, kind: RequestKind, reply: ReplyOpen, act: impl FnOnce() -> io::Result<FileHandle>) {
        self.serve(kind, act, move |done| match done {
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_NOFLUSH),
            Err(error) => reply.error(error),
        });
    }
}

impl Filesystem for Server {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
        ] {
            // A kernel without one of them asks more often, which is no reason not to serve it.
            config.add_capabilities(wanted).ok();
        }
        // What the kernel may have under way without a caller: closes, and what it reads ahead.
        config.set_max_background(u16::MAX).ok();
        config.set_congestion_threshold(u16::MAX).ok();
        config.set_max_write(MAX_WRITE_BYTES).ok();
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(RequestKind::Lookup, reply, || self.disk.lookup(parent, name));
    }

    fn forget(&self, _request: &Request, node: INodeNo, times: u64) {
        self.disk.nodes.forget(node, times);
    }

    fn getattr(&self, _request: &Request, node: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        self.attributes(RequestKind::GetAttr, reply, || self.disk.attributes(node));
    }

    fn setattr(
        &self,
        _request: &Request,
        node: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _changed_mac: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes { mode, owner: (user, group), size, accessed, modified };
        self.attributes(RequestKind::SetAttr, reply, || self.disk.change(node, handle, &changes));
    }

    fn readlink(&self, _request: &Request, node: INodeNo, reply: ReplyData) {
        let act = || self.disk.read_link(node);
        self.serve(RequestKind::Link, act, move |done| match done {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        });
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        self.entry(RequestKind::MkDir, reply, || self.disk.make_dir(parent, name, maker(request, mode)));
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(RequestKind::Unlink, reply, || self.disk.remove(parent, name, AtFlags::empty()));
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(RequestKind::RmDir, reply, || self.disk.remove(parent, name, AtFlags::REMOVEDIR));
    }

    fn symlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.entry(RequestKind::Link, reply, || self.disk.make_link(parent, name, target));
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        let act = || self.disk.rename((parent, name), (new_parent, new_name), flags);
        self.empty(RequestKind::Rename, reply, act);
    }

    fn link(&self, _request: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(RequestKind::Link, reply, || self.disk.make_name(node, parent, name));
    }

    fn open(&self, _request: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.opened(RequestKind::Open, reply, || self.disk.open(node, flags.0));
    }

    fn read(
        &self,
        _request: &Request,
        _node: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let act = || self.disk.read(handle, offset, size);
        self.serve(RequestKind::Read, act, move |done| match done {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        });
    }

    fn write(
        &self,
        _request: &Request,
        _node: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let act = || self.disk.write(handle, offset, bytes);
        self.serve(RequestKind::Write, act, move |done| match done {
            Ok(size) => reply.written(size),
            Err(error) => reply.error(error),
        });
    }

    fn release(
        &self,
        _request: &Request,
        _node: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.line.passed(RequestKind::Close);
        self.disk.files.close(handle);
        reply.ok();
    }

    fn fsync(&self, _request: &Request, _node: INodeNo, handle: FileHandle, data: bool, reply: ReplyEmpty) {
        self.empty(RequestKind::Fsync, reply, || self.disk.sync(handle, data));
    }

    fn opendir(&self, _request: &Request, node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.opened(RequestKind::OpenDir, reply, || self.disk.open_listing(node));
    }

    fn readdir(
        &self,
        _request: &Request,
        _node: INodeNo,
        handle: FileHandle,
        from: u64,
        mut reply: ReplyDirectory,
    ) {
        let arrived = self.line.arrived(RequestKind::ReadDir);
        let listed = self.disk.list(handle, from, false, |name, next, attributes| {
            !reply.add(attributes.ino, next, attributes.kind, name)
        });
        let done = listed.map_err(|error| errno(&error));
        arrived.answer(move || match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        });
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _node: INodeNo,
        handle: FileHandle,
        from: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let remembers = self.remembers;
        let arrived = self.line.arrived(RequestKind::ReadDir);
        let listed = self.disk.list(handle, from, true, |name, next, attributes| {
            !reply.add(attributes.ino, next, name, &remembers, attributes, generation(attributes))
        });
        let done = listed.map_err(|error| errno(&error));
        arrived.answer(move || match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        });
    }

    fn releasedir(
        &self,
        _request: &Request,
        _node: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.line.passed(RequestKind::Close);
        self.disk.listings.close(handle);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        _data: bool,
        reply: ReplyEmpty,
    ) {
        // The kernel asks once and takes it as done from then on.
        self.empty(RequestKind::Other, reply, || Err(rustix::io::Errno::NOSYS.into()));
    }

    fn statfs(&self, _request: &Request, _node: INodeNo, reply: ReplyStatfs) {
        let act = || self.disk.space();
        self.serve(RequestKind::StatFs, act, move |done| match done {
            Ok(of) => {
                let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
                let (size, name, unit) = (small(of.f_bsize), small(of.f_namelen), small(of.f_frsize));
                reply.statfs(of.f_blocks, of.f_bfree, of.f_bavail, of.f_files, of.f_ffree, size, name, unit);
            }
            Err(error) => reply.error(error),
        });
    }

    fn getxattr(&self, _request: &Request, _node: INodeNo, _name: &OsStr, _size: u32, reply: ReplyXattr) {
        self.line.arrived(RequestKind::Other).answer(move || reply.error(Errno::ENOSYS));
    }

    fn access(&self, _request: &Request, _node: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        // The kernel asks once and takes it as allowed from then on.
        self.empty(RequestKind::Other, reply, || Err(rustix::io::Errno::NOSYS.into()));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let remembers = self.remembers;
        let act = || self.disk.create(parent, name, flags, maker(request, mode));
        self.serve(RequestKind::Create, act, move |done| match done {
            Ok((attributes, handle)) => {
                reply.created(
                    &remembers,
                    &attributes,
                    generation(&attributes),
                    handle,
                    FopenFlags::FOPEN_NOFLUSH,
                );
            }
            Err(error) => reply.error(error),
        });
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_i32)
}

/// The disk may give a number once more, which the kernel is to take for another file, made at
/// another time.
fn generation(attributes: &FileAttr) -> Generation {
    let since = attributes.crtime.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The kernel keeps 32 bits of it and compares all.
    Generation(u64::from(since.subsec_nanos()))
}

/// The kernel has applied the caller's mask already.
fn maker(request: &Request, mode: u32) -> Maker {
    Maker { owner: (request.uid(), request.gid()), mode: mode & 0o7777 }
}
