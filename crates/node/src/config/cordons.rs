//! `cordoned.log.dirs` (KIP-1066): directories that get no new replicas.

use ordered::Set;
use protocol::Str;
use storage::DirId;

use super::{Config, ConfigError, list};
use crate::image::Image;

pub(crate) const KEY: &str = "cordoned.log.dirs";
const ALL: &str = "*";

/// Whether a value names nothing but these directories.
pub(crate) fn check(value: &str, log_dirs: &[Str]) -> Result<(), ConfigError> {
    let named = list(value);
    if named.contains(&ALL) {
        return match named.len() {
            1 => Ok(()),
            _ => Err(ConfigError(format!("When {KEY} is set to {ALL}, it must not contain other values"))),
        };
    }
    let unknown: Vec<&str> = named.into_iter().filter(|it| !log_dirs.iter().any(|dir| dir == it)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(ConfigError(format!(
        "All entries in {KEY} must be present in log.dirs or log.dir. Missing entries : {}",
        unknown.join(", ")
    )))
}

impl Config {
    /// The directories that get no new replicas by what is set now. What names none of this node's is passed over: it was set
    /// where nobody knew them.
    pub(crate) fn cordoned_dirs(&self, image: &Image) -> Set<DirId> {
        let value = self.broker_value(image, KEY).unwrap_or_default();
        let named = list(&value);
        let is_cordoned = |dir: &Str| named.iter().any(|it| *it == ALL || dir == it);
        let dirs = (0..).zip(self.log_dirs.iter().take(self.replica_dirs)).filter(|(_, dir)| is_cordoned(dir));
        dirs.map(|(place, _)| DirId(place)).collect()
    }
}
