//! The names in a folder, as they are and as they are on the platter.

use ordered::{Map, Set};

#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    pub(super) names: Map<String, u64>,
    pub(super) synced: Map<String, u64>,
    /// Where the two may differ: a folder of many thousands is synced for each of them.
    touched: Set<String>,
}

impl Folder {
    /// Gives a name; who had it.
    pub(super) fn give(&mut self, name: &str, id: u64) -> Option<u64> {
        self.touched.insert(name.to_owned());
        self.names.insert(name.to_owned(), id)
    }

    /// Takes a name away.
    pub(super) fn take(&mut self, name: &str) {
        self.touched.insert(name.to_owned());
        self.names.remove(name);
    }

    /// Names are on the platter as they are; true if somebody who had one there has it no more.
    pub(super) fn sync(&mut self) -> bool {
        let mut gone = false;
        while let Some(name) = self.touched.pop_last() {
            let now = self.names.get(&name).copied();
            let before = match now {
                Some(id) => self.synced.insert(name, id),
                None => self.synced.remove(&name),
            };
            gone |= before.is_some() && before != now;
        }
        gone
    }

    /// Names are as they are on the platter.
    pub(super) fn lose(&mut self) {
        self.touched.clear();
        self.names = self.synced.clone();
    }
}
