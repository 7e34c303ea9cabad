//! The folders of a log directory that no mounted log is in: copies of logs that were being made (`-future`), logs that are
//! nobody's any more (`-stray`, as Kafka names them), and logs that are somewhere else.

use protocol::{Str, TopicPartition, Uuid};

use crate::copy::{copied_log, hex};
use crate::disk::Disk;
use crate::meta;
use crate::op::{DirId, Done, FoundLog, StoreError};
use crate::store::Store;

/// What ends the name of a folder that was set aside.
const STRAY: &str = "-stray";

impl<D: Disk> Store<D> {
    /// The logs of a directory that are not mounted.
    pub(crate) fn survey(&mut self, dir: DirId) -> Result<Done, StoreError> {
        let mut found = Vec::new();
        for entry in self.disk.list(dir, "")? {
            let is_other = [STRAY, "-delete"].iter().any(|end| entry.name.ends_with(end));
            if !entry.is_dir || is_other || self.is_mounted(dir, &entry.name) {
                continue;
            }
            let copied = copied_log(&entry.name);
            let Some(name) = log_of_folder(copied.unwrap_or(&entry.name)) else { continue };
            let copy_of = match copied {
                Some(_) => Some(self.topic_of(dir, &entry.name)?),
                None => None,
            };
            found.push(FoundLog { folder: entry.name.into(), name, copy_of });
        }
        Ok(Done::Surveyed(found))
    }

    fn is_mounted(&self, dir: DirId, folder: &str) -> bool {
        self.logs.values().any(|log| log.dir == dir && log.folder == folder)
    }

    /// The topic that a folder is of, by its `partition.metadata`; zero if that does not say.
    pub(crate) fn topic_of(&mut self, dir: DirId, folder: &str) -> Result<Uuid, StoreError> {
        let bytes = self.read_file(dir, &format!("{folder}/{}", meta::PARTITION_METADATA))?;
        Ok(bytes.and_then(|bytes| meta::parse_partition_metadata(&bytes).ok()).unwrap_or(Uuid::ZERO))
    }

    /// Gives a folder a name that no log has. Answers the name; `None` if a log is in it by now.
    pub(crate) fn set_aside(&mut self, dir: DirId, folder: &str) -> Result<Option<Str>, StoreError> {
        if self.is_mounted(dir, folder) {
            return Ok(None);
        }
        let id = hex(self.topic_of(dir, folder)?);
        let name = copied_log(folder).unwrap_or(folder);
        let names = self.disk.list(dir, "")?;
        let aside = (0u32..).map(|count| {
            let suffix = if count == 0 { format!(".{id}{STRAY}") } else { format!(".{id}{count}{STRAY}") };
            let room = 255usize.saturating_sub(suffix.len()).min(name.len());
            format!("{}{suffix}", name.get(..room).unwrap_or("topic-0"))
        });
        let mut free = aside.filter(|aside| names.iter().all(|entry| entry.name != *aside));
        let Some(aside) = free.next() else { return Ok(None) };
        match self.disk.rename(dir, folder, &aside) {
            // It is gone by itself.
            Err(StoreError::Missing) => return Ok(None),
            other => other?,
        }
        self.disk.sync_dir(dir, "")?;
        Ok(Some(aside.into()))
    }

    /// A copy takes the place of the log that it was made of, which is nowhere to be found.
    pub(crate) fn adopt(&mut self, dir: DirId, name: &TopicPartition, topic_id: Uuid) -> Result<Done, StoreError> {
        let folder = format!("{}-{}", name.topic, name.partition);
        if let Some(copy) = self.find_copy(dir, &folder, topic_id)? {
            self.disk.rename(dir, &copy, &folder)?;
            self.disk.sync_dir(dir, "")?;
        }
        Ok(Done::Adopted)
    }
}

/// The log that has a folder of this name.
fn log_of_folder(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition = partition.parse().ok().filter(|it: &i32| *it >= 0)?;
    (!topic.is_empty()).then(|| TopicPartition { topic: Str::from(topic), partition })
}
