//! Whose data directory it is: `meta.properties` of every log directory, written on the first start.

use std::io::{self, ErrorKind};
use std::path::Path;

use node::config::{Config, Identity, Voter};
use protocol::{Str, Uuid};
use storage::meta::{CLEAN_SHUTDOWN, MetaProperties, parse_clean_shutdown};
use storage::snapshot::BOOTSTRAP;

use crate::datadir::{DataDir, DataDirError};
use crate::start::StartError;

/// The metadata log's folder.
const METADATA_FOLDER: &str = "__cluster_metadata-0";

/// Locks every log directory, checks whose the formatted ones are and formats those without logs, so that a single node
/// needs no `vivarium storage format`. Tells the configuration who the node is, and which directories are lost: the node
/// serves without them, unless one of them is to hold the metadata log.
pub(crate) fn open(config: &mut Config) -> Result<Vec<DataDir>, StartError> {
    let mut dirs = Vec::new();
    let mut metas = Vec::new();
    let mut places = Vec::new();
    let mut lost = Vec::new();
    for (index, path) in (0u16..).zip(&config.log_dirs) {
        match open_one(Path::new(path.as_str())) {
            Ok((dir, meta)) => {
                metas.push(meta);
                dirs.push(dir);
                places.push(usize::from(index));
            }
            Err(StartError::DataDir(error @ DataDirError::Io(..)))
                if config.replica_dirs > 1 && index != config.metadata_log_dir =>
            {
                lost.push((index, Str::from(error.to_string())));
            }
            Err(error) => return Err(error),
        }
    }
    let cluster_id = match metas.iter().flatten().next() {
        Some(meta) => meta.cluster_id.clone(),
        None => new_cluster(config, &dirs)?,
    };
    for ((dir, place), meta) in dirs.iter().zip(&places).zip(&metas) {
        if let Some(meta) = meta {
            check(config, &cluster_id, dir, meta)?;
        }
        if *place != usize::from(config.metadata_log_dir) {
            expect_no_metadata(config, dir)?;
        }
    }
    let mut opened = dirs.iter().zip(&places).zip(&metas);
    let metadata = opened.find(|((_, place), _)| **place == usize::from(config.metadata_log_dir));
    if let Some(((dir, _), None)) = metadata
        && config.is_alone()
    {
        expect_no_orphans(dir, &dirs)?;
    }
    if let Some(((dir, _), Some(_))) = metadata {
        expect_known_beginning(dir)?;
    }
    let mut directory_ids = vec![Uuid::ZERO; config.log_dirs.len()];
    for ((dir, place), meta) in dirs.iter().zip(places).zip(metas) {
        let meta = match meta {
            Some(meta) => meta,
            None => format(
                dir,
                MetaProperties { cluster_id: cluster_id.clone(), node_id: config.node_id, directory_id: random_id()? },
            )?,
        };
        directory_ids[place] = meta.directory_id;
    }
    // What cannot be read agrees with nothing; its directory goes offline by itself.
    let stops: Option<Vec<Option<i64>>> = dirs.iter().map(|it| stop_of(it).ok()).collect();
    let stops_differ = stops.is_none_or(|it| it.windows(2).any(|pair| pair[0] != pair[1]));
    config.identity = Identity { cluster_id, directory_ids, lost, stops_differ };
    Ok(dirs)
}

/// The broker epoch of the clean stop that a directory tells of. The node's store takes the file away.
fn stop_of(dir: &DataDir) -> io::Result<Option<i64>> {
    match std::fs::read(dir.path.join(CLEAN_SHUTDOWN)) {
        Ok(bytes) => Ok(parse_clean_shutdown(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Locks a log directory and reads whose it is.
fn open_one(path: &Path) -> Result<(DataDir, Option<MetaProperties>), StartError> {
    let dir = DataDir::open(path).map_err(StartError::DataDir)?;
    // Found out now rather than by the first append: a disk that failed is often mounted again to be read only.
    dir.probe().map_err(StartError::DataDir)?;
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
    Ok((dir, meta))
}

/// The metadata log is in no other directory than the one that is to hold it: else `log.dirs` names them in another order, and
/// by metadata that begin anew none of the logs here would be anybody's.
fn expect_no_metadata(config: &Config, dir: &DataDir) -> Result<(), StartError> {
    let found = dir.path.join(METADATA_FOLDER);
    if !found.exists() {
        return Ok(());
    }
    let wanted = config.log_dirs.get(usize::from(config.metadata_log_dir)).cloned().unwrap_or_default();
    Err(StartError::Meta(
        found,
        format!(
            "the metadata log is in this directory, and the configured one for it is {wanted}: name this directory first in \
             log.dirs or in metadata.log.dir, or move the log there if that was meant"
        ),
    ))
}

/// The directory of the metadata log is new: then no other has logs, or a disk is not mounted. Alone a node would begin metadata
/// in which none of these logs is anybody's, and set them aside; one of several fetches what is lost.
fn expect_no_orphans(metadata: &DataDir, dirs: &[DataDir]) -> Result<(), StartError> {
    for dir in dirs {
        if let Some(log) = dir.some_log().map_err(StartError::DataDir)? {
            return Err(refuse(
                metadata,
                format!(
                    "it is missing, and there are logs in {} ({log}): is the metadata log's disk mounted? Mount or restore it, \
                     or give this node directories of its own",
                    dir.path.display()
                ),
            ));
        }
    }
    Ok(())
}

/// A directory that was formatted and never used may have been formatted by a later version: then nothing is written to it.
fn expect_known_beginning(dir: &DataDir) -> Result<(), StartError> {
    let logs = std::fs::read_dir(dir.path.join(METADATA_FOLDER)).into_iter().flatten().flatten();
    let is_log = |it: &std::fs::DirEntry| it.path().extension().is_some_and(|it| it == "log");
    let mut lens = logs.filter(is_log).map(|it| it.metadata().map_or(0, |it| it.len()));
    let path = dir.path.join(BOOTSTRAP);
    match std::fs::read(&path) {
        Ok(bytes) if lens.all(|len| len == 0) => {
            node::check_bootstrap(&bytes.into()).map_err(|why| StartError::Meta(path, why))
        }
        // What else is wrong with it is found by who begins with it.
        _ => Ok(()),
    }
}

/// The id of the cluster of a node that was never formatted. Alone it draws one. Nodes that name the same voters come to the
/// same id without a word to each other. Who is to join voters that nobody has named cannot know it.
fn new_cluster(config: &Config, dirs: &[DataDir]) -> Result<Str, StartError> {
    if config.is_alone() {
        return Ok(Str::from(random_id()?.to_string()));
    }
    if let Some(id) = cluster_of(&config.voters) {
        return Ok(Str::from(id.to_string()));
    }
    let Some(dir) = dirs.first() else { return Err(StartError::Ended("log.dirs names no directory".into())) };
    let (flag, which) = match config.roles.controller {
        true => (
            "--standalone",
            "an id of `vivarium storage random-uuid` for the first controller of a new cluster, --initial-controllers for \
             each of several, or --no-initial-controllers and the cluster's id for one that joins",
        ),
        false => ("--no-initial-controllers", "that cluster's id"),
    };
    Err(refuse(
        dir,
        format!(
            "it is missing, and controller.quorum.bootstrap.servers does not say which cluster this is: run `vivarium storage \
             format --config server.properties --cluster-id ID {flag}` with {which}"
        ),
    ))
}

/// The cluster's id that static voters stand for: the same in whatever order they are named.
fn cluster_of(voters: &[Voter]) -> Option<Uuid> {
    if voters.is_empty() {
        return None;
    }
    let mut names: Vec<String> = voters.iter().map(|it| format!("{}@{}:{}", it.id, it.host, it.port)).collect();
    names.sort_unstable();
    let text = names.join(",");
    // Two FNV-1a hashes from different beginnings: nothing secret is made of it, it has only to differ.
    let hash = |basis: u64| {
        text.bytes()
            .fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
            .to_be_bytes()
    };
    (0..u64::MAX).find_map(|salt| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&hash(0xcbf2_9ce4_8422_2325 ^ salt));
        bytes[8..].copy_from_slice(&hash(0x8422_2325_cbf2_9ce4 ^ salt));
        let id = Uuid::from_random(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    })
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

#[cfg(test)]
mod tests {
    use protocol::NodeId;

    use super::*;

    #[test]
    fn a_clean_stop_is_that_of_all_directories() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let dirs = format!("{},{}", a.display(), b.display());
        let differ = || {
            let settings = [("listeners", "PLAINTEXT://127.0.0.1:0"), ("log.dirs", dirs.as_str())];
            let mut config = Config::parse(&settings.map(|(key, value)| (key.into(), value.into())).into()).unwrap().0;
            drop(open(&mut config).unwrap());
            config.identity.stops_differ
        };
        assert!(!differ(), "there was no stop");
        let stop = |dir: &Path, epoch| {
            std::fs::write(dir.join(CLEAN_SHUTDOWN), storage::meta::format_clean_shutdown(epoch)).unwrap();
        };
        stop(&a, 42);
        assert!(differ(), "one has no file");
        stop(&b, 41);
        assert!(differ(), "one is older");
        stop(&b, 42);
        assert!(!differ());
        std::fs::remove_file(b.join(CLEAN_SHUTDOWN)).unwrap();
        std::fs::create_dir(b.join(CLEAN_SHUTDOWN)).unwrap();
        assert!(differ(), "one cannot be read, and the node starts");
    }

    #[test]
    fn the_same_voters_are_the_same_cluster() {
        let voter = |id, port| Voter { id: NodeId(id), host: Str::from_static("127.0.0.1"), port };
        let cluster = cluster_of(&[voter(1, 9093), voter(2, 9094)]);
        assert!(cluster.is_some());
        assert_eq!(cluster, cluster_of(&[voter(2, 9094), voter(1, 9093)]));
        assert_ne!(cluster, cluster_of(&[voter(1, 9093), voter(2, 9095)]));
        assert_ne!(cluster, cluster_of(&[voter(1, 9093)]));
        assert_eq!(cluster_of(&[]), None);
    }
}
