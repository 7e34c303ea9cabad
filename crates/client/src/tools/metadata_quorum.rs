//! `kafka-metadata-quorum.sh describe`: the metadata quorum as its leader sees it.
//!
//! Gap: what adds and removes controllers reads files of theirs; the `vivarium` command has it.

use protocol::messages::describe_quorum_response::{self, Node, ReplicaState};
use protocol::messages::{DescribeQuorumRequest, describe_quorum_request};
use protocol::{RequestBody, ResponseBody, Str};

use super::args::{Args, Opt, Refusal, Value};
use super::asking::{Asker, Plan, Said, asking};
use super::exception::told;
use super::table::{Column, Table};
use super::{Host, Made, config_of, strange};
use crate::admin::{AdminAnswer, AdminCall, Asked};

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        name: "bootstrap-server",
        value: Value::Text,
        about: "Required: brokers to connect to, host:port,host:port.",
    },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the admin client." },
    Opt { name: "human-readable", value: Value::No, about: "Times as people read them." },
    Opt { name: "replication", value: Value::No, about: "How far each replica is." },
    Opt { name: "status", value: Value::No, about: "Who leads, how far the others are, who votes and who looks on." },
];

/// The only command that is here.
const DESCRIBE: &str = "describe";

/// A run of the tool.
struct Describe {
    /// The replicas instead of the status.
    replication: bool,
    human_readable: bool,
}

/// A run with these arguments.
pub(super) fn make(raw: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let args = Args::parse(OPTIONS, raw).map_err(Refusal::stderr)?;
    args.help_or_version(raw.is_empty(), "This tool describes the KRaft metadata quorum.")?;
    if !raw.iter().any(|it| it == DESCRIBE) {
        return Err(args.misused("The command that is here is: describe"));
    }
    parse(&args, host).map_err(Refusal::stderr)
}

fn parse(args: &Args, host: &mut Host<'_>) -> Result<Made, String> {
    let plan = describe(args)?;
    let config = config_of(&host.settings(args)?)?;
    Ok((asking(plan), config))
}

/// What Kafka's tool demands of its options, in its words.
fn describe(args: &Args) -> Result<Describe, String> {
    let (replication, human_readable) = (args.has("replication"), args.has("human-readable"));
    let why = match (args.has("status"), replication) {
        (true, true) => "Only one of --status or --replication should be specified with describe sub-command",
        (false, false) => "One of --status or --replication must be specified with describe sub-command",
        (true, false) if human_readable => "The option --human-readable is only supported along with --replication",
        _ => return Ok(Describe { replication, human_readable }),
    };
    Err(why.to_owned())
}

impl Plan for Describe {
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32 {
        match self.tell(asker) {
            Ok(text) => {
                said.out += &text;
                0
            }
            Err(why) => {
                said.complain(&why);
                1
            }
        }
    }
}

impl Describe {
    fn tell(&self, asker: &Asker<'_>) -> Result<String, String> {
        // Brokers ask the leader of the quorum.
        let answer = asker.words("describeMetadataQuorum", Asked::Anyone, Quorum::question(), i16::MAX);
        let quorum = Quorum::of(answer.map_err(|it| told(&it))?)?;
        if self.replication {
            return quorum.replication(self.human_readable.then_some(asker.began.0));
        }
        let question = AdminCall::DescribeCluster { include_fenced_brokers: false };
        match asker.ask(question).map_err(|it| told(&it))? {
            AdminAnswer::Cluster(cluster) => quorum.status(&cluster.cluster_id),
            _ => Err(strange("listNodes").message),
        }
    }
}

/// The quorum as its leader sees it.
pub struct Quorum {
    it: describe_quorum_response::PartitionData,
    nodes: Vec<Node>,
}

impl Quorum {
    /// What is asked to learn of it.
    pub fn question() -> RequestBody {
        let partitions = vec![describe_quorum_request::PartitionData { partition_index: 0 }];
        let topic =
            describe_quorum_request::TopicData { topic_name: Str::from_static("__cluster_metadata"), partitions };
        RequestBody::DescribeQuorum(DescribeQuorumRequest { topics: vec![topic] })
    }

    /// What the answer tells of it.
    pub fn of(answer: &ResponseBody) -> Result<Quorum, String> {
        let wrong = "the answer is not of the metadata quorum";
        let ResponseBody::DescribeQuorum(answer) = answer else { return Err(wrong.to_owned()) };
        let it = answer.topics.last().and_then(|topic| topic.partitions.last()).ok_or(wrong)?;
        Ok(Quorum { it: it.clone(), nodes: answer.nodes.clone() })
    }

    fn leader(&self) -> Result<&ReplicaState, String> {
        let leader = self.it.current_voters.iter().find(|it| it.replica_id == self.it.leader_id);
        leader.ok_or_else(|| "No value present".to_owned())
    }

    /// `[{"id": 1, "directoryId": "…", "endpoints": ["CONTROLLER://host:9093"]}, …]`.
    fn list(&self, replicas: &[ReplicaState]) -> String {
        let shown = replicas.iter().map(|replica| {
            let mut text = format!("{{\"id\": {}", replica.replica_id);
            if !replica.replica_directory_id.is_zero() {
                text += &format!(", \"directoryId\": \"{}\"", replica.replica_directory_id);
            }
            let node = self.nodes.iter().find(|node| node.node_id == replica.replica_id);
            let endpoints: Vec<String> = node.map_or_else(Vec::new, |node| {
                let of =
                    |it: &describe_quorum_response::Listener| format!("\"{}\"", endpoint(&it.name, &it.host, it.port));
                node.listeners.iter().map(of).collect()
            });
            if !endpoints.is_empty() {
                text += &format!(", \"endpoints\": [{}]", endpoints.join(", "));
            }
            text + "}"
        });
        format!("[{}]", shown.collect::<Vec<_>>().join(", "))
    }

    /// `--status`
    pub fn status(&self, cluster_id: &str) -> Result<String, String> {
        let leader = self.leader()?;
        let slowest = self.it.current_voters.iter().min_by_key(|it| it.log_end_offset).unwrap_or(leader);
        let lag_ms = match (leader.last_caught_up_timestamp, slowest.last_caught_up_timestamp) {
            _ if slowest.replica_id == leader.replica_id => 0,
            (-1, _) | (_, -1) => -1,
            (leader, slowest) => leader - slowest,
        };
        Ok(format!(
            "ClusterId:              {cluster_id}\n\
             LeaderId:               {}\n\
             LeaderEpoch:            {}\n\
             HighWatermark:          {}\n\
             MaxFollowerLag:         {}\n\
             MaxFollowerLagTimeMs:   {lag_ms}\n\
             CurrentVoters:          {}\n\
             CurrentObservers:       {}\n",
            self.it.leader_id,
            self.it.leader_epoch,
            self.it.high_watermark,
            leader.log_end_offset - slowest.log_end_offset,
            self.list(&self.it.current_voters),
            self.list(&self.it.observers),
        ))
    }

    /// A row for each replica. With the time, times are told as so long ago.
    pub fn replication(&self, now_ms: Option<i64>) -> Result<String, String> {
        let leader = self.leader()?;
        let heads =
            ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
        let mut table = Table::new(&heads.map(|it| Column::wide(it, it.len())));
        (table.between, table.end) = ("\t", "\t");
        let followers = self.it.current_voters.iter().filter(|it| it.replica_id != leader.replica_id);
        let all = [(leader, "Leader")].into_iter();
        let all = all.chain(followers.map(|it| (it, "Follower")));
        for (it, status) in all.chain(self.it.observers.iter().map(|it| (it, "Observer"))) {
            table.row(vec![
                it.replica_id.to_string(),
                it.replica_directory_id.to_string(),
                it.log_end_offset.to_string(),
                (leader.log_end_offset - it.log_end_offset).to_string(),
                when(it.last_fetch_timestamp, now_ms, "last fetch")?,
                when(it.last_caught_up_timestamp, now_ms, "last caught up")?,
                status.to_owned(),
            ]);
        }
        Ok(table.rows())
    }
}

fn when(at_ms: i64, now_ms: Option<i64>, what: &str) -> Result<String, String> {
    match now_ms {
        _ if at_ms == -1 => Ok("-1".to_owned()),
        None => Ok(at_ms.to_string()),
        Some(now) if 0 < at_ms && at_ms <= now => Ok(format!("{} ms ago", now - at_ms)),
        Some(now) => Err(format!(
            "Error while computing relative time, possible drift in system clock.\n\
             Current timestamp is {now}, {what} timestamp is {at_ms}"
        )),
    }
}

/// `NAME://host:port`; the host of IP version 6 in brackets.
pub fn endpoint(name: &str, host: &str, port: u16) -> String {
    if host.contains(':') { format!("{name}://[{host}]:{port}") } else { format!("{name}://{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use protocol::Uuid;

    use super::*;

    fn replica(id: i32, directory: u8, end: i64, fetched: i64, caught_up: i64) -> ReplicaState {
        ReplicaState {
            replica_id: id,
            replica_directory_id: Uuid([directory; 16]),
            log_end_offset: end,
            last_fetch_timestamp: fetched,
            last_caught_up_timestamp: caught_up,
        }
    }

    fn three() -> Quorum {
        let node = |id: i32, host: &str| Node {
            node_id: id,
            listeners: vec![describe_quorum_response::Listener {
                name: "CONTROLLER".into(),
                host: host.into(),
                port: 9093,
            }],
        };
        let it = describe_quorum_response::PartitionData {
            leader_id: 2,
            leader_epoch: 3,
            high_watermark: 100,
            current_voters: vec![
                replica(1, 1, 90, 1_000, 900),
                replica(2, 2, 101, 1_500, 1_500),
                replica(3, 3, -1, -1, -1),
            ],
            observers: vec![replica(4, 0, 101, 1_400, 1_400)],
            ..Default::default()
        };
        Quorum { it, nodes: vec![node(1, "a"), node(2, "::1"), node(3, "c")] }
    }

    #[test]
    fn the_status_is_kafkas() {
        let mut quorum = three();
        let expected = "\
ClusterId:              abc
LeaderId:               2
LeaderEpoch:            3
HighWatermark:          100
MaxFollowerLag:         102
MaxFollowerLagTimeMs:   -1
CurrentVoters:          [{\"id\": 1, \"directoryId\": \"AQEBAQEBAQEBAQEBAQEBAQ\", \"endpoints\": [\"CONTROLLER://a:9093\"]}, \
{\"id\": 2, \"directoryId\": \"AgICAgICAgICAgICAgICAg\", \"endpoints\": [\"CONTROLLER://[::1]:9093\"]}, \
{\"id\": 3, \"directoryId\": \"AwMDAwMDAwMDAwMDAwMDAw\", \"endpoints\": [\"CONTROLLER://c:9093\"]}]
CurrentObservers:       [{\"id\": 4}]
";
        assert_eq!(quorum.status("abc").unwrap(), expected);
        quorum.it.current_voters.pop();
        let text = quorum.status("abc").unwrap();
        assert!(text.contains("MaxFollowerLag:         11\nMaxFollowerLagTimeMs:   600\n"), "{text}");
        quorum.it.leader_id = 9;
        assert_eq!(quorum.status("abc"), Err("No value present".to_owned()));
    }

    #[test]
    fn the_table_is_kafkas() {
        let text = three().replication(Some(2_000)).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(rows[0][..3], ["NodeId", "DirectoryId           ", "LogEndOffset"]);
        assert_eq!(
            rows[1],
            [
                "2     ",
                "AgICAgICAgICAgICAgICAg",
                "101         ",
                "0  ",
                "500 ms ago        ",
                "500 ms ago           ",
                "Leader  ",
                ""
            ]
        );
        let statuses: Vec<&str> = rows.iter().map(|row| row[6].trim()).collect();
        assert_eq!(statuses, ["Status", "Leader", "Follower", "Follower", "Observer"]);
        assert_eq!((rows[3][2].trim(), rows[3][3].trim(), rows[3][4].trim()), ("-1", "102", "-1"));
        assert!(three().replication(None).unwrap().contains("\t1500 "));
        assert!(three().replication(Some(1_450)).unwrap_err().starts_with("Error while computing relative time"));
    }
}
