//! A disk in memory: what simulations and browsers run on. Its page cache is lost with the power.

mod folder;

use ordered::Map;
use std::sync::Arc;

use bytes::Bytes;

use self::folder::Folder;
use crate::disk::{DirEntry, Disk, Space};
use crate::op::{DirId, StoreError};
use crate::pages::{Content, PAGE};

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk with a page cache. A clone shares all pages and copies those it changes.
///
/// Bytes and names that were not synced live until [`power_cut`](Self::power_cut); a crash of the process alone loses
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    nodes: Map<u64, Node>,
    roots: Map<DirId, u64>,
    next: u64,
    capacity: Option<u64>,
    used: u64,
    faults: Vec<Fault>,
    /// Log directories whose disk does nothing any more.
    dead: Vec<DirId>,
    calls: u64,
    power_ends: Option<u64>,
}

/// An open file of a [`MemoryDisk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFile(u64);

/// A call that changes a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskCall {
    /// [`Disk::create_dir`], or [`Disk::open`] of a new file.
    Create,
    /// [`Disk::open`] of a file that exists.
    Open,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::remove`] and [`Disk::remove_dir`].
    Remove,
    /// [`Disk::read_at`].
    Read,
    /// [`Disk::write_at`] and [`Disk::set_len`].
    Write,
    /// [`Disk::sync`] and [`Disk::sync_dir`].
    Sync,
}

/// A file as people look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Its log directory.
    pub dir: DirId,
    /// Its path there.
    pub path: String,
    /// Its length in bytes.
    pub len: u64,
    /// So many bytes from its beginning on are the same after a power cut; none if the file itself would be gone.
    pub synced: u64,
}

/// An error to come.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which call meets it.
    pub call: DiskCall,
    /// Only where the path contains this.
    pub path: String,
    /// So many such calls succeed first.
    pub after: u32,
    /// True if it stays, false if it is met once.
    pub lasting: bool,
    /// The error is [`StoreError::Full`] instead of [`StoreError::Io`].
    pub full: bool,
}

#[derive(Clone, Debug)]
enum Node {
    Dir(Folder),
    File(File),
}

#[derive(Clone, Debug)]
struct File {
    /// Its newest name, for errors.
    path: String,
    dir: DirId,
    /// How often it is open.
    opens: u32,
    cached: Arc<Content>,
    synced: Arc<Content>,
    /// The first page at which the two may differ.
    dirty_from: usize,
}

impl MemoryDisk {
    /// An empty disk without limits.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// Refuses to hold more than so many bytes; `None` is no limit.
    pub fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    /// Bytes of all files that have a name.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Lets a call fail.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Every call in a log directory fails.
    pub fn kill_dir(&mut self, dir: DirId) {
        self.dead.push(dir);
    }

    /// No call fails any more by [`inject`](Self::inject) or [`kill_dir`](Self::kill_dir).
    pub fn heal(&mut self) {
        (self.faults, self.dead) = (Vec::new(), Vec::new());
    }

    /// True if no call is bound to fail.
    pub fn is_well(&self) -> bool {
        self.capacity.is_none() && self.faults.is_empty() && self.dead.is_empty()
    }

    /// How many changing calls (all but list, len and read) there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The power ends before the changing call of this number: it and all later ones fail, until
    /// [`power_cut`](Self::power_cut) brings the disk back as it was left.
    pub fn end_power_at(&mut self, call: u64) {
        self.power_ends = Some(call);
    }

    /// The power is back before the page cache was lost.
    pub fn restore_power(&mut self) {
        self.power_ends = None;
    }

    /// Loses the page cache: bytes and names are as they were last synced.
    pub fn power_cut(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.lose(),
                Node::File(file) => {
                    file.cached = Arc::clone(&file.synced);
                    file.dirty_from = file.cached.pages.len();
                }
            }
        }
        self.power_returns();
    }

    /// Loses a part of the page cache: of what was not synced some had reached the platter, in no order. `choose(n)` is a
    /// number below n: it decides for each sector, each file's length and each folder's names. A folder's names change
    /// together, as a journal has them; a file that is longer than what reached the platter holds zeros there.
    pub fn power_cut_torn(&mut self, choose: &mut dyn FnMut(u64) -> u64) {
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) if dir.names == dir.synced => {}
                Node::Dir(dir) if choose(2) == 0 => dir.lose(),
                Node::Dir(dir) => {
                    dir.sync();
                }
                Node::File(file) => file.tear(choose),
            }
        }
        self.power_returns();
    }

    /// Flips a bit on the platter, in every file whose path contains this and that has a byte there; tells in how many.
    /// `at` counts from the end of the file.
    pub fn rot(&mut self, path: &str, at: usize) -> usize {
        let mut rotten = 0;
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node
                && file.path.contains(path)
                && let Some(index) = file.cached.len.checked_sub(at + 1)
            {
                for content in [&mut file.cached, &mut file.synced] {
                    if index < content.len {
                        let flipped = content.pages[index / PAGE][index % PAGE] ^ 0x10;
                        Arc::make_mut(content).write(index, &[flipped]);
                    }
                }
                rotten += 1;
            }
        }
        rotten
    }

    fn power_returns(&mut self) {
        self.power_ends = None;
        self.crash();
        self.used = self.linked().map(|file| file.cached.len as u64).sum();
    }

    /// The process dies: what it held open is closed, the page cache stays.
    pub fn crash(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.opens = 0;
            }
        }
        self.sweep();
    }

    /// All files that have a name, in order of their paths, and what a power cut would leave of them.
    pub fn survey(&self) -> Vec<Survey> {
        let mut found = Vec::new();
        for (dir, root) in &self.roots {
            self.look_into(*dir, "", *root, true, &mut found);
        }
        found
    }

    fn look_into(&self, dir: DirId, path: &str, node: u64, named: bool, found: &mut Vec<Survey>) {
        match self.nodes.get(&node) {
            Some(Node::Dir(folder)) => {
                for (name, child) in &folder.names {
                    let stays = named && folder.synced.get(name) == Some(child);
                    self.look_into(dir, &join(path, name), *child, stays, found);
                }
            }
            Some(Node::File(file)) => {
                let synced = if named { file.unchanged() as u64 } else { 0 };
                found.push(Survey { dir, path: path.to_owned(), len: file.cached.len as u64, synced });
            }
            None => {}
        }
    }

    /// A file's bytes, as who reads it now sees them.
    pub fn contents(&self, dir: DirId, path: &str) -> Option<Bytes> {
        match self.nodes.get(&self.find(dir, path).ok()?) {
            Some(Node::File(file)) => Some(file.cached.read(0, file.cached.len)),
            _ => None,
        }
    }

    /// All files that have a name, with their bytes: for tests and for people.
    pub fn files(&self) -> Vec<(DirId, String, Bytes)> {
        let mut found = Vec::new();
        for (dir, root) in &self.roots {
            self.collect(*dir, "", *root, &mut found);
        }
        found
    }

    fn collect(&self, dir: DirId, path: &str, node: u64, found: &mut Vec<(DirId, String, Bytes)>) {
        match self.nodes.get(&node) {
            Some(Node::Dir(folder)) => {
                for (name, child) in &folder.names {
                    self.collect(dir, &join(path, name), *child, found);
                }
            }
            Some(Node::File(file)) => found.push((dir, path.to_owned(), file.cached.read(0, file.cached.len))),
            None => {}
        }
    }

    fn linked(&self) -> impl Iterator<Item = &File> {
        let named = self.nodes.values().filter_map(|node| match node {
            Node::Dir(dir) => Some(dir.names.values()),
            Node::File(_) => None,
        });
        named.flatten().filter_map(|id| match self.nodes.get(id) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        })
    }

    /// Forgets what neither a name (synced or not) nor a handle leads to.
    fn sweep(&mut self) {
        let mut reached: Vec<u64> = self.roots.values().copied().collect();
        let mut alive = ordered::Set::new();
        while let Some(id) = reached.pop() {
            if alive.insert(id)
                && let Some(Node::Dir(dir)) = self.nodes.get(&id)
            {
                reached.extend(dir.names.values().chain(dir.synced.values()));
            }
        }
        self.nodes.retain(|id, node| alive.contains(id) || matches!(node, Node::File(file) if file.opens > 0));
    }

    /// Counts a call, and fails it if that is its fate.
    fn begin(&mut self, dir: DirId, call: DiskCall, what: &str, path: &str) -> Result<(), StoreError> {
        if call != DiskCall::Read {
            if self.power_ends.is_some_and(|end| self.calls >= end) {
                return Err(io(what, path, "the power is gone"));
            }
            self.calls += 1;
        }
        if self.dead.contains(&dir) {
            return Err(io(what, path, "input/output error"));
        }
        let met = self.faults.iter_mut().position(|fault| {
            let here = fault.call == call && path.contains(&fault.path);
            let met = here && fault.after == 0;
            if here {
                fault.after = fault.after.saturating_sub(1);
            }
            met
        });
        let Some(met) = met else { return Ok(()) };
        let fault = self.faults[met].clone();
        if !fault.lasting {
            self.faults.remove(met);
        }
        Err(if fault.full { full(path) } else { io(what, path, "input/output error") })
    }

    fn find(&self, dir: DirId, path: &str) -> Result<u64, StoreError> {
        let mut id = *self.roots.get(&dir).ok_or(StoreError::Missing)?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            id = match self.nodes.get(&id) {
                Some(Node::Dir(folder)) => *folder.names.get(part).ok_or(StoreError::Missing)?,
                _ => return Err(StoreError::Missing),
            };
        }
        Ok(id)
    }

    fn folder(&mut self, dir: DirId, path: &str) -> Result<&mut Folder, StoreError> {
        if path.is_empty() {
            self.root(dir);
        }
        let id = self.find(dir, path)?;
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(folder)) => Ok(folder),
            _ => Err(io("enter", path, "it is no folder")),
        }
    }

    /// A log directory exists as soon as someone speaks of it, as a formatted one would.
    fn root(&mut self, dir: DirId) -> u64 {
        if let Some(root) = self.roots.get(&dir) {
            return *root;
        }
        let root = self.add(Node::Dir(Folder::default()));
        self.roots.insert(dir, root);
        root
    }

    fn add(&mut self, node: Node) -> u64 {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    fn file(&self, file: &MemoryFile) -> Result<&File, StoreError> {
        match self.nodes.get(&file.0) {
            Some(Node::File(it)) => Ok(it),
            _ => Err(StoreError::Missing),
        }
    }

    fn file_mut(&mut self, file: &MemoryFile) -> Result<&mut File, StoreError> {
        match self.nodes.get_mut(&file.0) {
            Some(Node::File(it)) => Ok(it),
            _ => Err(StoreError::Missing),
        }
    }

    fn place_of(&self, file: &MemoryFile) -> (DirId, String) {
        self.file(file).map_or_else(|_| (DirId(0), String::new()), |it| (it.dir, it.path.clone()))
    }

    /// How many bytes a full disk still takes from an offset of a file on.
    fn room_at(&self, at: usize, len: usize) -> usize {
        let free = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used));
        // Nothing is written behind a hole that does not fit.
        let end = (len as u64).saturating_add(free);
        usize::try_from(end.saturating_sub(at as u64)).unwrap_or(usize::MAX)
    }

    /// Makes room for a file to grow.
    fn charge(&mut self, path: &str, old: usize, new: usize) -> Result<(), StoreError> {
        let used = (self.used + new as u64).saturating_sub(old as u64);
        if new > old && self.capacity.is_some_and(|capacity| used > capacity) {
            return Err(full(path));
        }
        self.used = used;
        Ok(())
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        self.begin(dir, DiskCall::Create, "create folder", path)?;
        let (parent, name) = split(path);
        if self.folder(dir, parent)?.names.contains_key(name) {
            return self.folder(dir, path).map(|_| ());
        }
        let id = self.add(Node::Dir(Folder::default()));
        self.folder(dir, parent)?.give(name, id);
        Ok(())
    }

    fn list(&self, dir: DirId, path: &str) -> Result<Vec<DirEntry>, StoreError> {
        if path.is_empty() && !self.roots.contains_key(&dir) {
            return Ok(Vec::new());
        }
        let Some(Node::Dir(folder)) = self.nodes.get(&self.find(dir, path)?).filter(|_| !self.dead.contains(&dir))
        else {
            return Err(io("list", path, "it is no folder that can be read"));
        };
        let entry = |(name, id): (&String, &u64)| DirEntry {
            name: name.clone(),
            is_dir: matches!(self.nodes.get(id), Some(Node::Dir(_))),
        };
        Ok(folder.names.iter().map(entry).collect())
    }

    fn open(&mut self, dir: DirId, path: &str, create: bool) -> Result<MemoryFile, StoreError> {
        let (parent, name) = split(path);
        let known = self.folder(dir, parent)?.names.get(name).copied();
        if let Some(id) = known {
            self.begin(dir, DiskCall::Open, "open", path)?;
            return match self.nodes.get_mut(&id) {
                Some(Node::File(file)) => {
                    file.opens += 1;
                    Ok(MemoryFile(id))
                }
                _ => Err(io("open", path, "it is a folder")),
            };
        }
        if !create {
            return Err(StoreError::Missing);
        }
        self.begin(dir, DiskCall::Create, "create", path)?;
        let content = Arc::new(Content::default());
        let id = self.add(Node::File(File {
            path: path.to_owned(),
            dir,
            opens: 1,
            cached: Arc::clone(&content),
            synced: content,
            dirty_from: 0,
        }));
        self.folder(dir, parent)?.give(name, id);
        Ok(MemoryFile(id))
    }

    fn close(&mut self, file: MemoryFile) {
        if let Ok(it) = self.file_mut(&file) {
            it.opens = it.opens.saturating_sub(1);
        }
    }

    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), StoreError> {
        self.begin(dir, DiskCall::Rename, "rename", from)?;
        let ((from_parent, from_name), (to_parent, to_name)) = (split(from), split(to));
        let id = *self.folder(dir, from_parent)?.names.get(from_name).ok_or(StoreError::Missing)?;
        let replaced = self.folder(dir, to_parent)?.give(to_name, id);
        if from != to {
            self.folder(dir, from_parent)?.take(from_name);
        }
        if let Some(Node::File(file)) = self.nodes.get_mut(&id) {
            file.path = to.to_owned();
        }
        if let Some(Node::File(file)) = replaced.filter(|it| *it != id).and_then(|it| self.nodes.get(&it)) {
            self.used -= file.cached.len as u64;
        }
        Ok(())
    }

    fn remove(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        self.begin(dir, DiskCall::Remove, "remove", path)?;
        let id = self.find(dir, path)?;
        let Some(Node::File(file)) = self.nodes.get(&id) else { return Err(io("remove", path, "it is a folder")) };
        self.used -= file.cached.len as u64;
        let (parent, name) = split(path);
        self.folder(dir, parent)?.take(name);
        Ok(())
    }

    fn remove_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        self.begin(dir, DiskCall::Remove, "remove folder", path)?;
        if !self.folder(dir, path)?.names.is_empty() {
            return Err(io("remove folder", path, "it is not empty"));
        }
        let (parent, name) = split(path);
        self.folder(dir, parent)?.take(name);
        Ok(())
    }

    fn sync_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        self.begin(dir, DiskCall::Sync, "sync folder", path)?;
        if self.folder(dir, path)?.sync() {
            self.sweep();
        }
        Ok(())
    }

    fn space(&self, _: DirId) -> Result<Option<Space>, StoreError> {
        Ok(self.capacity.map(|total| Space { total, usable: total.saturating_sub(self.used) }))
    }

    fn len(&self, file: &MemoryFile) -> Result<u64, StoreError> {
        Ok(self.file(file)?.cached.len as u64)
    }

    fn read_at(&self, file: &MemoryFile, at: u64, len: usize) -> Result<Bytes, StoreError> {
        let it = self.file(file)?;
        // A read that fails once would need a changing disk; reads fail as long as the fault is there.
        let fails = |fault: &Fault| fault.call == DiskCall::Read && it.path.contains(&fault.path);
        if self.dead.contains(&it.dir) || self.faults.iter().any(fails) {
            return Err(io("read", &it.path, "input/output error"));
        }
        Ok(it.cached.read(usize::try_from(at).unwrap_or(usize::MAX), len))
    }

    fn write_at(&mut self, file: &MemoryFile, at: u64, pieces: &[Bytes]) -> Result<(), StoreError> {
        let (dir, path) = self.place_of(file);
        let at = usize::try_from(at).map_err(|_| full(&path))?;
        let old = self.file(file)?.cached.len;
        let size = pieces.iter().map(Bytes::len).sum::<usize>();
        // A write that fails has written a part, as a real one may.
        let (room, failed) = match self.begin(dir, DiskCall::Write, "write", &path) {
            Err(error) => (size / 2, Some(error)),
            Ok(()) => match self.charge(&path, old, old.max(at + size)) {
                Ok(()) => (size, None),
                Err(error) => (self.room_at(at, old).min(size), Some(error)),
            },
        };
        if failed.is_some() && (self.power_ends.is_some() || self.charge(&path, old, old.max(at + room)).is_err()) {
            return failed.map_or(Ok(()), Err);
        }
        let it = self.file_mut(file)?;
        it.dirty_from = it.dirty_from.min(at.min(old) / PAGE);
        let content = Arc::make_mut(&mut it.cached);
        content.set_len(old.max(at + room));
        let (mut at, mut room) = (at, room);
        for piece in pieces {
            let part = &piece[..piece.len().min(room)];
            content.write(at, part);
            at += part.len();
            room -= part.len();
        }
        failed.map_or(Ok(()), Err)
    }

    fn set_len(&mut self, file: &MemoryFile, len: u64) -> Result<(), StoreError> {
        let (dir, path) = self.place_of(file);
        self.begin(dir, DiskCall::Write, "resize", &path)?;
        let len = usize::try_from(len).map_err(|_| full(&path))?;
        let old = self.file(file)?.cached.len;
        self.charge(&path, old, len)?;
        let it = self.file_mut(file)?;
        it.dirty_from = it.dirty_from.min(len.min(old) / PAGE);
        Arc::make_mut(&mut it.cached).set_len(len);
        Ok(())
    }

    fn sync(&mut self, file: &MemoryFile) -> Result<(), StoreError> {
        let (dir, path) = self.place_of(file);
        self.begin(dir, DiskCall::Sync, "sync", &path)?;
        let it = self.file_mut(file)?;
        let synced = Arc::make_mut(&mut it.synced);
        synced.pages.truncate(it.dirty_from);
        synced.pages.extend(it.cached.pages[synced.pages.len()..].iter().cloned());
        synced.len = it.cached.len;
        it.dirty_from = synced.pages.len();
        Ok(())
    }
}

impl File {
    /// How many bytes from the beginning on are the same on the platter. What is written over what was synced is bytes that
    /// differ: a power cut would bring the old ones back.
    fn unchanged(&self) -> usize {
        let both = self.cached.len.min(self.synced.len);
        for (index, (cached, synced)) in self.cached.pages.iter().zip(&self.synced.pages).enumerate() {
            if !Arc::ptr_eq(cached, synced)
                && let Some(differs) = cached.iter().zip(&**synced).position(|(a, b)| a != b)
            {
                return (index * PAGE + differs).min(both);
            }
        }
        both
    }

    /// What the power left of it.
    fn tear(&mut self, choose: &mut dyn FnMut(u64) -> u64) {
        if Arc::ptr_eq(&self.cached, &self.synced) {
            return;
        }
        // Often all or nothing, as the system writes back in its own time; else sector by sector.
        match choose(4) {
            0 => self.cached = Arc::clone(&self.synced),
            1 => self.synced = Arc::clone(&self.cached),
            _ => {
                let (cached, synced) = (&self.cached, &self.synced);
                let (low, high) = (cached.len.min(synced.len), cached.len.max(synced.len));
                let mut torn = (**synced).clone();
                torn.set_len(low + choose((high - low) as u64 + 1) as usize);
                let mut at = self.dirty_from * PAGE;
                while at < torn.len.min(cached.len) {
                    let end = (at + SECTOR).min(torn.len).min(cached.len);
                    if choose(2) == 0 {
                        torn.write(at, &cached.read(at, end - at));
                    }
                    at = end;
                }
                self.cached = Arc::new(torn);
                self.synced = Arc::clone(&self.cached);
            }
        }
        self.dirty_from = self.cached.pages.len();
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

fn io(what: &str, path: &str, why: &str) -> StoreError {
    StoreError::Io(format!("cannot {what} {path}: {why}"))
}

fn full(path: &str) -> StoreError {
    StoreError::Full(format!("cannot write {path}: no space left on device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: DirId = DirId(0);

    fn write(disk: &mut MemoryDisk, file: MemoryFile, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        disk.write_at(&file, at, &[Bytes::copy_from_slice(bytes)])
    }

    fn content(disk: &MemoryDisk, path: &str) -> Option<Bytes> {
        disk.files().into_iter().find(|it| it.1 == path).map(|it| it.2)
    }

    /// A file with synced ones, and three sectors of twos behind them that are not synced.
    fn half_synced() -> (MemoryDisk, MemoryFile) {
        let mut disk = MemoryDisk::new();
        let file = disk.open(DIR, "a.log", true).unwrap();
        write(&mut disk, file, 0, &[1; 1_000]).unwrap();
        disk.sync(&file).unwrap();
        disk.sync_dir(DIR, "").unwrap();
        write(&mut disk, file, 1_000, &[2; 3 * SECTOR]).unwrap();
        (disk, file)
    }

    #[test]
    fn a_torn_power_cut_keeps_what_was_synced_and_any_sectors_of_the_rest() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200u64 {
            let (mut disk, _) = half_synced();
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            disk.power_cut_torn(&mut |bound| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % bound
            });
            let left = content(&disk, "a.log").unwrap();
            assert_eq!(left[..1_000], [1; 1_000], "seed {seed}");
            assert!(left.len() <= 1_000 + 3 * SECTOR);
            assert!(left[1_000..].iter().all(|it| [0, 2].contains(it)), "a byte is old, which here is zero, or new");
            seen.insert((left.len(), left[1_000..].contains(&0), left[1_000..].contains(&2)));
            // What reached the platter stays.
            disk.power_cut();
            assert_eq!(content(&disk, "a.log").unwrap(), left);
        }
        assert!(seen.contains(&(1_000, false, false)) && seen.contains(&(1_000 + 3 * SECTOR, false, true)));
        assert!(seen.iter().any(|it| it.1 && it.2), "some writes are torn: {seen:?}");
    }

    #[test]
    fn a_power_cut_leaves_the_names_that_were_synced() {
        let mut disk = MemoryDisk::new();
        let names = |disk: &MemoryDisk| disk.files().into_iter().map(|it| it.1).collect::<Vec<_>>();
        disk.open(DIR, "a", true).unwrap();
        disk.sync_dir(DIR, "").unwrap();
        disk.rename(DIR, "a", "b").unwrap();
        disk.open(DIR, "c", true).unwrap();
        assert_eq!(names(&disk), ["b", "c"]);
        disk.power_cut();
        assert_eq!(names(&disk), ["a"]);
        disk.rename(DIR, "a", "b").unwrap();
        disk.sync_dir(DIR, "").unwrap();
        disk.open(DIR, "a", true).unwrap();
        disk.power_cut();
        assert_eq!(names(&disk), ["b"]);
        disk.remove(DIR, "b").unwrap();
        disk.sync_dir(DIR, "").unwrap();
        disk.power_cut();
        assert!(names(&disk).is_empty());
    }

    #[test]
    fn names_that_were_not_synced_come_or_go_together() {
        for (choice, expected) in [(0, None), (1, Some(Bytes::new()))] {
            let mut disk = MemoryDisk::new();
            disk.open(DIR, "new", true).unwrap();
            disk.power_cut_torn(&mut |bound| choice % bound);
            assert_eq!(content(&disk, "new"), expected);
        }
    }

    #[test]
    fn a_write_that_fails_has_written_a_part() {
        let (mut disk, file) = half_synced();
        let used = disk.used();
        disk.set_capacity(Some(used + 10));
        assert!(matches!(write(&mut disk, file, used, &[3; 100]), Err(StoreError::Full(_))));
        assert_eq!((disk.len(&file).unwrap(), disk.used()), (used + 10, used + 10));
        disk.set_capacity(None);
        let fault = Fault { call: DiskCall::Write, path: String::new(), after: 0, lasting: true, full: false };
        disk.inject(fault);
        assert!(matches!(write(&mut disk, file, 0, &[4; 100]), Err(StoreError::Io(_))));
        disk.heal();
        let left = content(&disk, "a.log").unwrap();
        assert_eq!((&left[..50], &left[50..100]), (&[4; 50][..], &[1; 50][..]));
        assert_eq!(left[used as usize..], [3; 10]);
    }

    #[test]
    fn rot_flips_one_bit_where_it_is_told() {
        let (mut disk, _) = half_synced();
        let before = content(&disk, "a.log").unwrap();
        assert_eq!(disk.rot("b.log", 0), 0);
        assert_eq!(disk.rot("a.log", before.len()), 0);
        assert_eq!(disk.rot("a.log", 1_600), 1);
        let after = content(&disk, "a.log").unwrap();
        let index = before.len() - 1_601;
        assert_eq!(after[index], before[index] ^ 0x10);
        assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 1);
        disk.power_cut();
        assert_eq!(content(&disk, "a.log").unwrap()[index], after[index], "the platter has it too");
    }
}
