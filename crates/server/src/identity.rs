//! Whose data directory it is: `meta.properties` of every log directory, written on the first start.

use std::path::Path;

use node::config::{Config, Identity};
use protocol::{Str, Uuid};
use storage::meta::MetaProperties;

use crate::datadir::DataDir;
use crate::start::StartError;

/// Locks every log directory, checks whose the formatted ones are and formats those without logs, so that a single node
/// needs no `vivarium storage format`. Tells the configuration who the node is.
pub(crate) fn open(config: &mut Config) -> Result<Vec<DataDir>, StartError> {
    let mut dirs = Vec::new();
    let mut metas = Vec::new();
    for path in &config.log_dirs {
        let dir = DataDir::open(Path::new(path.as_str())).map_err(StartError::DataDir)?;
        let meta = read(&dir)?;
        if meta.is_none()
            && let Some(log) = dir.some_log().map_err(StartError::DataDir)?
        {
            return Err(refuse(
                &dir,
                format!(
                    "it is missing, and there are logs here ({log}): restore it, or give this node a directory of its own"
                ),
            ));
        }
        metas.push(meta);
        dirs.push(dir);
    }
    let cluster_id = match metas.iter().flatten().next() {
        Some(meta) => meta.cluster_id.clone(),
        None => Str::from(random_id()?.to_string()),
    };
    let mut directory_ids = Vec::new();
    for (dir, meta) in dirs.iter().zip(metas) {
        let meta = match meta {
            Some(meta) => meta,
            None => format(
                dir,
                MetaProperties { cluster_id: cluster_id.clone(), node_id: config.node_id, directory_id: random_id()? },
            )?,
        };
        check(config, &cluster_id, dir, &meta)?;
        directory_ids.push(meta.directory_id);
    }
    config.identity = Identity { cluster_id, directory_ids };
    Ok(dirs)
}

/// What `meta.properties` says, or `None` for a directory that was never formatted.
pub fn read(dir: &DataDir) -> Result<Option<MetaProperties>, StartError> {
    let Some(text) = dir.meta().map_err(StartError::DataDir)? else { return Ok(None) };
    MetaProperties::parse(&text).map(Some).map_err(|error| StartError::Meta(dir.path.clone(), error.to_string()))
}

/// Formats a directory.
pub(crate) fn format(dir: &DataDir, meta: MetaProperties) -> Result<MetaProperties, StartError> {
    dir.write_meta(&meta.format()).map_err(StartError::DataDir)?;
    Ok(meta)
}

fn check(config: &Config, cluster_id: &Str, dir: &DataDir, meta: &MetaProperties) -> Result<(), StartError> {
    if meta.node_id != config.node_id {
        return Err(refuse(
            dir,
            format!(
                "this directory is node {}'s, and this is node {}: set node.id={}, or give this node a directory of its own",
                meta.node_id, config.node_id, meta.node_id
            ),
        ));
    }
    if meta.cluster_id != *cluster_id {
        return Err(refuse(
            dir,
            format!(
                "this directory is of cluster {}, another of log.dirs is of cluster {cluster_id}: take out the one that does not belong here",
                meta.cluster_id
            ),
        ));
    }
    Ok(())
}

fn refuse(dir: &DataDir, what: String) -> StartError {
    StartError::Meta(dir.path.join("meta.properties"), what)
}

/// A random id as Kafka draws them: never one that starts with a dash, so that it can be a command's argument.
pub fn random_id() -> Result<Uuid, StartError> {
    loop {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| StartError::Io(std::io::Error::other(error)))?;
        let id = Uuid::from_random(bytes);
        if !id.to_string().starts_with('-') {
            return Ok(id);
        }
    }
}
