//! How far a log is on disk, and what `recovery-point-offset-checkpoint` may say of it. Where that says more than the log has, a
//! start takes what was appended since for checked, and refuses an end that a power cut tore. So a cut has it say less first, on
//! disk, and from then on no text says more than was flushed since: one that was made before the cut may come after it.

use bytes::Bytes;
use ordered::Map;
use protocol::Offset;

use crate::disk::Disk;
use crate::meta;
use crate::op::{DirId, LogId, StoreError};
use crate::store::Store;

/// How far a log is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Behind its last record.
    pub(crate) end: Offset,
    /// The flush that was gathered last is for everything below.
    asked: Offset,
    /// Everything below is on disk.
    synced: Offset,
    /// Before it was cut, everything below may have been on disk.
    was_synced: Offset,
    /// A start does not read what is below: a checkpoint said so of more than was there.
    unread: Offset,
}

impl Progress {
    /// A log that was mounted, all of it on disk.
    pub(crate) fn mounted(end: Offset, recovery_point: Option<Offset>) -> Progress {
        let unread = recovery_point.unwrap_or_default();
        Progress { end, asked: end, synced: end, was_synced: Offset(0), unread }
    }

    /// What is left after a cut is on disk.
    pub(crate) fn cut(&mut self, offset: Offset) {
        let was_synced = self.was_synced.max(self.synced);
        *self = Progress { end: offset, asked: offset, synced: offset, was_synced, unread: self.unread.min(offset) };
    }

    /// A flush is gathered.
    pub(crate) fn flush(&mut self) {
        self.asked = self.end;
    }

    /// It is through.
    pub(crate) fn flushed(&mut self) {
        self.synced = self.asked;
    }

    /// True if a start would not read what is appended now.
    pub(crate) fn is_unread(&self) -> bool {
        self.end < self.unread
    }
}

impl<D: Disk> Store<D> {
    /// Recovery points that say of no log more than is on disk since it was cut.
    pub(crate) fn true_points(&self, dir: DirId, bytes: Bytes) -> Result<Bytes, StoreError> {
        let cut = self.logs.values().filter(|it| it.dir == dir && it.progress.synced < it.progress.was_synced);
        let cut: Map<&str, Offset> = cut.map(|it| (it.folder.as_str(), it.progress.synced)).collect();
        if cut.is_empty() {
            return Ok(bytes);
        }
        let mut points = meta::parse_offsets(&bytes)?;
        for (name, point) in &mut points {
            if let Some(synced) = cut.get(name.to_string().as_str()) {
                *point = (*point).min(*synced);
            }
        }
        Ok(meta::format_offsets(points.iter().map(|(name, point)| (name, *point))))
    }

    /// Has the checkpoints say nothing of what is at and above the offset, which is about to be cut. What is still there after a
    /// crash is read, and says of itself what they did.
    pub(crate) fn expect_less(&mut self, log: LogId, offset: Offset) -> Result<(), StoreError> {
        let it = self.log_mut(log)?;
        let (dir, folder, is_synced) = (it.dir, it.folder.clone(), it.synced);
        let text = self.read_file(dir, meta::RECOVERY_POINTS)?.unwrap_or_default();
        if is_above(&text, &folder, offset) {
            let mut points = meta::parse_offsets(&text)?;
            for (_, point) in points.iter_mut().filter(|(name, _)| name.to_string() == folder) {
                *point = offset;
            }
            let text = meta::format_offsets(points.iter().map(|(name, point)| (name, *point)));
            self.replace_file(dir, meta::RECOVERY_POINTS, text)?;
        }
        // Epochs that begin behind the end are damage to whoever opens a log of which all was synced.
        if is_synced
            && let Some(mut epochs) = self.read_epochs(dir, &folder, false)?
            && epochs.truncate_from_end(offset)
        {
            self.replace_file(dir, &format!("{folder}/{}", meta::LEADER_EPOCHS), epochs.format())?;
        }
        Ok(())
    }
}

/// True if a checkpoint says of a log that it is further. Most do not, and of thousands of logs only one is looked for.
fn is_above(text: &[u8], folder: &str, offset: Offset) -> bool {
    let name = folder.rsplit_once('-').map_or(String::new(), |(topic, partition)| format!("{topic} {partition} "));
    let point = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()));
    let point = point.and_then(|point| std::str::from_utf8(point).ok()?.trim().parse().ok());
    point.is_some_and(|point| Offset(point) > offset)
}
