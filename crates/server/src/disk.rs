//! Real files under the log directories.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes};
use storage::{DirEntry, DirId, Disk, Space, StoreError};

use crate::aligned::{LARGEST, Pool, block_ceiling, block_floor};
use crate::file::{DIRECT_FROM, Direct, NativeFile};
use crate::held::{Change, Piece};

/// One `pwritev` takes at most this many pieces (IOV_MAX is 1024 on Linux and macOS).
const PIECES: usize = 1024;

/// Bytes that the kernel is asked to have ready for who reads a file from front to back.
const AHEAD: u64 = 8 << 20;

/// Whether direct I/O is to be had in a directory: tried when its first segment is opened, on the thread that does that, as it
/// takes the disk two milliseconds and a node could answer meanwhile.
type Probed = Arc<OnceLock<Option<Arc<Direct>>>>;

/// The log directories of a node.
#[derive(Debug)]
pub struct NativeDisk {
    dirs: Vec<(PathBuf, Probed)>,
    pool: Pool,
    /// How many files were opened, here and beside: no two have one number.
    serials: Arc<AtomicU64>,
    /// `None` where nobody asks for them.
    changes: Option<Vec<Change>>,
    /// Files are read from front to back, and more than once.
    sequential: bool,
}

impl NativeDisk {
    /// A disk over these directories, which exist; a [`DirId`] is a position among them.
    pub fn new(dirs: Vec<PathBuf>) -> NativeDisk {
        NativeDisk {
            dirs: dirs.into_iter().map(|dir| (dir, Probed::default())).collect(),
            pool: Pool::default(),
            serials: Arc::default(),
            changes: Some(Vec::new()),
            sequential: false,
        }
    }

    /// Another one over the same directories, for a thread beside the lane, which mounts, flushes, copies or compacts logs. What
    /// it writes is kept for nobody. It reads through the page cache, ahead of where it is: what is compacted was often written
    /// just now, is read twice, and is unlinked afterwards.
    pub(crate) fn beside(&self) -> NativeDisk {
        NativeDisk {
            dirs: self.dirs.clone(),
            pool: self.pool.clone(),
            serials: Arc::clone(&self.serials),
            changes: None,
            sequential: true,
        }
    }

    /// Where its buffers come from.
    pub(crate) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// What was written from memory that a reader can share, and what was cut, since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn path(&self, dir: DirId, path: &str) -> Result<PathBuf, StoreError> {
        let (root, _) = self.dirs.get(usize::from(dir.0)).ok_or(StoreError::Missing)?;
        Ok(if path.is_empty() { root.clone() } else { root.join(path) })
    }
}

/// A file system's error in words that say what was tried, and where.
pub(crate) fn failed(verb: &str, path: &Path, error: &dyn Display, kind: io::ErrorKind) -> StoreError {
    let what = format!("cannot {verb} {}: {error}", path.display());
    match kind {
        io::ErrorKind::NotFound => StoreError::Missing,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("{what}: free space there, then start again"))
        }
        _ => StoreError::Io(what),
    }
}

trait Said<T> {
    fn said(self, verb: &str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Said<T> for io::Result<T> {
    fn said(self, verb: &str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| failed(verb, path, &error, error.kind()))
    }
}

impl Disk for NativeDisk {
    type File = NativeFile;

    fn create_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        let path = self.path(dir, path)?;
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            created => created.said("create", &path),
        }
    }

    fn list(&self, dir: DirId, path: &str) -> Result<Vec<DirEntry>, StoreError> {
        let path = self.path(dir, path)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path).said("list", &path)? {
            let entry = entry.said("list", &path)?;
            // A name that is not UTF-8 is none that Kafka or we would have made.
            let Ok(name) = entry.file_name().into_string() else { continue };
            entries.push(DirEntry { name, is_dir: entry.path().is_dir() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn is_link(&self, dir: DirId, path: &str) -> bool {
        self.path(dir, path).is_ok_and(|path| path.is_symlink())
    }

    fn open(&mut self, dir: DirId, path: &str, create: bool) -> Result<NativeFile, StoreError> {
        // Whatever else there is beside segments, and those that a clean writes, is small or rewritten.
        let is_segment = path.ends_with(".log") || path.ends_with(".log.cleaned");
        let probed = self.dirs.get(usize::from(dir.0)).filter(|_| is_segment);
        let direct = probed.and_then(|(root, probed)| probed.get_or_init(|| Direct::probe(root)).clone());
        let path = self.path(dir, path)?;
        let file =
            OpenOptions::new().read(true).write(true).create(create).truncate(false).open(&path).said("open", &path)?;
        NativeFile::new(file, &path, self.serials.fetch_add(1, Ordering::Relaxed), direct).said("measure", &path)
    }

    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (self.path(dir, from)?, self.path(dir, to)?);
        fs::rename(&from, &to).said("rename", &from)
    }

    fn remove(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        let path = self.path(dir, path)?;
        fs::remove_file(&path).said("remove", &path)
    }

    fn remove_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        let path = self.path(dir, path)?;
        fs::remove_dir(&path).said("remove", &path)
    }

    fn sync_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        let path = self.path(dir, path)?;
        File::open(&path).and_then(|it| it.sync_all()).said("sync", &path)
    }

    fn len(&self, file: &NativeFile) -> Result<u64, StoreError> {
        Ok(file.file().metadata().said("measure", file.path())?.len())
    }

    fn read_at(&self, file: &NativeFile, at: u64, len: usize) -> Result<Bytes, StoreError> {
        if self.sequential && len <= LARGEST {
            // Once for each window: the kernel looks at every page of it.
            let window = |at: u64| at / AHEAD;
            if at == 0 || window(at) != window(at + len as u64) {
                file.read_ahead(at + len as u64, 2 * AHEAD);
            }
            return read_pooled(self, file, at, len);
        }
        if let Some(bytes) = read_direct(self, file, at, len)? {
            return Ok(bytes);
        }
        // A region's length comes from the files, so it may be wrong: never allocate beyond the file.
        let left = self.len(file)?.saturating_sub(at);
        let mut buffer = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let filled = read_all(file, &mut buffer, at)?;
        buffer.truncate(filled);
        Ok(Bytes::from(buffer))
    }

    fn write_at(&mut self, file: &NativeFile, at: u64, pieces: &[Bytes]) -> Result<(), StoreError> {
        let total: usize = pieces.iter().map(Bytes::len).sum();
        let mut rest = Rest { pieces, taken: 0, left: total };
        let mut position = at;
        while rest.left >= DIRECT_FROM
            && let Some(direct) = file.direct()
        {
            position += self.write_blocks(file, &direct, position, &mut rest)?;
        }
        let (cut, rest) = rest.into_pieces();
        for pieces in cut.chunks(PIECES).chain(rest.chunks(PIECES)) {
            position += write_pieces(file, position, pieces)?;
        }
        file.note_written(position);
        Ok(())
    }

    fn set_len(&mut self, file: &NativeFile, len: u64) -> Result<(), StoreError> {
        file.set_len(len).said("cut", file.path())?;
        self.changed(Change::Cut(file.serial(), len));
        Ok(())
    }

    fn space(&self, dir: DirId) -> Result<Option<Space>, StoreError> {
        let path = self.path(dir, "")?;
        let found = rustix::fs::statvfs(&path).map_err(io::Error::from).said("measure", &path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Some(Space { total: bytes(found.f_blocks), usable: bytes(found.f_bavail) }))
    }

    fn reserve(&mut self, file: &NativeFile, len: u64) -> Result<(), StoreError> {
        file.reserve(len);
        Ok(())
    }

    fn sync(&mut self, file: &NativeFile) -> Result<(), StoreError> {
        file.file().sync_data().said("sync", file.path())
    }
}

impl NativeDisk {
    fn changed(&mut self, change: Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change);
        }
    }

    /// Writes up to a buffer of the pieces: whole blocks past the page cache, what is before and behind them through it.
    /// The buffer is kept for who reads what was just written.
    fn write_blocks(
        &mut self,
        file: &NativeFile,
        direct: &File,
        at: u64,
        rest: &mut Rest<'_>,
    ) -> Result<u64, StoreError> {
        let skip = (at - block_floor(at)) as usize;
        let len = rest.left.min(LARGEST - skip);
        let mut buffer = self.pool.take(skip + len);
        rest.copy_to(&mut buffer.bytes_mut()[skip..skip + len]);
        let bytes = Bytes::from_owner(buffer).slice(skip..skip + len);
        let end = at + len as u64;
        let (first, last) = (block_ceiling(at), block_floor(end));
        let part = |from: u64, to: u64| &bytes[(from - at) as usize..(to - at) as usize];
        // From front to back: what a killed process leaves is a beginning of it.
        file.file().write_all_at(part(at, first), at).said("write", file.path())?;
        let mut written = first;
        while written < last {
            match direct.write_at(part(written, last), written) {
                // A short one ends at a block, or what is left is no longer aligned.
                Ok(count) if block_floor(count as u64) > 0 => written += block_floor(count as u64),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    file.refuse_direct(&error);
                    break;
                }
                Err(error) => return Err(error).said("write", file.path()),
            }
        }
        file.file().write_all_at(part(written, end), written).said("write", file.path())?;
        self.changed(Change::Held(Piece { file: file.serial(), at, bytes }));
        Ok(len as u64)
    }
}

/// Reads into memory that is used again: a new megabyte for every read costs more in page faults than the read.
fn read_pooled(disk: &NativeDisk, file: &NativeFile, at: u64, len: usize) -> Result<Bytes, StoreError> {
    let mut buffer = disk.pool.take(len);
    let filled = read_all(file, &mut buffer.bytes_mut()[..len], at)?;
    Ok(Bytes::from_owner(buffer).slice(..filled))
}

/// Reads until the buffer is full or the file ends; answers how many bytes.
fn read_all(file: &NativeFile, buffer: &mut [u8], at: u64) -> Result<usize, StoreError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.file().read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).said("read", file.path()),
        }
    }
    Ok(filled)
}

/// Reads a large part past the page cache, if one buffer can hold it: who reads that much walks a whole file, once.
fn read_direct(disk: &NativeDisk, file: &NativeFile, at: u64, len: usize) -> Result<Option<Bytes>, StoreError> {
    let skip = (at - block_floor(at)) as usize;
    let fits = (DIRECT_FROM..=LARGEST).contains(&len) && block_ceiling((skip + len) as u64) <= LARGEST as u64;
    if !fits || file.direct().is_none() {
        return Ok(None);
    }
    let bytes = file.read_blocks(at, len, &disk.pool).said("read", file.path())?;
    let end = bytes.len().min(skip + len);
    Ok(Some(bytes.slice(skip.min(end)..end)))
}

/// Pieces, and how far they are used up.
struct Rest<'a> {
    pieces: &'a [Bytes],
    /// Of the first piece.
    taken: usize,
    left: usize,
}

impl<'a> Rest<'a> {
    fn copy_to(&mut self, mut room: &mut [u8]) {
        while !room.is_empty()
            && let Some(piece) = self.pieces.first()
        {
            let count = room.len().min(piece.len() - self.taken);
            let (now, later) = room.split_at_mut(count);
            now.copy_from_slice(&piece[self.taken..self.taken + count]);
            room = later;
            self.taken += count;
            self.left -= count;
            if self.taken == piece.len() {
                self.pieces = &self.pieces[1..];
                self.taken = 0;
            }
        }
    }

    /// What is left of a piece that was begun, and the pieces behind it.
    fn into_pieces(self) -> (Vec<Bytes>, &'a [Bytes]) {
        match self.pieces.split_first() {
            Some((first, rest)) if self.taken > 0 => (vec![first.slice(self.taken..)], rest),
            _ => (Vec::new(), self.pieces),
        }
    }
}

/// Writes all pieces with as few system calls as the kernel allows; returns how many bytes those were.
fn write_pieces(file: &NativeFile, at: u64, pieces: &[Bytes]) -> Result<u64, StoreError> {
    let total: u64 = pieces.iter().map(|it| it.len() as u64).sum();
    let mut written = 0;
    let mut first = 0;
    // Of the piece at `first`, what the last short write already took.
    let mut taken = 0;
    while written < total {
        let slices: Vec<IoSlice<'_>> = pieces[first..]
            .iter()
            .enumerate()
            .map(|(index, piece)| IoSlice::new(if index == 0 { &piece[taken..] } else { piece.chunk() }))
            .collect();
        let count = match rustix::io::pwritev(file.file(), &slices, at + written) {
            Ok(0) => return Err(failed("write", file.path(), &"the disk took no bytes", io::ErrorKind::WriteZero)),
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(io::Error::from(error)).said("write", file.path()),
        };
        written += count as u64;
        taken += count;
        while first < pieces.len() && taken >= pieces[first].len() {
            taken -= pieces[first].len();
            first += 1;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aligned::BLOCK;

    const DIR: DirId = DirId(0);

    #[test]
    fn pieces_land_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = NativeDisk::new(vec![folder.path().to_owned()]);
        disk.create_dir(DIR, "t-0").unwrap();
        disk.create_dir(DIR, "t-0").unwrap();
        let file = disk.open(DIR, "t-0/a.log", true).unwrap();
        let pieces: Vec<Bytes> = (0..3000u32).map(|it| Bytes::copy_from_slice(&it.to_be_bytes())).collect();
        disk.write_at(&file, 5, &pieces).unwrap();
        assert_eq!(disk.len(&file), Ok(5 + 12_000));
        let read = disk.read_at(&file, 5, 1 << 40).unwrap();
        assert_eq!(read, pieces.concat());
        assert_eq!(disk.read_at(&file, 1 << 40, 8).unwrap(), Bytes::new());
        disk.set_len(&file, 5).unwrap();
        disk.sync(&file).unwrap();
        disk.remove(DIR, "t-0/a.log").unwrap();
        assert_eq!(disk.len(&file), Ok(5), "an open file outlives its name");
        assert_eq!(disk.open(DIR, "t-0/a.log", false).unwrap_err(), StoreError::Missing);
        assert_eq!(disk.list(DIR, "").unwrap(), [DirEntry { name: "t-0".into(), is_dir: true }]);
    }

    /// What a killed process leaves must be a beginning of what it wrote: the ragged head first, then whole blocks, then the rest.
    #[test]
    fn a_large_append_is_written_from_front_to_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = NativeDisk::new(vec![folder.path().to_owned()]);
        let path = folder.path().join("0.log");
        let file = disk.open(DIR, "0.log", true).unwrap();
        disk.write_at(&file, 0, &[Bytes::from(vec![1; 100])]).unwrap();
        let pieces = [Bytes::from(vec![2; 3 * BLOCK])];
        let mut rest = Rest { pieces: &pieces, taken: 0, left: 3 * BLOCK };
        // The blocks cannot be written through this one.
        let unwritable = File::open(&path).unwrap();
        assert!(disk.write_blocks(&file, &unwritable, 100, &mut rest).is_err());
        assert_eq!(fs::read(&path).unwrap(), [vec![1; 100], vec![2; BLOCK - 100]].concat());
    }

    #[test]
    fn what_a_topic_preallocates_is_set_aside_and_given_back_and_no_part_of_the_file() {
        use protocol::{LeaderEpoch, Offset, WallMs};
        use std::os::unix::fs::MetadataExt;
        use storage::{Cell, Done, LogId, LogRules, LogSpec, SegmentRules, Store, StoreOp};
        const ROOM: u64 = 8 << 20;
        // Of the target directory's file system: not every one for temporary files can do it.
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let sizes_in = |name: &str, base: u64| {
            let file = fs::metadata(folder.path().join(format!("{name}/{base:020}.log"))).unwrap();
            (file.len(), file.blocks() * 512)
        };
        let sizes = |base| sizes_in("t-0", base);
        let probe = File::create(folder.path().join("probe")).unwrap();
        if rustix::fs::fallocate(&probe, rustix::fs::FallocateFlags::KEEP_SIZE, 0, ROOM).is_err() {
            return; // The file system cannot set anything aside, and logs go on without.
        }
        drop(probe);
        fs::remove_file(folder.path().join("probe")).unwrap();
        let spec = LogSpec {
            dir: DIR,
            topic: "t".into(),
            partition: 0,
            topic_id: protocol::Uuid([7; 16]),
            create: true,
            synced: false,
            replicated: false,
            compacted: false,
            segments: SegmentRules { reserve: ROOM as u32, ..SegmentRules::default() },
        };
        let mut store = Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
        let Ok(Done::Mounted(mut shape)) = store.execute(StoreOp::Mount(LogId(1), spec.clone())) else { panic!() };
        let (len, room) = sizes(0);
        assert_eq!((len, room >= ROOM), (0, true), "a new log has its room, whatever the last stop was: {room}");
        let rules = LogRules { segment_bytes: ROOM as i32, segment_ms: 1000, preallocate: true, ..LogRules::default() };
        for now in [1_000, 5_000] {
            let mut batch = protocol::records::BatchBuilder::new(protocol::records::Compression::None);
            batch.push(WallMs(now), None, Some(b"a"), &[]);
            let batch = batch.build(&protocol::records::PureCompressors).unwrap();
            let rule = protocol::records::CheckRules::produce(9);
            let batch = protocol::records::check(batch, &rule, &protocol::records::PureCompressors).unwrap();
            let appended = shape.append(batch, LeaderEpoch(0), &rules, WallMs(now)).unwrap();
            for op in appended.ops {
                store.execute(op).unwrap();
            }
        }
        // A segment that is full keeps what it has, the new one has room.
        assert!(sizes(0).1 <= 4096 && sizes(0).0 > 0, "{:?}", sizes(0));
        assert!(sizes(1).1 >= ROOM && sizes(1).0 < 1000, "{:?}", sizes(1));

        // A crash leaves what was set aside behind, and the next start gives it back; so does a clean stop.
        let mut store = Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
        let Ok(Done::Mounted(shape)) = store.execute(StoreOp::Mount(LogId(1), spec.clone())) else { panic!() };
        assert_eq!(shape.end(), Offset(2));
        assert!(sizes(1).1 <= 4096, "{:?}", sizes(1));
        let file = storage::file_id(LogId(1), 9);
        store.execute(StoreOp::Roll(LogId(1), file, Offset(2), Bytes::new(), spec.segments)).unwrap();
        assert!(sizes(2).1 >= ROOM);
        // Also to a topic that preallocates no more.
        let mut store = Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
        store.execute(StoreOp::Mount(LogId(1), LogSpec { segments: SegmentRules::default(), ..spec.clone() })).unwrap();
        assert_eq!(sizes(2), (0, 0));
        store.execute(StoreOp::Mount(LogId(2), LogSpec { partition: 1, ..spec })).unwrap();
        assert!(sizes_in("t-1", 0).1 >= ROOM);
        store.execute(StoreOp::Put(Cell::CleanShutdown(DIR), Bytes::from_static(b"{}"))).unwrap();
        assert_eq!(sizes_in("t-1", 0), (0, 0));
    }

    #[test]
    fn an_error_says_what_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = NativeDisk::new(vec![folder.path().to_owned()]);
        fs::write(folder.path().join("plain"), "").unwrap();
        let error = disk.create_dir(DIR, "plain").unwrap_err();
        assert!(
            matches!(&error, StoreError::Io(what) if what.contains("cannot create") && what.contains("plain")),
            "{error}"
        );
    }

    /// Folders on the disk of the target directory, and in memory where the system has such a place.
    fn places() -> Vec<tempfile::TempDir> {
        let program = std::env::current_exe().unwrap();
        let places = [program.parent().unwrap(), Path::new("/dev/shm")];
        places.into_iter().filter(|it| it.is_dir()).map(|it| tempfile::tempdir_in(it).unwrap()).collect()
    }

    #[test]
    fn appends_of_all_sizes_follow_one_another_whichever_way_they_go() {
        for folder in places() {
            let mut disk = NativeDisk::new(vec![folder.path().to_owned()]);
            let file = disk.open(DIR, "0.log", true).unwrap();
            let mut expected = Vec::new();
            for (turn, size) in
                [10, 64 << 10, 1, 100_000, 4086, 3 << 20, 4096, 70_000, 5 << 20, 20].into_iter().enumerate()
            {
                let bytes: Bytes = (0..size).map(|it| (it * 7 + turn) as u8).collect();
                // In pieces whose edges are no block's.
                let cut = [0, size / 3, size / 2, size];
                let pieces: Vec<Bytes> = cut.windows(2).map(|it| bytes.slice(it[0]..it[1])).collect();
                disk.write_at(&file, expected.len() as u64, &pieces).unwrap();
                expected.extend_from_slice(&bytes);
                assert_eq!(disk.len(&file), Ok(expected.len() as u64), "exactly as long as what was written");
                assert_eq!(file.written(), expected.len() as u64);
            }
            assert!(fs::read(folder.path().join("0.log")).unwrap() == expected);
            let held = disk.take_changes();
            assert_eq!(held.is_empty(), file.direct().is_none());
            for change in held {
                let Change::Held(piece) = change else { panic!("nothing was cut") };
                assert!(piece.bytes == expected[piece.at as usize..][..piece.bytes.len()]);
            }
            // A reader's blocks begin before what it wants and end behind it, but not behind the file.
            for (at, len) in [(0, 10), (5000, 70_000), (expected.len() as u64 - 5000, 100_000)] {
                let bytes = file.read_blocks(at, len, &disk.pool()).unwrap();
                let start = block_floor(at) as usize;
                assert!(
                    bytes.len() >= len.min(expected.len() - start) && bytes == expected[start..start + bytes.len()]
                );
            }
            disk.set_len(&file, 100_001).unwrap();
            assert!(matches!(disk.take_changes()[..], [Change::Cut(_, 100_001)]));
            disk.write_at(&file, 100_001, &[Bytes::from(vec![1; 70_000])]).unwrap();
            expected.truncate(100_001);
            expected.extend([1; 70_000]);
            assert!(fs::read(folder.path().join("0.log")).unwrap() == expected);
        }
    }
}
