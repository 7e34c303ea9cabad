//! Pieces of log files that are still, or already, in memory: what was written last, and what was read ahead.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;

use crate::aligned::{BLOCK, SMALLEST};

/// Part of a file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The file's serial number.
    pub(crate) file: u64,
    /// Position of the first byte.
    pub(crate) at: u64,
    /// A slice of one aligned buffer.
    pub(crate) bytes: Bytes,
}

/// What the storage lane did that changes what may be held, in order.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Written from this memory.
    Held(Piece),
    /// The file with this number was cut there.
    Cut(u64, u64),
}

/// Where a piece came from. What is written now drops nothing that was read ahead, nor the other way round: a reader who
/// lags behind a fast writer would find nothing of what was read for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Written,
    ReadAhead,
}

/// Pieces up to a number of bytes from either origin, the newest; the oldest is dropped for another. Belongs to the core's
/// thread.
#[derive(Debug)]
pub(crate) struct Held {
    files: HashMap<u64, BTreeMap<u64, Entry>>,
    /// By origin.
    shares: [Share; 2],
    tickets: u64,
}

#[derive(Debug)]
struct Share {
    /// In the order in which they came. Entries of pieces that were cut off or replaced keep their room until they are the
    /// oldest.
    order: VecDeque<Age>,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    bytes: Bytes,
}

#[derive(Debug)]
struct Age {
    ticket: u64,
    file: u64,
    at: u64,
    cost: usize,
}

impl Held {
    /// Holds at most so many bytes of what was written, and as many of what was read ahead.
    pub(crate) fn new(limit: usize) -> Held {
        let share = || Share { order: VecDeque::new(), bytes: 0, limit };
        Held { files: HashMap::new(), shares: [share(), share()], tickets: 0 }
    }

    /// Bytes of the file from a position on, at most `most`; `None` if the first of them is not held.
    pub(crate) fn read(&self, file: u64, at: u64, most: u64) -> Option<Bytes> {
        let (start, entry) = self.files.get(&file)?.range(..=at).next_back()?;
        let skip = usize::try_from(at - start).ok().filter(|skip| *skip < entry.bytes.len())?;
        let len = (entry.bytes.len() - skip).min(usize::try_from(most).unwrap_or(usize::MAX));
        Some(entry.bytes.slice(skip..skip + len))
    }

    /// How many bytes there are from a position that is not held up to the next piece, at most `most`.
    pub(crate) fn gap(&self, file: u64, at: u64, most: u64) -> u64 {
        let next = self.files.get(&file).and_then(|pieces| pieces.range(at..).next());
        next.map_or(most, |(start, _)| most.min(start - at))
    }

    /// Where the bytes end that are held without a gap from a position on; the position itself if none is.
    pub(crate) fn end_from(&self, file: u64, at: u64) -> u64 {
        let mut end = at;
        while let Some(bytes) = self.read(file, end, u64::MAX) {
            end += bytes.len() as u64;
        }
        end
    }

    /// How many bytes it keeps in memory, about.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shares.iter().map(|it| it.bytes).sum()
    }

    pub(crate) fn insert(&mut self, origin: Origin, piece: Piece) {
        // A file's map is there as long as it has a piece.
        if piece.bytes.is_empty() {
            return;
        }
        let pieces = self.files.entry(piece.file).or_default();
        let end = piece.at + piece.bytes.len() as u64;
        let within = |(start, entry): (&u64, &Entry)| start + entry.bytes.len() as u64 >= end;
        if pieces.range(..=piece.at).next_back().is_some_and(within) {
            return;
        }
        // No piece lies within another: who begins later ends later, or it would hide what the longer one goes on with.
        while let Some((start, _)) =
            pieces.range(piece.at..end).find(|(start, it)| **start + it.bytes.len() as u64 <= end)
        {
            let start = *start;
            pieces.remove(&start);
        }
        self.tickets += 1;
        let cost = cost(&piece);
        pieces.insert(piece.at, Entry { ticket: self.tickets, bytes: piece.bytes });
        let share = &mut self.shares[origin as usize];
        share.order.push_back(Age { ticket: self.tickets, file: piece.file, at: piece.at, cost });
        share.bytes += cost;
        while share.bytes > share.limit
            && let Some(oldest) = share.order.pop_front()
        {
            share.bytes -= oldest.cost;
            let Some(pieces) = self.files.get_mut(&oldest.file) else { continue };
            if pieces.get(&oldest.at).is_some_and(|it| it.ticket == oldest.ticket) {
                pieces.remove(&oldest.at);
            }
            if pieces.is_empty() {
                self.files.remove(&oldest.file);
            }
        }
    }

    /// Forgets what is no longer in the file.
    pub(crate) fn cut(&mut self, file: u64, at: u64) {
        let Some(pieces) = self.files.get_mut(&file) else { return };
        pieces.split_off(&at);
        // Of those that reach over the cut the first has all that the others have.
        let mut first = true;
        pieces.retain(|start, entry| {
            let keep = usize::try_from(at - start).unwrap_or(usize::MAX);
            let reaches = entry.bytes.len() >= keep;
            entry.bytes.truncate(keep);
            !reaches || std::mem::take(&mut first)
        });
        if pieces.is_empty() {
            self.files.remove(&file);
        }
    }

    /// Forgets a file.
    pub(crate) fn forget(&mut self, file: u64) {
        self.files.remove(&file);
    }
}

/// The size of the buffer that a piece keeps.
fn cost(piece: &Piece) -> usize {
    (piece.at as usize % BLOCK + piece.bytes.len()).next_power_of_two().max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(file: u64, at: u64, len: usize) -> Piece {
        Piece { file, at, bytes: (0..len).map(|it| (at as usize + it) as u8).collect() }
    }

    fn held(held: &Held, file: u64, at: u64) -> Option<usize> {
        let bytes = held.read(file, at, u64::MAX)?;
        assert!(bytes.iter().enumerate().all(|(it, byte)| *byte == (at as usize + it) as u8));
        Some(bytes.len())
    }

    #[test]
    fn a_position_finds_the_piece_around_it() {
        let mut it = Held::new(10 * SMALLEST);
        it.insert(Origin::Written, piece(1, 100, 50));
        it.insert(Origin::Written, piece(1, 150, 10));
        it.insert(Origin::Written, piece(1, 200, 10));
        assert_eq!(
            [99, 100, 149, 150, 160, 209].map(|at| held(&it, 1, at)),
            [None, Some(50), Some(1), Some(10), None, Some(1)]
        );
        assert_eq!(it.read(1, 110, 7).unwrap().len(), 7);
        assert_eq!(held(&it, 2, 100), None);
        assert_eq!([it.gap(1, 0, 1000), it.gap(1, 160, 30), it.gap(1, 160, 1000), it.gap(1, 210, 7)], [100, 30, 40, 7]);
        assert_eq!([it.end_from(1, 120), it.end_from(1, 160), it.end_from(1, 200)], [160, 160, 210]);
    }

    #[test]
    fn the_oldest_goes_first_and_a_larger_piece_replaces() {
        let mut it = Held::new(3 * SMALLEST);
        for at in [0, 100, 200] {
            it.insert(Origin::Written, piece(1, at, 10));
        }
        it.insert(Origin::Written, piece(1, 0, 5));
        assert_eq!(held(&it, 1, 0), Some(10), "the smaller one brings nothing");
        it.insert(Origin::Written, piece(1, 0, 20));
        assert_eq!([0, 100, 200].map(|at| held(&it, 1, at)), [Some(20), Some(10), Some(10)]);
        it.insert(Origin::Written, piece(2, 0, 10));
        it.insert(Origin::Written, piece(2, 100, 10));
        assert_eq!([0, 100, 200].map(|at| held(&it, 1, at)), [Some(20), None, None]);
        assert_eq!(it.shares[0].bytes, 3 * SMALLEST);
        it.insert(Origin::Written, piece(2, 200, 10));
        assert!(!it.files.contains_key(&1));
    }

    #[test]
    fn a_file_without_pieces_leaves_nothing() {
        let mut it = Held::new(3 * SMALLEST);
        it.insert(Origin::ReadAhead, piece(1, 0, 0));
        it.insert(Origin::Written, piece(2, 100, 10));
        it.cut(2, 50);
        assert!(it.files.is_empty(), "{:?}", it.files);
    }

    #[test]
    fn a_writer_drops_nothing_that_was_read_ahead() {
        let mut it = Held::new(3 * SMALLEST);
        it.insert(Origin::ReadAhead, piece(1, 0, 10));
        for at in 0..100 {
            it.insert(Origin::Written, piece(2, 10 * at, 10));
        }
        assert_eq!([held(&it, 1, 0), held(&it, 2, 960), held(&it, 2, 990)], [Some(10), None, Some(10)]);
        for at in 1..4 {
            it.insert(Origin::ReadAhead, piece(1, 10 * at, 10));
        }
        assert_eq!([held(&it, 1, 0), held(&it, 1, 10), held(&it, 2, 990)], [None, Some(10), Some(10)]);
    }

    #[test]
    fn a_short_piece_hides_no_longer_one() {
        let mut it = Held::new(10 * SMALLEST);
        it.insert(Origin::Written, piece(1, 0, 200));
        it.insert(Origin::Written, piece(1, 100, 50));
        assert_eq!(held(&it, 1, 170), Some(30), "what lies within another brings nothing");
        it.insert(Origin::Written, piece(1, 300, 10));
        it.insert(Origin::Written, piece(1, 320, 10));
        it.insert(Origin::Written, piece(1, 250, 100));
        assert_eq!([305, 315, 325, 345].map(|at| held(&it, 1, at)), [45, 35, 25, 5].map(Some));
        // What a cut leaves of a piece is shorter than a block; the block that is read after it begins before it.
        it.insert(Origin::Written, piece(2, 69_700, 5000));
        it.cut(2, 69_800);
        it.insert(Origin::Written, piece(2, 69_632, 468));
        assert_eq!(held(&it, 2, 69_900), Some(200));
    }

    #[test]
    fn what_was_cut_is_not_found_again() {
        let mut it = Held::new(10 * SMALLEST);
        it.insert(Origin::Written, piece(1, 0, 200));
        it.insert(Origin::Written, piece(1, 100, 50));
        it.insert(Origin::Written, piece(1, 150, 50));
        it.cut(1, 120);
        assert_eq!([0, 100, 119, 120, 150].map(|at| it.end_from(1, at)), [120, 120, 120, 120, 150]);
        it.insert(Origin::Written, piece(1, 120, 10));
        assert_eq!(it.end_from(1, 100), 130);
        it.insert(Origin::Written, piece(1, 125, 10));
        it.cut(1, 128);
        assert_eq!([it.end_from(1, 0), it.end_from(1, 127), it.end_from(1, 128)], [128; 3]);
        it.forget(1);
        assert_eq!(held(&it, 1, 100), None);
    }
}
