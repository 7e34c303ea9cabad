//! Snapshots in the metadata log's folder (KIP-630): `<end offset>-<epoch>.checkpoint`, and the records that a new cluster
//! begins with: `bootstrap.checkpoint` in the log directory.

use bytes::Bytes;
use protocol::{LeaderEpoch, Offset};

use crate::disk::Disk;
use crate::op::{DirId, LogId, StoreError};
use crate::store::Store;

/// Of the log directory that holds the metadata log; written when Apache Kafka formats it.
pub const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// How much of the log a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// It holds what all records below said.
    pub end: Offset,
    /// The leader epoch of the last of them.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The file's name.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.end.0, self.epoch.0)
    }

    /// Reads a file's name; a snapshot that is not complete has another ending.
    pub fn of_file_name(name: &str) -> Option<SnapshotId> {
        let (end, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        let is_digits = |text: &str, count| text.len() == count && text.bytes().all(|it| it.is_ascii_digit());
        (is_digits(end, 20) && is_digits(epoch, 10)).then_some(())?;
        Some(SnapshotId { end: Offset(end.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
    }
}

/// A snapshot's bytes: batches of records, with offsets of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What it stands for.
    pub id: SnapshotId,
    /// The file.
    pub bytes: Bytes,
}

impl<D: Disk> Store<D> {
    fn snapshots(&self, dir: DirId, folder: &str) -> Result<Vec<SnapshotId>, StoreError> {
        let names = self.disk.list(dir, folder)?;
        let mut ids: Vec<SnapshotId> = names.iter().filter_map(|it| SnapshotId::of_file_name(&it.name)).collect();
        ordered::sort(&mut ids);
        Ok(ids)
    }

    /// The newest snapshot in a log's folder.
    pub(crate) fn newest_snapshot(&mut self, dir: DirId, folder: &str) -> Result<Option<Snapshot>, StoreError> {
        let Some(id) = self.snapshots(dir, folder)?.pop() else { return Ok(None) };
        let bytes = self.read_file(dir, &format!("{folder}/{}", id.file_name()))?;
        Ok(bytes.map(|bytes| Snapshot { id, bytes }))
    }

    /// Removes the snapshots that a newer one stands in for.
    pub(crate) fn drop_snapshots_before(&mut self, log: LogId, newest: SnapshotId) -> Result<(), StoreError> {
        let it = self.log_mut(log)?;
        let (dir, folder) = (it.dir, it.folder.clone());
        for id in self.snapshots(dir, &folder)?.into_iter().filter(|id| *id < newest) {
            self.unlink(dir, &format!("{folder}/{}", id.file_name()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        let id = SnapshotId { end: Offset(35_421), epoch: LeaderEpoch(7) };
        assert_eq!(id.file_name(), "00000000000000035421-0000000007.checkpoint");
        assert_eq!(SnapshotId::of_file_name(&id.file_name()), Some(id));
        for other in [
            "bootstrap.checkpoint",
            "00000000000000035421-0000000007.checkpoint.part",
            "00000000000000035421-0000000007.checkpoint.deleted",
            "35421-7.checkpoint",
            "-0000000000000035421-0000000007.checkpoint",
            "99999999999999999999-0000000007.checkpoint",
        ] {
            assert_eq!(SnapshotId::of_file_name(other), None, "{other}");
        }
    }
}
