//! Ordered maps and sets that link little machine code.
//!
//! The core keeps everything in maps that iterate in the order of their keys, some eighty kinds of them, and every kind of
//! `std::collections::BTreeMap` that is inserted into, removed from, iterated and cloned adds some 8 KB to the page that the
//! lab is served as. A [`Map`] is a vector of sorted chunks instead: searching one is two binary searches, changing it moves
//! part of one chunk, walking it is walking slices. It adds about 1 KB a kind, and is as fast (`examples/race.rs`).

pub mod map;
pub mod set;
mod sort;

pub use map::{Entry, Map, SharedMap};
pub use set::Set;
pub use sort::{sort, sort_by, sort_by_key};
