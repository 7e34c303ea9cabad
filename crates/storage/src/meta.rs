//! Kafka's small text files: `meta.properties`, `partition.metadata`, checkpoints, `quorum-state`, `.kafka_cleanshutdown`.
//!
//! What cannot be read is [`StoreError::Corrupt`] with what to do about it; who knows the path adds it.

use std::fmt::Write;

use bytes::Bytes;
use protocol::{LeaderEpoch, NodeId, Offset, Str, TopicPartition, Uuid};

use crate::epochs::EpochStart;
use crate::json::Json;
use crate::op::StoreError;

/// `meta.properties`: whose a log directory is.
pub const META_PROPERTIES: &str = "meta.properties";
/// `partition.metadata`: whose a log folder is.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// Of a log folder.
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// Of the metadata log's folder.
pub const QUORUM_STATE: &str = "quorum-state";
/// Of a log directory.
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Of a log directory.
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Of a log directory.
pub const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// Of a log directory.
pub const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
/// Of a log directory.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// Whose a log directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: Str,
    /// The node.
    pub node_id: NodeId,
    /// The directory itself (KIP-858); zero in a file of Kafka before 3.7.
    pub directory_id: Uuid,
}

impl MetaProperties {
    /// Reads version 1, as Kafka writes it since there is KRaft.
    pub fn parse(text: &str) -> Result<MetaProperties, StoreError> {
        let value = |name: &str| properties(text).filter(|(key, _)| key == name).last().map(|(_, value)| value);
        let required = |name: &str| value(name).ok_or_else(|| meta_error(format!("it has no {name}")));
        match required("version")?.as_str() {
            "1" => {}
            "0" => return Err(meta_error("version 0 is of a ZooKeeper cluster, which must be migrated first".into())),
            other if other.parse::<u32>().is_ok() => {
                return Err(StoreError::Corrupt(format!(
                    "meta.properties: its version is {other}, and 1 is all that is known: the directory is of a later version; start it \
                     with that"
                )));
            }
            other => return Err(meta_error(format!("its version is {other:?}, which is no number"))),
        }
        let node_id = required("node.id")?;
        let node_id = node_id.parse().ok().filter(|id| *id >= 0);
        let directory_id = value("directory.id").map_or(Ok(Uuid::ZERO), |id| id.parse::<Uuid>());
        Ok(MetaProperties {
            cluster_id: required("cluster.id")?.into(),
            node_id: NodeId(node_id.ok_or_else(|| meta_error("its node.id is no number from 0 up".into()))?),
            directory_id: directory_id.map_err(|error| meta_error(format!("its directory.id is none: {error}")))?,
        })
    }

    /// The file's text.
    pub fn format(&self) -> String {
        let mut text = format!("cluster.id={}\n", self.cluster_id);
        if !self.directory_id.is_zero() {
            let _ = writeln!(text, "directory.id={}", self.directory_id);
        }
        let _ = write!(text, "node.id={}\nversion=1\n", self.node_id);
        text
    }
}

fn meta_error(what: String) -> StoreError {
    StoreError::Corrupt(format!(
        "meta.properties: {what}; restore the file: version=1, cluster.id, node.id and directory.id of before"
    ))
}

/// Java's properties, as far as Kafka's own files go: comments, `=` or `:`, backslashes in front of either.
fn properties(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            return None;
        }
        let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        Some((key.trim().to_owned(), value.trim().replace('\\', "")))
    })
}

/// The text of `partition.metadata`.
pub fn format_partition_metadata(topic_id: Uuid) -> Bytes {
    format!("version: 0\ntopic_id: {topic_id}").into()
}

/// The topic id in `partition.metadata`.
pub fn parse_partition_metadata(bytes: &[u8]) -> Result<Uuid, StoreError> {
    let error = |what: &str| {
        StoreError::Corrupt(format!("{what}; remove the file if the folder is surely the topic's, else the folder"))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| error("it is no text"))?;
    let field = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
    let version = field("version:").and_then(|version| version.parse::<u32>().ok());
    version.ok_or_else(|| error("it has no version"))?;
    let id = field("topic_id:").and_then(|id| id.parse::<Uuid>().ok()).filter(|id| !id.is_zero());
    id.ok_or_else(|| error("it has no topic id"))
}

/// The text of a checkpoint of offsets.
pub fn format_offsets<'a>(entries: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> Bytes {
    checkpoint(entries.into_iter().map(|(log, offset)| format!("{} {} {offset}", log.topic, log.partition)))
}

/// Reads a checkpoint of offsets.
pub fn parse_offsets(bytes: &[u8]) -> Result<Vec<(TopicPartition, Offset)>, StoreError> {
    entries(bytes, |parts| match parts {
        [topic, partition, offset] => {
            let log = TopicPartition { topic: Str::from(*topic), partition: partition.parse().ok()? };
            Some((log, Offset(offset.parse().ok()?)))
        }
        _ => None,
    })
}

/// The text of `leader-epoch-checkpoint`.
pub fn format_epochs(epochs: &[EpochStart]) -> Bytes {
    checkpoint(epochs.iter().map(|it| format!("{} {}", it.epoch, it.start)))
}

/// Reads `leader-epoch-checkpoint`.
pub fn parse_epochs(bytes: &[u8]) -> Result<Vec<EpochStart>, StoreError> {
    entries(bytes, |parts| match parts {
        [epoch, start] => {
            Some(EpochStart { epoch: LeaderEpoch(epoch.parse().ok()?), start: Offset(start.parse().ok()?) })
        }
        _ => None,
    })
}

fn checkpoint(lines: impl Iterator<Item = String>) -> Bytes {
    let lines: Vec<String> = lines.collect();
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into()
}

/// Version, count, and as many lines.
fn entries<T>(bytes: &[u8], entry: impl Fn(&[&str]) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let error = |what: String| {
        StoreError::Corrupt(format!("{what}; remove the file to have it made anew from the logs, which takes longer"))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| error("it is no text".into()))?;
    let mut lines = text.lines();
    match lines.next().map(str::trim) {
        Some("0") => {}
        // Apache Kafka creates its checkpoints empty, and reads such a one as without entries.
        None => return Ok(Vec::new()),
        other => return Err(error(format!("version 0 is due in line 1, not {:?}", other.unwrap_or("")))),
    }
    let count = lines.next().and_then(|count| count.trim().parse::<usize>().ok());
    let count = count.ok_or_else(|| error("a count is due in line 2".into()))?;
    let mut found = Vec::new();
    for (index, line) in lines.enumerate() {
        let parts: Vec<&str> = line.split_whitespace().collect();
        found.push(entry(&parts).ok_or_else(|| error(format!("line {} is no entry: {line:?}", index + 3)))?);
    }
    if found.len() == count {
        Ok(found)
    } else {
        Err(error(format!("{count} entries are announced, {} follow", found.len())))
    }
}

/// `quorum-state`: what a voter must not forget (KIP-595, KIP-853).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumState {
    /// The leader of the epoch, if it is known.
    pub leader_id: Option<NodeId>,
    /// The newest epoch seen.
    pub leader_epoch: LeaderEpoch,
    /// Who has our vote in it.
    pub voted_id: Option<NodeId>,
    /// That voter's directory; zero if it is not known.
    pub voted_directory_id: Uuid,
    /// The voters while they are static (`kraft.version` 0): with them it is version 0 of the file, else version 1.
    pub static_voters: Option<Vec<NodeId>>,
}

impl QuorumState {
    /// The file's text.
    pub fn format(&self) -> Bytes {
        let id = |id: Option<NodeId>| id.map_or(-1, |id| id.0);
        let (leader, epoch, voted) = (id(self.leader_id), self.leader_epoch, id(self.voted_id));
        let head = format!("\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":{voted}");
        let text = match &self.static_voters {
            Some(voters) => {
                let voters: Vec<String> = voters.iter().map(|voter| format!("{{\"voterId\":{voter}}}")).collect();
                let voters = voters.join(",");
                format!(
                    "{{\"clusterId\":\"\",{head},\"appliedOffset\":0,\"currentVoters\":[{voters}],\"data_version\":0}}"
                )
            }
            None => format!("{{{head},\"votedDirectoryId\":\"{}\",\"data_version\":1}}", self.voted_directory_id),
        };
        text.into()
    }

    /// Reads the file; what it has besides is passed over.
    pub fn parse(bytes: &[u8]) -> Result<QuorumState, StoreError> {
        let error = |what: String| {
            StoreError::Corrupt(format!(
                "quorum-state: {what}; a voter that forgets its vote can elect two leaders, so restore the file, or replace \
                 the voter by one with an empty directory"
            ))
        };
        let text = std::str::from_utf8(bytes).map_err(|_| error("it is no text".into()))?;
        let json = Json::parse(text).map_err(&error)?;
        let integer = |name: &str| {
            let value = json.field(name).and_then(Json::integer).and_then(|it| i32::try_from(it).ok());
            value.ok_or_else(|| error(format!("it has no {name}")))
        };
        let node = |id: i32| (id >= 0).then_some(NodeId(id));
        let static_voters = match integer("data_version")? {
            0 => {
                let voters = json.field("currentVoters").and_then(Json::list).unwrap_or(&[]);
                let ids = voters.iter().map(|voter| {
                    let id = voter.field("voterId").and_then(Json::integer).and_then(|id| i32::try_from(id).ok());
                    id.and_then(node).ok_or_else(|| error("a voter has no voterId".into()))
                });
                Some(ids.collect::<Result<_, _>>()?)
            }
            1 => None,
            other => return Err(error(format!("its data_version is {other}, and 0 and 1 are all that are known"))),
        };
        let voted_directory_id = match json.field("votedDirectoryId").and_then(Json::text) {
            None => Uuid::ZERO,
            Some(id) => id.parse().map_err(|it| error(format!("its votedDirectoryId is none: {it}")))?,
        };
        Ok(QuorumState {
            leader_id: node(integer("leaderId")?),
            leader_epoch: LeaderEpoch(integer("leaderEpoch")?),
            voted_id: node(integer("votedId")?),
            voted_directory_id,
            static_voters,
        })
    }
}

/// The text of `.kafka_cleanshutdown` (KIP-966): -1 is no broker epoch.
pub fn format_clean_shutdown(broker_epoch: i64) -> Bytes {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}").into()
}

/// The broker epoch in `.kafka_cleanshutdown`. Kafka before 3.8 left the file empty, so anything may be in it.
pub fn parse_clean_shutdown(bytes: &[u8]) -> Option<i64> {
    Json::parse(std::str::from_utf8(bytes).ok()?).ok()?.field("brokerEpoch")?.integer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_properties_are_kafkas() {
        let text = "#\n#Fri Nov 21 04:05:00 UTC 2025\ncluster.id=4L6g3nShT-eMCtK--X86sw\n\
                    directory.id=-_8CAwQFBgcICQoLDA0O_w\nnode.id=7\nversion=1\nunknown=x\n";
        let meta = MetaProperties::parse(text).unwrap();
        assert_eq!((meta.cluster_id.as_str(), meta.node_id), ("4L6g3nShT-eMCtK--X86sw", NodeId(7)));
        assert_eq!(meta.directory_id.to_string(), "-_8CAwQFBgcICQoLDA0O_w");
        assert_eq!(MetaProperties::parse(&meta.format()), Ok(meta));
        let old = MetaProperties::parse("version=1\nnode.id=0\ncluster.id=a\\=b").unwrap();
        assert_eq!((old.cluster_id.as_str(), old.directory_id), ("a=b", Uuid::ZERO));
        assert_eq!(MetaProperties::parse(&old.format()).unwrap().directory_id, Uuid::ZERO);
        for (text, says) in [
            ("", "no version"),
            ("version=0\nbroker.id=1", "ZooKeeper"),
            ("version=x", "no number"),
            ("version=1\nnode.id=1", "no cluster.id"),
            ("version=1\ncluster.id=x\nnode.id=-1", "node.id"),
            ("version=1\ncluster.id=x\nnode.id=1\ndirectory.id=zz", "directory.id"),
            ("\0\0\0\0", "no version"),
        ] {
            let error = MetaProperties::parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("restore the file"), "{text:?}: {error}");
            assert!(!error.contains("empty"), "nobody is told to give up what is there: {error}");
        }
        let newer = MetaProperties::parse("version=2\ncluster.id=x").unwrap_err().to_string();
        assert!(newer.contains("version is 2") && newer.contains("start it with that"), "{newer}");
        assert!(!newer.contains("empty") && !newer.contains("restore"), "{newer}");
    }

    #[test]
    fn checkpoints_are_kafkas() {
        let log = |topic: &str, partition| TopicPartition { topic: topic.into(), partition };
        let entries = [(log("a", 0), Offset(5)), (log("b-c", 12), Offset(0))];
        let bytes = format_offsets(entries.iter().map(|(log, offset)| (log, *offset)));
        assert_eq!(&bytes[..], b"0\n2\na 0 5\nb-c 12 0\n");
        assert_eq!(parse_offsets(&bytes), Ok(entries.to_vec()));
        let epochs = [
            EpochStart { epoch: LeaderEpoch(0), start: Offset(0) },
            EpochStart { epoch: LeaderEpoch(3), start: Offset(9) },
        ];
        assert_eq!(&format_epochs(&epochs)[..], b"0\n2\n0 0\n3 9\n");
        assert_eq!(parse_epochs(b"0\n2\n0 0\n3 9\n"), Ok(epochs.to_vec()));
        assert_eq!(parse_epochs(b"0\n0\n"), Ok(vec![]));
        assert_eq!(parse_epochs(b""), Ok(vec![]));
        for garbage in [
            &b"1\n0\n"[..],
            b"0\n",
            b"0\n2\n0 0\n",
            b"0\n0\n0 0\n",
            b"0\n1\n0 x\n",
            b"0\nx\n",
            b"\0\0",
            b"0\n1\n\xff\n",
        ] {
            let error = parse_epochs(garbage).unwrap_err().to_string();
            assert!(error.contains("remove the file"), "{garbage:?}: {error}");
        }
    }

    #[test]
    fn partition_metadata_is_kafkas() {
        assert_eq!(
            &format_partition_metadata(Uuid::METADATA_TOPIC)[..],
            b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"
        );
        assert_eq!(
            parse_partition_metadata(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n"),
            Ok(Uuid::METADATA_TOPIC)
        );
        for garbage in [
            &b""[..],
            b"version: 0",
            b"version: x\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
            b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            b"\xff",
        ] {
            assert!(parse_partition_metadata(garbage).is_err(), "{garbage:?}");
        }
    }

    #[test]
    fn quorum_state_is_kafkas() {
        let dynamic = QuorumState { leader_epoch: LeaderEpoch(5), voted_id: Some(NodeId(2)), ..QuorumState::default() };
        let text = r#"{"leaderId":-1,"leaderEpoch":5,"votedId":2,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        assert_eq!(dynamic.format(), text);
        assert_eq!(QuorumState::parse(text.as_bytes()), Ok(dynamic));
        let fixed = QuorumState {
            leader_id: Some(NodeId(1)),
            leader_epoch: LeaderEpoch(2),
            static_voters: Some(vec![NodeId(1), NodeId(2)]),
            ..QuorumState::default()
        };
        let text = r#"{"clusterId":"","leaderId":1,"leaderEpoch":2,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}"#;
        assert_eq!(fixed.format(), text);
        assert_eq!(QuorumState::parse(text.as_bytes()), Ok(fixed));
        for garbage in [
            "",
            "{}",
            "[]",
            r#"{"data_version":2}"#,
            r#"{"leaderId":1,"leaderEpoch":99999999999,"votedId":1,"data_version":1}"#,
        ] {
            let error = QuorumState::parse(garbage.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("restore the file"), "{garbage:?}: {error}");
        }
    }

    #[test]
    fn a_clean_shutdown_may_say_nothing() {
        assert_eq!(&format_clean_shutdown(42)[..], br#"{"version":0,"brokerEpoch":42}"#);
        assert_eq!(parse_clean_shutdown(br#"{"version":0,"brokerEpoch":42}"#), Some(42));
        assert_eq!(parse_clean_shutdown(b""), None);
    }
}
