//! The open segments of a log, in order of their offsets.
//!
//! Files are numbered as they come. Compaction writes old offsets into new files, so that is not the order of offsets.

use ordered::Map;
use protocol::{FileId, Offset};

use crate::store::OpenSegment;

/// Segments by base offset, found by file.
#[derive(Clone, Debug)]
pub(crate) struct Segments<F> {
    /// Sorted by base offset; the last is active.
    order: Vec<(Offset, FileId)>,
    by_file: Map<FileId, OpenSegment<F>>,
}

impl<F> Segments<F> {
    pub(crate) fn new() -> Segments<F> {
        Segments { order: Vec::new(), by_file: Map::new() }
    }

    pub(crate) fn get(&self, file: &FileId) -> Option<&OpenSegment<F>> {
        self.by_file.get(file)
    }

    pub(crate) fn get_mut(&mut self, file: &FileId) -> Option<&mut OpenSegment<F>> {
        self.by_file.get_mut(file)
    }

    /// Adds a segment; its base is no other's.
    pub(crate) fn insert(&mut self, file: FileId, segment: OpenSegment<F>) {
        let at = self.order.partition_point(|(base, _)| *base < segment.base);
        self.order.insert(at, (segment.base, file));
        self.by_file.insert(file, segment);
    }

    pub(crate) fn remove(&mut self, file: &FileId) -> Option<OpenSegment<F>> {
        let segment = self.by_file.remove(file)?;
        self.order.retain(|(_, it)| it != file);
        Some(segment)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (FileId, &OpenSegment<F>)> {
        self.order.iter().filter_map(|(_, file)| Some((*file, self.by_file.get(file)?)))
    }

    /// All files, the oldest segment's first.
    pub(crate) fn files(&self) -> impl DoubleEndedIterator<Item = FileId> + use<'_, F> {
        self.order.iter().map(|(_, file)| *file)
    }

    /// The active segment.
    pub(crate) fn active(&self) -> Option<(FileId, &OpenSegment<F>)> {
        self.iter().next_back()
    }

    /// The file of the active segment.
    pub(crate) fn active_file(&self) -> Option<FileId> {
        self.files().next_back()
    }

    /// The files of the segments behind one.
    pub(crate) fn after(&self, file: FileId) -> Vec<FileId> {
        self.files().skip_while(|it| *it != file).skip(1).collect()
    }

    /// Every file and its segment, in no order that means anything.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = (FileId, OpenSegment<F>)> {
        self.by_file.into_iter()
    }
}
