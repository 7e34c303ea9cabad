//! An open file of a log directory: through the page cache, and for large pieces of a segment past it.
//!
//! Writing into new pages of the page cache costs ten times the CPU of handing the same bytes to the disk from aligned
//! memory, and evicts what others would read. So the whole blocks of a large append go directly, and its ragged ends,
//! less than a block each, through the page cache like every small append: a file is always exactly as long as its log,
//! no byte that was written before is ever written again by a direct write, and a lone small record costs a copy into a
//! page that is there. The kernel keeps the two ways coherent: direct I/O writes dirty pages of its range back first and
//! drops clean ones.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::aligned::{Aligned, BLOCK, LARGEST, Pool, block_ceiling, block_floor};

/// Appends and reads from this size on pass by the page cache, if the file system can do that.
pub(crate) const DIRECT_FROM: usize = 64 << 10;
/// Files that are open a second time, for direct I/O, at most; the longest open is closed for another.
const DIRECT_HANDLES: usize = 512;

/// An open file. Clones share it.
#[derive(Clone, Debug)]
pub struct NativeFile {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: Box<Path>,
    serial: u64,
    /// Bytes whose write has finished: a reader who goes no further sees no half-written ones.
    written: AtomicU64,
    /// How many times a cut began or ended. A read is of no use if it spans one.
    cuts: AtomicU64,
    /// Set for segments in directories that can do it.
    direct: Option<Arc<Direct>>,
    handle: Mutex<Option<Arc<File>>>,
    /// The kernel was told not to read ahead.
    random: AtomicBool,
    /// No new answer names it.
    retired: AtomicBool,
}

/// Direct I/O in one log directory.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    /// Set when the file system refused after all.
    refused: AtomicBool,
    /// Files with a handle of their own for it, the longest open first.
    open: Mutex<VecDeque<Weak<Open>>>,
}

impl NativeFile {
    pub(crate) fn new(file: File, path: &Path, serial: u64, direct: Option<Arc<Direct>>) -> io::Result<NativeFile> {
        let written = AtomicU64::new(file.metadata()?.len());
        let open = Open {
            file,
            path: path.into(),
            serial,
            written,
            cuts: AtomicU64::new(0),
            direct,
            handle: Mutex::default(),
            random: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        };
        Ok(NativeFile { open: Arc::new(open) })
    }

    /// The file itself, through the page cache.
    pub(crate) fn file(&self) -> &File {
        &self.open.file
    }

    /// Where it was opened, for errors.
    pub(crate) fn path(&self) -> &Path {
        &self.open.path
    }

    /// Its number among all files that this process has opened.
    pub(crate) fn serial(&self) -> u64 {
        self.open.serial
    }

    /// The end of what was written.
    pub(crate) fn written(&self) -> u64 {
        self.open.written.load(Ordering::Acquire)
    }

    /// Changes with every cut; what was read while it changed may be neither the old bytes nor the new ones.
    pub(crate) fn cuts(&self) -> u64 {
        self.open.cuts.load(Ordering::Acquire)
    }

    pub(crate) fn note_written(&self, end: u64) {
        self.open.written.fetch_max(end, Ordering::AcqRel);
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.open.cuts.fetch_add(1, Ordering::AcqRel);
        let cut = self.open.file.set_len(len);
        if cut.is_ok() {
            self.open.written.store(len, Ordering::Release);
        }
        self.open.cuts.fetch_add(1, Ordering::AcqRel);
        cut
    }

    /// Has blocks set aside up to `len`, beyond the end of the file, so that its length is still that of its log and a crash
    /// leaves no zeros; with a `len` within the file, gives back those beyond its end.
    ///
    /// A wish: a segment does without, whatever the reason, and the disk is not filled for one.
    pub(crate) fn reserve(&self, len: u64) {
        self.reserve_by(len, set_aside);
    }

    fn reserve_by(&self, len: u64, set_aside: fn(&File, u64) -> io::Result<()>) {
        let (file, path, written) = (&self.open.file, self.path().display(), self.written());
        if len > written {
            let Err(error) = expect_room(file, len).and_then(|()| set_aside(file, len)) else { return };
            tracing::warn!(%path, %error, "no room could be set aside for a segment: it grows as it is written");
        }
        // To be as long as it is frees what is beyond; who fails half-way keeps what it got.
        if let Err(error) = file.set_len(written) {
            tracing::warn!(%path, %error, "what was set aside for a segment could not be given back");
        }
    }

    /// Closes it. If nobody else holds it and it has no name, its blocks are freed piece by piece, with a pause between two.
    pub(crate) fn free(self, piece: u64, pause: impl Fn()) {
        let Some(open) = Arc::into_inner(self.open) else { return };
        let Ok(found) = open.file.metadata() else { return };
        if found.nlink() > 0 {
            return;
        }
        let mut len = found.len();
        while len > piece {
            len -= piece;
            // Closing it frees the rest at once, whatever the matter is.
            if open.file.set_len(len).is_err() {
                return;
            }
            pause();
        }
    }

    /// How many hold it.
    #[cfg(test)]
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.open)
    }

    /// No new answer will name it: nothing needs to be kept of it for later.
    pub(crate) fn retire(&self) {
        self.open.retired.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.open.retired.load(Ordering::Relaxed)
    }

    /// From here on the page cache is asked for a batch's head here and there, and the rest is read ahead past it: the
    /// kernel need not do that too, megabytes for every head.
    pub(crate) fn expect_random_reads(&self) {
        if self.direct().is_some() && !self.open.random.swap(true, Ordering::Relaxed) {
            advise_random(&self.open.file);
        }
    }

    /// The handle for direct I/O, or `None` where that is not to be had.
    pub(crate) fn direct(&self) -> Option<Arc<File>> {
        let direct = self.open.direct.as_ref().filter(|it| !it.refused.load(Ordering::Relaxed))?;
        let mut handle = self.open.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*handle {
            return Some(Arc::clone(handle));
        }
        match open_direct(&self.open.file) {
            Ok(file) => {
                let file = Arc::new(file);
                *handle = Some(Arc::clone(&file));
                drop(handle);
                direct.opened(Arc::downgrade(&self.open));
                Some(file)
            }
            Err(error) => {
                direct.refuse(&self.open.path, &error);
                None
            }
        }
    }

    /// The file system takes no direct I/O here: everything goes through the page cache from now on.
    pub(crate) fn refuse_direct(&self, error: &io::Error) {
        if let Some(direct) = &self.open.direct {
            direct.refuse(&self.open.path, error);
        }
    }

    /// Has the kernel read a part into the page cache, without waiting for it. A hint: where it fails the read itself tells.
    pub(crate) fn read_ahead(&self, at: u64, len: u64) {
        #[cfg(target_os = "linux")]
        if let Some(len) = std::num::NonZeroU64::new(self.written().saturating_sub(at).min(len)) {
            let _ = rustix::fs::fadvise(&self.open.file, at, Some(len), rustix::fs::Advice::WillNeed);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (at, len);
    }

    /// Reads what the page cache has, without waiting for the disk; `None` unless that is all of it.
    pub(crate) fn read_cached(&self, at: u64, len: usize) -> io::Result<Option<Bytes>> {
        let mut buffer = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match read_without_waiting(&self.open.file, &mut buffer[filled..], at + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Bytes::from(buffer)))
    }

    /// True if the page cache seems to have this part: looked at in a byte of every sixteen pages, and the last.
    pub(crate) fn is_cached(&self, at: u64, len: u64) -> bool {
        let last = at + len.saturating_sub(1);
        let looks = (at..last).step_by(16 * BLOCK).chain([last]);
        // Another error is for the real read to meet.
        let cold = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        !looks.into_iter().any(|at| read_without_waiting(&self.open.file, &mut [0], at).is_err_and(cold))
    }

    /// Reads into aligned memory from the block that holds `at`; at least to `at + len` unless the file ends before that,
    /// or the buffer would be larger than it can be.
    pub(crate) fn read_blocks(&self, at: u64, len: usize, pool: &Pool) -> io::Result<Bytes> {
        let start = block_floor(at);
        let size = usize::try_from(block_ceiling(at + len as u64) - start).unwrap_or(LARGEST).min(LARGEST);
        self.read_from(self.direct(), start, pool.take(size), size)
    }

    /// Reads into the page cache, and what it read beside: at least to `at + len` unless the file ends before that, or the
    /// buffer would be larger than it can be.
    pub(crate) fn read_through_cache(&self, at: u64, len: usize, pool: &Pool) -> io::Result<Bytes> {
        let size = len.min(LARGEST);
        self.read_from(None, at, pool.take(size), size)
    }

    fn read_from(
        &self,
        mut direct: Option<Arc<File>>,
        start: u64,
        mut buffer: Aligned,
        size: usize,
    ) -> io::Result<Bytes> {
        let mut filled = 0;
        while filled < size {
            let rest = &mut buffer.bytes_mut()[filled..size];
            let position = start + filled as u64;
            let read = match &direct {
                Some(handle) => handle.read_at(rest, position),
                None => self.open.file.read_at(rest, position),
            };
            match read {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if direct.is_some() && error.kind() == io::ErrorKind::InvalidInput => {
                    self.refuse_direct(&error);
                    direct = None;
                }
                Err(error) => return Err(error),
            }
            if filled % BLOCK != 0 {
                // The end of the file, unless the kernel was interrupted: the rest through the page cache.
                direct = None;
            }
        }
        Ok(Bytes::from_owner(buffer).slice(..filled))
    }
}

impl Direct {
    /// Tries it in a directory; `None` where it would gain nothing.
    pub(crate) fn probe(dir: &Path) -> Option<Arc<Direct>> {
        match try_direct(dir) {
            Ok(()) => Some(Arc::default()),
            Err(error) => {
                let dir = dir.display();
                tracing::info!(%dir, %error, "no direct I/O in this log directory: large writes go through the page cache");
                None
            }
        }
    }

    fn opened(&self, file: Weak<Open>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(file);
        if open.len() > DIRECT_HANDLES {
            open.retain(|it| it.strong_count() > 0);
        }
        if open.len() > DIRECT_HANDLES
            && let Some(oldest) = open.pop_front().and_then(|it| it.upgrade())
        {
            // Who is using it has a handle of its own to the handle.
            *oldest.handle.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn refuse(&self, path: &Path, error: &io::Error) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            let path = path.display();
            tracing::warn!(%path, %error, "direct I/O was refused: large writes go through the page cache from now on");
        }
    }
}

/// Fails with `WouldBlock` where the disk would have to be waited for. On file systems that can't tell it waits.
#[cfg(target_os = "linux")]
fn read_without_waiting(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    match preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
        Ok(count) => Ok(count),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.read_at(buffer, at),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_without_waiting(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    file.read_at(buffer, at)
}

#[cfg(target_os = "linux")]
fn advise_random(file: &File) {
    // Advice: without it reads are as right, and slower.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
}

#[cfg(not(target_os = "linux"))]
fn advise_random(_: &File) {}

/// Fails unless others are left as much as is to be set aside.
#[cfg(target_os = "linux")]
fn expect_room(file: &File, len: u64) -> io::Result<()> {
    let found = rustix::fs::fstatvfs(file)?;
    let usable = found.f_bavail.saturating_mul(found.f_frsize);
    if usable / 2 >= len { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
}

#[cfg(not(target_os = "linux"))]
fn expect_room(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn set_aside(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn set_aside(_: &File, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens a file a second time. By its descriptor, as its name may have changed or gone.
#[cfg(target_os = "linux")]
fn open_direct(file: &File) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::OpenOptions::new().read(true).write(true).custom_flags(O_DIRECT).open(path)
}

#[cfg(target_os = "linux")]
const O_DIRECT: i32 = rustix::fs::OFlags::DIRECT.bits().cast_signed();

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &File) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes a block past the page cache to a file without a name.
#[cfg(target_os = "linux")]
fn try_direct(dir: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    // These live in the page cache: to take a detour around it they accept, but it only costs.
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    #[allow(clippy::unnecessary_cast, reason = "its type differs between architectures")]
    let kind = rustix::fs::statfs(dir)?.f_type as i64;
    if matches!(kind, TMPFS | RAMFS) {
        return Err(io::Error::other("the file system is memory"));
    }
    let file = rustix::fs::open(dir, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
    let handle = open_direct(&File::from(file.try_clone()?))?;
    let mut block = Pool::default().take(BLOCK);
    handle.write_all_at(&block.bytes_mut()[..BLOCK], 0)?;
    handle.read_exact_at(&mut block.bytes_mut()[..BLOCK], 0)
}

#[cfg(not(target_os = "linux"))]
fn try_direct(_: &Path) -> io::Result<()> {
    Err(io::Error::other("this is not Linux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(folder: &tempfile::TempDir) -> NativeFile {
        let path = folder.path().join("0.log");
        std::fs::write(&path, b"records").unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        NativeFile::new(file, &path, 0, None).unwrap()
    }

    /// `fallocate` on a full disk fails and keeps what it got: the next append, here or elsewhere, found no room.
    #[test]
    fn what_was_set_aside_before_that_failed_is_given_back() {
        const SOME: u64 = 1 << 20;
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let file = segment(&folder);
        file.reserve_by(SOME, |file, len| set_aside(file, len).and_then(|()| Err(io::ErrorKind::StorageFull.into())));
        let found = file.file().metadata().unwrap();
        assert_eq!(found.len(), 7);
        assert!(found.blocks() * 512 < SOME, "{} blocks", found.blocks());
    }

    /// A segment was freed at once, and whoever synced another file waited for the disk to discard a gigabyte.
    #[test]
    fn a_deleted_file_is_freed_piece_by_piece_unless_somebody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = segment(&folder);
        file.file().write_all_at(&[7; 1000], 0).unwrap();
        let watch = file.file().try_clone().unwrap();
        let len = || watch.metadata().unwrap().len();
        file.clone().free(300, || panic!("somebody holds it"));
        let path = folder.path().join("0.log");
        let named = NativeFile::new(watch.try_clone().unwrap(), &path, 1, None).unwrap();
        named.free(300, || panic!("it has a name"));
        std::fs::remove_file(&path).unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        file.free(300, || seen.borrow_mut().push(len()));
        assert_eq!(*seen.borrow(), [700, 400, 100]);
    }

    #[test]
    fn a_disk_is_not_filled_for_a_segment() {
        let folder = tempfile::tempdir().unwrap();
        let file = segment(&folder);
        // More than there can be.
        file.reserve_by(1 << 62, |_, _| panic!("nothing may be set aside"));
        file.reserve(1 << 62);
        assert_eq!(file.file().metadata().unwrap().len(), 7);
    }
}
