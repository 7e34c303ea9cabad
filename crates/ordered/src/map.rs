//! A map as a vector of sorted chunks.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Bound, Index, RangeBounds};
use std::{slice, vec};

/// What a chunk may weigh: moving half of it costs less than finding a key in a large map.
const CHUNK_BYTES: usize = 4096;

/// A map in the order of its keys, with `std::collections::BTreeMap`'s methods.
///
/// Finding takes O(log n); inserting and removing also move up to a chunk of entries, and in one of about a hundred cases the
/// vector of chunks. The order of keys must not change while they are in here.
#[derive(Clone)]
pub struct Map<K, V> {
    /// None is empty, none longer than [`Map::LIMIT`], and each ends before the next begins.
    chunks: Vec<Vec<(K, V)>>,
    len: usize,
}

/// Where an entry is or would be: its chunk, and its place there. A place may be one past the last of its chunk, and the
/// chunk of an empty map does not exist.
type Place = (usize, usize);

impl<K, V> Map<K, V> {
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

    /// An empty map, which owns no memory.
    pub const fn new() -> Map<K, V> {
        Map { chunks: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }

    /// The entry with the least key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.first()?.first().map(shared)
    }

    /// The entry with the greatest key.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.last()?.last().map(shared)
    }

    /// Removes the entry with the least key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        if self.len == 0 { None } else { Some(self.take((0, 0))) }
    }

    /// Removes the entry with the greatest key.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let chunk = self.chunks.len().checked_sub(1)?;
        let at = self.chunks[chunk].len() - 1;
        Some(self.take((chunk, at)))
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { front: [].iter(), middle: self.chunks.iter(), back: [].iter() }
    }

    /// All entries, in the order of their keys, the values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut { front: [].iter_mut(), middle: self.chunks.iter_mut(), back: [].iter_mut() }
    }

    /// All keys, in order.
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }

    /// All values, in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> ValuesMut<'_, K, V> {
        ValuesMut(self.iter_mut())
    }

    /// The keys alone, in order.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.into_iter().map(|(key, _)| key)
    }

    /// The values alone, in the order of their keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    /// Keeps the entries for which `keep` holds. It is asked in the order of the keys.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let mut len = 0;
        self.chunks.retain_mut(|chunk| {
            chunk.retain_mut(|(key, value)| keep(key, value));
            len += chunk.len();
            !chunk.is_empty()
        });
        self.len = len;
    }

    /// Inserts at a place that was searched for.
    fn put(&mut self, (mut chunk, mut at): Place, key: K, value: V) -> &mut V {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        } else if self.chunks[chunk].len() >= Self::LIMIT {
            // Keys that come in order leave full chunks behind them.
            let cut = if at == Self::LIMIT { at } else { Self::LIMIT / 2 };
            let tail = self.chunks[chunk].split_off(cut);
            self.chunks.insert(chunk + 1, tail);
            if at >= cut {
                (chunk, at) = (chunk + 1, at - cut);
            }
        }
        self.len += 1;
        let entries = &mut self.chunks[chunk];
        entries.insert(at, (key, value));
        &mut entries[at].1
    }

    /// Removes the entry at a place where there is one.
    fn take(&mut self, (chunk, at): Place) -> (K, V) {
        self.len -= 1;
        let entries = &mut self.chunks[chunk];
        let entry = entries.remove(at);
        if entries.len() < Self::LIMIT / 4 {
            self.tidy(chunk);
        }
        entry
    }

    /// Drops a chunk that is empty, joins one with a neighbour if they stay half empty. So two neighbours hold more than half a
    /// chunk, however many entries were removed.
    fn tidy(&mut self, chunk: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(Self::LIMIT, Vec::len);
        let left = if chunk > 0 && len(chunk - 1) + len(chunk) <= Self::LIMIT / 2 { chunk - 1 } else { chunk };
        if len(chunk) == 0 {
            self.chunks.remove(chunk);
        } else if len(left) + len(left + 1) <= Self::LIMIT / 2 {
            let mut right = self.chunks.remove(left + 1);
            self.chunks[left].append(&mut right);
        }
    }

    /// The entries from one place up to another.
    fn between(&self, from: Place, to: Place) -> Iter<'_, K, V> {
        let chunks = &self.chunks;
        if from >= to {
            return Iter { front: [].iter(), middle: [].iter(), back: [].iter() };
        }
        if from.0 == to.0 {
            return Iter { front: chunks[from.0][from.1..to.1].iter(), middle: [].iter(), back: [].iter() };
        }
        let back = chunks.get(to.0).map_or(&[][..], |chunk| &chunk[..to.1]);
        Iter { front: chunks[from.0][from.1..].iter(), middle: chunks[from.0 + 1..to.0].iter(), back: back.iter() }
    }

    /// The entries from one place up to another, to be changed.
    fn between_mut(&mut self, from: Place, to: Place) -> IterMut<'_, K, V> {
        if from >= to {
            return IterMut { front: [].iter_mut(), middle: [].iter_mut(), back: [].iter_mut() };
        }
        if from.0 == to.0 {
            let front = self.chunks[from.0][from.1..to.1].iter_mut();
            return IterMut { front, middle: [].iter_mut(), back: [].iter_mut() };
        }
        let (before, rest) = self.chunks.split_at_mut(to.0);
        let (front, middle) = before[from.0..].split_at_mut(1);
        let back = rest.first_mut().map_or(&mut [][..], |chunk| &mut chunk[..to.1]);
        IterMut { front: front[0][from.1..].iter_mut(), middle: middle.iter_mut(), back: back.iter_mut() }
    }
}

impl<K: Ord, V> Map<K, V> {
    /// Where a key is (`Ok`), or belongs (`Err`).
    fn locate<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        // The first chunk cannot begin too late for the key: what is less than everything belongs there as well.
        let later = self.chunks.get(1..).unwrap_or_default();
        let chunk = later.partition_point(|chunk| chunk[0].0.borrow() <= key);
        let Some(entries) = self.chunks.get(chunk) else { return Err((0, 0)) };
        match entries.binary_search_by(|(it, _)| it.borrow().cmp(key)) {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
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
        Some(&self.chunks[chunk][at].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.locate(key).ok()?;
        Some(&mut self.chunks[chunk][at].1)
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
            Ok((chunk, at)) => Some(std::mem::replace(&mut self.chunks[chunk][at].1, value)),
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
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        let place = self.locate(&key);
        Entry { map: self, key, place }
    }

    /// The entries whose keys are in a range, in order. A range that ends before it begins is empty.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let (from, to) = self.bounds(&range);
        self.between(from, to)
    }

    /// The entries whose keys are in a range, in order, the values to be changed.
    pub fn range_mut<Q: Ord + ?Sized>(&mut self, range: impl RangeBounds<Q>) -> IterMut<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let (from, to) = self.bounds(&range);
        self.between_mut(from, to)
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Map<K, V>) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Borrow<Q> + Ord, V, Q: Ord + ?Sized> Index<&Q> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is in the map")
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Map<K, V> {
        let mut map = Map::new();
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
pub struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
    place: Result<Place, Place>,
}

impl<'a, K, V> Entry<'a, K, V> {
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
            Ok((chunk, at)) => &mut self.map.chunks[chunk][at].1,
            Err(place) => self.map.put(place, self.key, make()),
        }
    }

    /// Changes the value, if there is one.
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Entry<'a, K, V> {
        if let Ok((chunk, at)) = self.place {
            change(&mut self.map.chunks[chunk][at].1);
        }
        self
    }
}

/// The entries of a map: [`Map::iter`], [`Map::range`].
pub struct Iter<'a, K, V> {
    front: slice::Iter<'a, (K, V)>,
    middle: slice::Iter<'a, Vec<(K, V)>>,
    back: slice::Iter<'a, (K, V)>,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter { front: self.front.clone(), middle: self.middle.clone(), back: self.back.clone() }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some(shared(entry));
            }
            match self.middle.next() {
                Some(chunk) => self.front = chunk.iter(),
                None => return self.back.next().map(shared),
            }
        }
    }
}

impl<'a, K, V> DoubleEndedIterator for Iter<'a, K, V> {
    fn next_back(&mut self) -> Option<(&'a K, &'a V)> {
        loop {
            if let Some(entry) = self.back.next_back() {
                return Some(shared(entry));
            }
            match self.middle.next_back() {
                Some(chunk) => self.back = chunk.iter(),
                None => return self.front.next_back().map(shared),
            }
        }
    }
}

/// The entries of a map, their values to be changed: [`Map::iter_mut`], [`Map::range_mut`].
pub struct IterMut<'a, K, V> {
    front: slice::IterMut<'a, (K, V)>,
    middle: slice::IterMut<'a, Vec<(K, V)>>,
    back: slice::IterMut<'a, (K, V)>,
}

impl<'a, K, V> Iterator for IterMut<'a, K, V> {
    type Item = (&'a K, &'a mut V);

    fn next(&mut self) -> Option<(&'a K, &'a mut V)> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some(mutable(entry));
            }
            match self.middle.next() {
                Some(chunk) => self.front = chunk.iter_mut(),
                None => return self.back.next().map(mutable),
            }
        }
    }
}

impl<'a, K, V> DoubleEndedIterator for IterMut<'a, K, V> {
    fn next_back(&mut self) -> Option<(&'a K, &'a mut V)> {
        loop {
            if let Some(entry) = self.back.next_back() {
                return Some(mutable(entry));
            }
            match self.middle.next_back() {
                Some(chunk) => self.back = chunk.iter_mut(),
                None => return self.front.next_back().map(mutable),
            }
        }
    }
}

/// The keys of a map: [`Map::keys`].
pub struct Keys<'a, K, V>(Iter<'a, K, V>);

impl<K, V> Clone for Keys<'_, K, V> {
    fn clone(&self) -> Self {
        Keys(self.0.clone())
    }
}

impl<'a, K, V> Iterator for Keys<'a, K, V> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        self.0.next().map(|(key, _)| key)
    }
}

impl<'a, K, V> DoubleEndedIterator for Keys<'a, K, V> {
    fn next_back(&mut self) -> Option<&'a K> {
        self.0.next_back().map(|(key, _)| key)
    }
}

/// The values of a map: [`Map::values`].
pub struct Values<'a, K, V>(Iter<'a, K, V>);

impl<K, V> Clone for Values<'_, K, V> {
    fn clone(&self) -> Self {
        Values(self.0.clone())
    }
}

impl<'a, K, V> Iterator for Values<'a, K, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<'a, K, V> DoubleEndedIterator for Values<'a, K, V> {
    fn next_back(&mut self) -> Option<&'a V> {
        self.0.next_back().map(|(_, value)| value)
    }
}

/// The values of a map, to be changed: [`Map::values_mut`].
pub struct ValuesMut<'a, K, V>(IterMut<'a, K, V>);

impl<'a, K, V> Iterator for ValuesMut<'a, K, V> {
    type Item = &'a mut V;

    fn next(&mut self) -> Option<&'a mut V> {
        self.0.next().map(|(_, value)| value)
    }
}

impl<'a, K, V> DoubleEndedIterator for ValuesMut<'a, K, V> {
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

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut Map<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> IterMut<'a, K, V> {
        self.iter_mut()
    }
}

fn shared<K, V>((key, value): &(K, V)) -> (&K, &V) {
    (key, value)
}

fn mutable<K, V>((key, value): &mut (K, V)) -> (&K, &mut V) {
    (key, value)
}
