//! A list that only grows, whose clones share what they have in common: a snapshot costs what is live.

use std::sync::Arc;

/// Entries are shared with clones, and copied when written, in blocks of this many.
const BLOCK: usize = 512;

/// A list in shared blocks.
#[derive(Clone, Debug)]
pub(crate) struct Chunked<T> {
    blocks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Chunked<T> {
    fn default() -> Chunked<T> {
        Chunked { blocks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Chunked<T> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, entry: T) {
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Arc::new(Vec::with_capacity(BLOCK)));
        }
        if let Some(block) = self.blocks.last_mut() {
            Arc::make_mut(block).push(entry);
            self.len += 1;
        }
    }

    /// The entry at an index.
    pub(crate) fn at(&self, index: usize) -> Option<&T> {
        self.blocks.get(index / BLOCK)?.get(index % BLOCK)
    }

    /// The entry at an index, to be changed.
    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        Arc::make_mut(self.blocks.get_mut(index / BLOCK)?).get_mut(index % BLOCK)
    }

    /// Forgets what is at the index and above.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.blocks.truncate(len.div_ceil(BLOCK));
        let keep = len - self.blocks.len().saturating_sub(1) * BLOCK;
        // A block that stays whole stays shared.
        if let Some(block) = self.blocks.last_mut().filter(|block| block.len() > keep) {
            Arc::make_mut(block).truncate(keep);
        }
        self.len = len;
    }

    /// All entries from an index on.
    pub(crate) fn iter_from(&self, index: usize) -> impl Iterator<Item = &T> {
        self.blocks.iter().skip(index / BLOCK).flat_map(|block| block.iter()).skip(index % BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_and_do_not_disturb_each_other() {
        let mut list = Chunked::default();
        for number in 0..1_500 {
            list.push(number);
        }
        let before = list.clone();
        *list.at_mut(3).unwrap() = -3;
        list.truncate(1_024);
        assert_eq!((list.len(), list.at(3), list.at(1_023), list.at(1_024)), (1_024, Some(&-3), Some(&1_023), None));
        list.push(7);
        assert_eq!(list.at(1_024), Some(&7));
        assert_eq!((before.len(), before.at(3), before.at(1_024)), (1_500, Some(&3), Some(&1_024)));
        assert!(Arc::ptr_eq(&list.blocks[1], &before.blocks[1]));
        assert_eq!(before.iter_from(1_498).copied().collect::<Vec<_>>(), [1_498, 1_499]);
        list.truncate(0);
        assert_eq!((list.len(), list.at(0)), (0, None));
        list.push(1);
        assert_eq!(list.at(0), Some(&1));
    }
}
