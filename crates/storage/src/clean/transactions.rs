//! What a clean knows of transactions as it walks the log: whose records may go, and which markers are still needed.

use bytes::{BufMut, Bytes, BytesMut};
use ordered::{Map, Set};
use protocol::records::{BatchHead, ControlType};
use protocol::{Offset, ProducerId};

/// Kafka's version of an entry of `.txnindex`.
const VERSION: i16 = 0;
/// Bytes of an entry.
const ENTRY: usize = 34;

/// An aborted transaction, as `.txnindex` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Aborted {
    /// Where it began.
    pub(crate) first: Offset,
    /// Where its marker is.
    pub(crate) last: Offset,
    pub(crate) producer_id: ProducerId,
    /// The last stable offset when it was aborted.
    pub(crate) last_stable: Offset,
}

/// The bytes of a `.txnindex`.
pub(crate) fn format(aborted: &[Aborted]) -> Bytes {
    let mut out = BytesMut::with_capacity(aborted.len() * ENTRY);
    for it in aborted {
        out.put_i16(VERSION);
        out.put_i64(it.producer_id.0);
        out.put_i64(it.first.0);
        out.put_i64(it.last.0);
        out.put_i64(it.last_stable.0);
    }
    out.freeze()
}

/// Reads a `.txnindex`. `None` if it is none.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Aborted>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY>();
    let number = |entry: &[u8; ENTRY], at: usize| entry[at..].first_chunk().map(|it| i64::from_be_bytes(*it));
    let entry = |it: &[u8; ENTRY]| {
        (i16::from_be_bytes([it[0], it[1]]) == VERSION).then_some(())?;
        Some(Aborted {
            producer_id: ProducerId(number(it, 2)?),
            first: Offset(number(it, 10)?),
            last: Offset(number(it, 18)?),
            last_stable: Offset(number(it, 26)?),
        })
    };
    rest.is_empty().then(|| entries.iter().map(entry).collect()).flatten()
}

/// Transactions whose records the walk has met and whose marker it has not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that begin above the walk, by where they begin.
    ahead: Map<(Offset, ProducerId), Aborted>,
    /// Aborted ones that have begun; true once a batch of theirs was met.
    aborted: Map<ProducerId, (Aborted, bool)>,
    /// Producers of batches whose transaction was not aborted.
    committed: Set<ProducerId>,
}

/// What a marker is to the clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    /// No batch of its transaction is left: it may go once its horizon has passed.
    OfNothing,
    /// It ends batches that are still there, or ended them until this clean.
    Needed,
    /// As [`Marker::Needed`], and the transaction belongs into the new `.txnindex`.
    Aborts(Aborted),
}

impl Transactions {
    /// Adds what the `.txnindex` files say of the part of the log that comes now.
    pub(crate) fn announce(&mut self, aborted: impl IntoIterator<Item = Aborted>) {
        self.ahead.extend(aborted.into_iter().map(|it| ((it.first, it.producer_id), it)));
    }

    /// A batch of records was met. True if it is of an aborted transaction, so that nobody may ever read it.
    pub(crate) fn batch(&mut self, head: &BatchHead) -> bool {
        self.begin_up_to(head.last_offset());
        if !head.attributes.is_transactional() {
            return false;
        }
        if let Some((_, met)) = self.aborted.get_mut(&head.producer_id) {
            *met = true;
            return true;
        }
        self.committed.insert(head.producer_id);
        false
    }

    /// A control batch was met; `kind` is the type of its record, if it still has one.
    pub(crate) fn marker(&mut self, head: &BatchHead, kind: Option<ControlType>, is_empty: bool) -> Marker {
        self.begin_up_to(head.last_offset());
        match kind {
            Some(ControlType::Abort) => match self.aborted.remove(&head.producer_id) {
                Some((aborted, true)) => Marker::Aborts(aborted),
                _ => Marker::OfNothing,
            },
            Some(ControlType::Commit) => {
                if self.committed.remove(&head.producer_id) {
                    Marker::Needed
                } else {
                    Marker::OfNothing
                }
            }
            // Cleaned before.
            None if is_empty => Marker::OfNothing,
            _ => Marker::Needed,
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while self.ahead.first_key_value().is_some_and(|((first, _), _)| *first <= offset)
            && let Some((_, aborted)) = self.ahead.pop_first()
        {
            self.aborted.entry(aborted.producer_id).or_insert((aborted, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_read_as_it_was_written() {
        let one = Aborted { first: Offset(3), last: Offset(9), producer_id: ProducerId(7), last_stable: Offset(2) };
        let bytes = format(&[one, Aborted { first: Offset(5), ..one }]);
        assert_eq!(bytes.len(), 68);
        assert_eq!(parse(&bytes), Some(vec![one, Aborted { first: Offset(5), ..one }]));
        assert_eq!(parse(&bytes[..67]), None);
        assert_eq!(parse(&[1; 34]), None, "a version that nobody has defined");
        assert_eq!(parse(&[]), Some(Vec::new()));
    }
}
