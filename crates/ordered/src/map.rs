//! A map as a vector of sorted chunks.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, Index, RangeBounds};
use std::sync::Arc;
use std::{slice, vec};

/// What a chunk may weigh: moving half of it costs less than finding a key in a large map.
const CHUNK_BYTES: usize = 4096;

/// A map in the order of its keys, with `std::collections::BTreeMap`'s methods.
///
/// Finding takes O(log n); inserting and removing also move up to a chunk of entries, and once in some dozens of times the
/// vector of chunks. The order of keys must not change while they are in here.
#[derive(Clone)]
pub struct Map<K, V, C = Vec<(K, V)>> {
    /// None is longer than [`Map::LIMIT`], each ends before the next begins, and none is empty unless it is the only one.
    chunks: Vec<C>,
    len: usize,
    entries: PhantomData<(K, V)>,
}

/// A map that shares its entries with its clones: each copies what it changes, a chunk at a time.
pub type SharedMap<K, V> = Map<K, V, Arc<Vec<(K, V)>>>;

/// How a map holds some of its entries.
pub trait Chunk<E>: From<Vec<E>> {
    /// The entries.
    fn entries(&self) -> &[E];

    /// The entries, to be changed.
    fn edit(&mut self) -> &mut Vec<E>;
}

impl<E> Chunk<E> for Vec<E> {
    fn entries(&self) -> &[E] {
        self
    }

    fn edit(&mut self) -> &mut Vec<E> {
        self
    }
}

impl<E: Clone> Chunk<E> for Arc<Vec<E>> {
    fn entries(&self) -> &[E] {
        self
    }

    fn edit(&mut self) -> &mut Vec<E> {
        Arc::make_mut(self)
    }
}

/// Where an entry is or would be: its chunk, and its place there. A place may be one past the last of its chunk, and the
/// chunk of an empty map need not exist.
type Place = (usize, usize);

impl<K, V> Map<K, V> {
    /// An empty map, which owns no memory.
    pub const fn new() -> Map<K, V> {
        Map { chunks: Vec::new(), len: 0, entries: PhantomData }
    }

    /// The keys alone, in order.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.into_iter().map(|(key, _)| key)
    }

    /// The values alone, in the order of their keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }
}

impl<K, V, C: Chunk<(K, V)>> Map<K, V, C> {
    const LIMIT: usize = {
        let size = size_of::<(K, V)>();
        let fits = CHUNK_BYTES / if size == 0 { 1 } else { size };
        if fits < 16 {
            16
        } else if fits > 256 {
            256
        } else {
            fits
        }
    };

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }

    /// The entry with the least key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.first()?.entries().first().map(shared)
    }

    /// The entry with the greatest key.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.last()?.entries().last().map(shared)
    }

    /// Removes the entry with the least key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        if self.len == 0 { None } else { Some(self.take((0, 0))) }
    }

    /// Removes the entry with the greatest key.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let chunk = self.chunks.len().checked_sub(1)?;
        let at = self.chunks[chunk].entries().len().checked_sub(1)?;
        Some(self.take((chunk, at)))
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V, C> {
        Iter { front: [].iter(), middle: self.chunks.iter(), back: [].iter() }
    }

    /// All entries, in the order of their keys, the values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V, C> {
        IterMut { front: [].iter_mut(), middle: self.chunks.iter_mut(), back: [].iter_mut() }
    }

    /// All keys, in order.
    pub fn keys(&self) -> Keys<'_, K, V, C> {
        Keys(self.iter())
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> Values<'_, K, V, C> {
        Values(self.iter())
    }

    /// All values, in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> ValuesMut<'_, K, V, C> {
        ValuesMut(self.iter_mut())
    }

    /// Keeps the entries for which `keep` holds. It is asked in the order of the keys.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let mut len = 0;
        self.chunks.retain_mut(|chunk| {
            let entries = chunk.edit();
            entries.retain_mut(|(key, value)| keep(key, value));
            len += entries.len();
            !entries.is_empty()
        });
        self.len = len;
    }

    /// Inserts at a place that was searched for.
    fn put(&mut self, (mut chunk, mut at): Place, key: K, value: V) -> &mut V {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new().into());
        } else if self.chunks[chunk].entries().len() >= Self::LIMIT {
            // Keys that come in order leave full chunks behind them.
            let cut = if at == Self::LIMIT { at } else { Self::LIMIT / 2 };
            let tail = self.chunks[chunk].edit().split_off(cut);
            self.chunks.insert(chunk + 1, tail.into());
            if at >= cut {
                (chunk, at) = (chunk + 1, at - cut);
            }
        }
        self.len += 1;
        let entries = self.chunks[chunk].edit();
        entries.insert(at, (key, value));
        &mut entries[at].1
    }

    /// Removes the entry at a place where there is one. Two neighbours are joined when that leaves them half a chunk: what is
    /// left of a large map does not keep its memory.
    fn take(&mut self, (chunk, at): Place) -> (K, V) {
        self.len -= 1;
        let entries = self.chunks[chunk].edit();
        let entry = entries.remove(at);
        if entries.len() < Self::LIMIT / 4 {
            let len = |at: usize| self.chunks.get(at).map(|it| it.entries().len());
            if let Some(left) = joined(chunk, &len, Self::LIMIT / 2) {
                let mut right = self.chunks.remove(left + 1);
                self.chunks[left].edit().append(right.edit());
            }
        }
        entry
    }

    /// The entries from one place up to another.
    fn between(&self, from: Place, to: Place) -> Iter<'_, K, V, C> {
        let chunks = &self.chunks;
        if from >= to {
            return Iter { front: [].iter(), middle: [].iter(), back: [].iter() };
        }
        if from.0 == to.0 {
            return Iter { front: chunks[from.0].entries()[from.1..to.1].iter(), middle: [].iter(), back: [].iter() };
        }
        let back = chunks.get(to.0).map_or(&[][..], |chunk| &chunk.entries()[..to.1]);
        Iter {
            front: chunks[from.0].entries()[from.1..].iter(),
            middle: chunks[from.0 + 1..to.0].iter(),
            back: back.iter(),
        }
    }

    /// The entries from one place up to another, to be changed.
    fn between_mut(&mut self, from: Place, to: Place) -> IterMut<'_, K, V, C> {
        if from >= to {
            return IterMut { front: [].iter_mut(), middle: [].iter_mut(), back: [].iter_mut() };
        }
        if from.0 == to.0 {
            let front = self.chunks[from.0].edit()[from.1..to.1].iter_mut();
            return IterMut { front, middle: [].iter_mut(), back: [].iter_mut() };
        }
        let (before, rest) = self.chunks.split_at_mut(to.0);
        let (front, middle) = before[from.0..].split_at_mut(1);
        let back = rest.first_mut().map_or(&mut [][..], |chunk| &mut chunk.edit()[..to.1]);
        IterMut { front: front[0].edit()[from.1..].iter_mut(), middle: middle.iter_mut(), back: back.iter_mut() }
    }
}

impl<K: Ord, V, C: Chunk<(K, V)>> Map<K, V, C> {
    /// Where a key is (`Ok`), or belongs (`Err`).
    fn locate<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        // First among the chunks by their first keys, then in the chunk: in one loop, as comparing is most of its code. The
        // first chunk cannot begin too late for the key: what is less than everything belongs there as well.
        let (mut low, mut high) = (1, self.chunks.len());
        let mut within: Option<(usize, &[(K, V)])> = None;
        loop {
            let middle = low + high.saturating_sub(low) / 2;
            let probe = match within {
                _ if low >= high => None,
                None => self.chunks[middle].entries().first(),
                Some((_, entries)) => entries.get(middle),
            };
            match (probe, within) {
                (Some((it, _)), _) => match it.borrow().cmp(key) {
                    Ordering::Less => low = middle + 1,
                    Ordering::Equal => return Ok(within.map_or((middle, 0), |(chunk, _)| (chunk, middle))),
                    Ordering::Greater => high = middle,
                },
                (None, Some((chunk, _))) => return Err((chunk, low)),
                (None, None) => {
                    let entries = self.chunks.get(low - 1).map_or(&[][..], C::entries);
                    within = Some((low - 1, entries));
                    (low, high) = (0, entries.len());
                }
            }
        }
    }

    /// The first place whose key is not less than `key`, or, if `past`, is greater.
    fn bound<Q: Ord + ?Sized>(&self, key: &Q, past: bool) -> Place
    where
        K: Borrow<Q>,
    {
        match self.locate(key) {
            Ok((chunk, at)) => (chunk, at + usize::from(past)),
            Err(place) => place,
        }
    }

    fn bounds<Q: Ord + ?Sized>(&self, range: &impl RangeBounds<Q>) -> (Place, Place)
    where
        K: Borrow<Q>,
    {
        let from = match range.start_bound() {
            Bound::Included(key) => self.bound(key, false),
            Bound::Excluded(key) => self.bound(key, true),
            Bound::Unbounded => (0, 0),
        };
        let to = match range.end_bound() {
            Bound::Included(key) => self.bound(key, true),
            Bound::Excluded(key) => self.bound(key, false),
            Bound::Unbounded => (self.chunks.len(), 0),
        };
        (from, to)
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.locate(key).ok()?;
        Some(&self.chunks[chunk].entries()[at].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.locate(key).ok()?;
        Some(&mut self.chunks[chunk].edit()[at].1)
    }

    /// True if the key has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.locate(key).is_ok()
    }

    /// Gives the key a value, and returns the one that it had. The key that was there stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.locate(&key) {
            Ok((chunk, at)) => Some(std::mem::replace(&mut self.chunks[chunk].edit()[at].1, value)),
            Err(place) => {
                self.put(place, key, value);
                None
            }
        }
    }

    /// Removes a key, and returns the value that it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        Some(self.remove_entry(key)?.1)
    }

    /// Removes a key, and returns it with the value that it had.
    pub fn remove_entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let place = self.locate(key).ok()?;
        Some(self.take(place))
    }

    /// The key's place, to look and then insert with one search.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, C> {
        let place = self.locate(&key);
        Entry { map: self, key, place }
    }

    /// The entries whose keys are in a range, in order. A range that ends before it begins is empty.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Iter<'_, K, V, C>
    where
        K: Borrow<Q>,
    {
        let (from, to) = self.bounds(&range);
        self.between(from, to)
    }

    /// The entries whose keys are in a range, in order, the values to be changed.
    pub fn range_mut<Q: Ord + ?Sized>(&mut self, range: impl RangeBounds<Q>) -> IterMut<'_, K, V, C>
    where
        K: Borrow<Q>,
    {
        let (from, to) = self.bounds(&range);
        self.between_mut(from, to)
    }
}

impl<K, V, C> Default for Map<K, V, C> {
    fn default() -> Map<K, V, C> {
        Map { chunks: Vec::new(), len: 0, entries: PhantomData }
    }
}

impl<K: PartialEq, V: PartialEq, C: Chunk<(K, V)>> PartialEq for Map<K, V, C> {
    fn eq(&self, other: &Map<K, V, C>) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl<K: Eq, V: Eq, C: Chunk<(K, V)>> Eq for Map<K, V, C> {}

impl<K: fmt::Debug, V: fmt::Debug, C: Chunk<(K, V)>> fmt::Debug for Map<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Borrow<Q> + Ord, V, C: Chunk<(K, V)>, Q: Ord + ?Sized> Index<&Q> for Map<K, V, C> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is in the map")
    }
}

impl<K: Ord, V, C: Chunk<(K, V)>> Extend<(K, V)> for Map<K, V, C> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V, C: Chunk<(K, V)>> FromIterator<(K, V)> for Map<K, V, C> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Map<K, V, C> {
        let mut map = Map::default();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Map<K, V> {
        entries.into_iter().collect()
    }
}

/// A key's place in a map: [`Map::entry`].
pub struct Entry<'a, K, V, C = Vec<(K, V)>> {
    map: &'a mut Map<K, V, C>,
    key: K,
    place: Result<Place, Place>,
}

impl<'a, K: Ord, V, C: Chunk<(K, V)>> Entry<'a, K, V, C> {
    /// The value, after `value` was inserted if there was none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value, after the default was inserted if there was none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// The value, after what `make` makes was inserted if there was none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        match self.place {
            Ok((chunk, at)) => &mut self.map.chunks[chunk].edit()[at].1,
            Err(place) => self.map.put(place, self.key, make()),
        }
    }

    /// Changes the value, if there is one.
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Entry<'a, K, V, C> {
        if let Ok((chunk, at)) = self.place {
            change(&mut self.map.chunks[chunk].edit()[at].1);
        }
        self
    }
}

/// The entries of a map: [`Map::iter`], [`Map::range`].
pub struct Iter<'a, K, V, C = Vec<(K, V)>> {
    front: slice::Iter<'a, (K, V)>,
    middle: slice::Iter<'a, C>,
    back: slice::Iter<'a, (K, V)>,
}

impl<K, V, C> Clone for Iter<'_, K, V, C> {
    fn clone(&self) -> Self {
        Iter { front: self.front.clone(), middle: self.middle.clone(), back: self.back.clone() }
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> Iterator for Iter<'a, K, V, C> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some(shared(entry));
            }
            match self.middle.next() {
                Some(chunk) => self.front = chunk.entries().iter(),
                None => return self.back.next().map(shared),
            }
        }
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> DoubleEndedIterator for Iter<'a, K, V, C> {
    fn next_back(&mut self) -> Option<(&'a K, &'a V)> {
        loop {
            if let Some(entry) = self.back.next_back() {
                return Some(shared(entry));
            }
            match self.middle.next_back() {
                Some(chunk) => self.back = chunk.entries().iter(),
                None => return self.front.next_back().map(shared),
            }
        }
    }
}

/// The entries of a map, their values to be changed: [`Map::iter_mut`], [`Map::range_mut`].
pub struct IterMut<'a, K, V, C = Vec<(K, V)>> {
    front: slice::IterMut<'a, (K, V)>,
    middle: slice::IterMut<'a, C>,
    back: slice::IterMut<'a, (K, V)>,
}

impl<'a, K, V, C: Chunk<(K, V)>> Iterator for IterMut<'a, K, V, C> {
    type Item = (&'a K, &'a mut V);

    fn next(&mut self) -> Option<(&'a K, &'a mut V)> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some(mutable(entry));
            }
            match self.middle.next() {
                Some(chunk) => self.front = chunk.edit().iter_mut(),
                None => return self.back.next().map(mutable),
            }
        }
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> DoubleEndedIterator for IterMut<'a, K, V, C> {
    fn next_back(&mut self) -> Option<(&'a K, &'a mut V)> {
        loop {
            if let Some(entry) = self.back.next_back() {
                return Some(mutable(entry));
            }
            match self.middle.next_back() {
                Some(chunk) => self.back = chunk.edit().iter_mut(),
                None => return self.front.next_back().map(mutable),
            }
        }
    }
}

/// The keys of a map: [`Map::keys`].
pub struct Keys<'a, K, V, C = Vec<(K, V)>>(Iter<'a, K, V, C>);

impl<K, V, C> Clone for Keys<'_, K, V, C> {
    fn clone(&self) -> Self {
        Keys(self.0.clone())
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> Iterator for Keys<'a, K, V, C> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        self.0.next().map(|(key, _)| key)
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> DoubleEndedIterator for Keys<'a, K, V, C> {
    fn next_back(&mut self) -> Option<&'a K> {
        self.0.next_back().map(|(key, _)| key)
    }
}

/// The values of a map: [`Map::values`].
pub struct Values<'a, K, V, C = Vec<(K, V)>>(Iter<'a, K, V, C>);

impl<K, V, C> Clone for Values<'_, K, V, C> {
    fn clone(&self) -> Self {
        Values(self.0.clone())
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> Iterator for Values<'a, K, V, C> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> DoubleEndedIterator for Values<'a, K, V, C> {
    fn next_back(&mut self) -> Option<&'a V> {
        self.0.next_back().map(|(_, value)| value)
    }
}

/// The values of a map, to be changed: [`Map::values_mut`].
pub struct ValuesMut<'a, K, V, C = Vec<(K, V)>>(IterMut<'a, K, V, C>);

impl<'a, K, V, C: Chunk<(K, V)>> Iterator for ValuesMut<'a, K, V, C> {
    type Item = &'a mut V;

    fn next(&mut self) -> Option<&'a mut V> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> DoubleEndedIterator for ValuesMut<'a, K, V, C> {
    fn next_back(&mut self) -> Option<&'a mut V> {
        self.0.next_back().map(|(_, value)| value)
    }
}

/// The entries of a map that was taken apart.
pub struct IntoIter<K, V> {
    front: vec::IntoIter<(K, V)>,
    middle: vec::IntoIter<Vec<(K, V)>>,
    back: vec::IntoIter<(K, V)>,
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some(entry);
            }
            match self.middle.next() {
                Some(chunk) => self.front = chunk.into_iter(),
                None => return self.back.next(),
            }
        }
    }
}

impl<K, V> DoubleEndedIterator for IntoIter<K, V> {
    fn next_back(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(entry) = self.back.next_back() {
                return Some(entry);
            }
            match self.middle.next_back() {
                Some(chunk) => self.back = chunk.into_iter(),
                None => return self.front.next_back(),
            }
        }
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter { front: Vec::new().into_iter(), middle: self.chunks.into_iter(), back: Vec::new().into_iter() }
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> IntoIterator for &'a Map<K, V, C> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V, C>;

    fn into_iter(self) -> Iter<'a, K, V, C> {
        self.iter()
    }
}

impl<'a, K, V, C: Chunk<(K, V)>> IntoIterator for &'a mut Map<K, V, C> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V, C>;

    fn into_iter(self) -> IterMut<'a, K, V, C> {
        self.iter_mut()
    }
}

/// Which chunk takes in the one after it, as `chunk` got small: an empty one joins either neighbour, others only one with which
/// they stay within `most`. Not generic, as it needs only lengths.
fn joined(chunk: usize, len: &dyn Fn(usize) -> Option<usize>, most: usize) -> Option<usize> {
    let own = len(chunk)?;
    let fits = |at: usize| len(at).is_some_and(|it| own == 0 || own + it <= most);
    if chunk > 0 && fits(chunk - 1) { Some(chunk - 1) } else { fits(chunk + 1).then_some(chunk) }
}

fn shared<K, V>((key, value): &(K, V)) -> (&K, &V) {
    (key, value)
}

fn mutable<K, V>((key, value): &mut (K, V)) -> (&K, &mut V) {
    (key, value)
}

#[cfg(test)]
mod tests {
    use super::Map;

    /// Ascending removals, as of connections by age, and descending ones, leave no more chunks than are half full.
    #[test]
    fn what_is_left_of_a_large_map_is_together() {
        let count = 50_000_u64;
        let built = || -> Map<u64, u64> { (0..count).map(|it| (it, it)).collect() };
        let mut map = built();
        assert_eq!(map.chunks.len(), count.div_ceil(Map::<u64, u64>::LIMIT as u64) as usize, "in order means full");
        (0..count).filter(|it| it % 500 != 0).for_each(|it| assert_eq!(map.remove(&it), Some(it)));
        assert_eq!((map.len(), map.chunks.len()), (100, 1));
        let mut map = built();
        while map.len() > 10 {
            map.pop_last();
        }
        assert_eq!(map.chunks.len(), 1);
    }
}
