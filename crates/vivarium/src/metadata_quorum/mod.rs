//! `vivarium metadata-quorum`: kafka-metadata-quorum.sh's commands, with its flags and its output.

pub(crate) mod admin;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::ClientConfig;
use ordered::Map;
use protocol::messages::describe_quorum_response::{self, Node, ReplicaState};
use protocol::messages::{
    AddRaftVoterRequest, DescribeQuorumRequest, RemoveRaftVoterRequest, add_raft_voter_request, describe_quorum_request,
};
use protocol::{ErrorCode, RequestBody, ResponseBody, Str, Uuid};
use storage::meta::MetaProperties;

use admin::Admin;

/// After so long without an answer people are told why: an election takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// Kafka's tool for the metadata quorum.
#[derive(clap::Args)]
pub(crate) struct MetadataQuorumArguments {
    #[command(flatten)]
    servers: Servers,
    /// A properties file with settings of the admin client; for add-controller, those of the controller
    #[arg(long, value_name = "COMMAND_CONFIG")]
    command_config: Option<String>,
    #[command(subcommand)]
    command: QuorumCommand,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Servers {
    /// Brokers to connect to, host:port,host:port
    #[arg(long, value_name = "BOOTSTRAP_SERVER")]
    bootstrap_server: Option<String>,
    /// Controllers to connect to, host:port,host:port
    #[arg(long, value_name = "BOOTSTRAP_CONTROLLER")]
    bootstrap_controller: Option<String>,
}

#[derive(clap::Subcommand)]
enum QuorumCommand {
    /// Describe the metadata quorum
    Describe {
        /// Who leads, how far the others are, who votes and who looks on
        #[arg(long)]
        status: bool,
        /// How far each replica is
        #[arg(long)]
        replication: bool,
        /// Times as people read them
        #[arg(long)]
        human_readable: bool,
    },
    /// Make a controller a voter
    AddController {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Let a controller vote no more
    RemoveController {
        /// The controller's id
        #[arg(short = 'i', long, allow_negative_numbers = true)]
        controller_id: i32,
        /// The id of its metadata log's directory
        #[arg(short = 'd', long)]
        controller_directory_id: String,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) fn run(arguments: MetadataQuorumArguments) -> Result<String, String> {
    let properties = arguments.command_config.as_deref().map(properties).transpose()?;
    let admin = admin(&arguments.servers, properties.as_ref())?;
    match arguments.command {
        QuorumCommand::Describe { status: true, replication: true, .. } => {
            Err("Only one of --status or --replication should be specified with describe sub-command".to_owned())
        }
        QuorumCommand::Describe { replication: true, human_readable, .. } => {
            let quorum = quorum(&admin)?;
            replication(&quorum, human_readable.then(now_ms))
        }
        QuorumCommand::Describe { status: true, human_readable: true, .. } => {
            Err("The option --human-readable is only supported along with --replication".to_owned())
        }
        QuorumCommand::Describe { status: true, .. } => status(&admin.cluster()?.cluster_id, &quorum(&admin)?),
        QuorumCommand::Describe { .. } => {
            Err("One of --status or --replication must be specified with describe sub-command".to_owned())
        }
        QuorumCommand::AddController { dry_run } => {
            let properties = properties.ok_or(
                "You must supply the configuration file of the controller you are adding when using add-controller.",
            )?;
            add_controller(&admin, &properties, dry_run)
        }
        QuorumCommand::RemoveController { controller_id, controller_directory_id, dry_run } => {
            remove_controller(&admin, controller_id, &controller_directory_id, dry_run)
        }
    }
}

pub(crate) fn properties(path: &str) -> Result<Map<String, String>, String> {
    if !Path::new(path).exists() {
        return Err(format!("Properties file {path} does not exist."));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path} ({error})"))?;
    node::config::parse_properties(&text).map_err(|error| format!("{path}: {error}"))
}

fn admin(servers: &Servers, properties: Option<&Map<String, String>>) -> Result<Admin, String> {
    let by_controllers = servers.bootstrap_controller.is_some();
    let list = servers.bootstrap_controller.as_deref().or(servers.bootstrap_server.as_deref()).unwrap_or_default();
    let mut config = ClientConfig::default();
    if let Some(properties) = properties {
        let pairs = properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        config.set_all(pairs).map_err(|error| error.0)?;
    }
    config.set("bootstrap.servers", list).map_err(|error| error.0)?;
    Ok(Admin::new(config, by_controllers))
}

/// The quorum as its leader sees it.
struct Quorum {
    it: describe_quorum_response::PartitionData,
    nodes: Vec<Node>,
}

fn quorum(admin: &Admin) -> Result<Quorum, String> {
    let partitions = vec![describe_quorum_request::PartitionData { partition_index: 0 }];
    let topic = describe_quorum_request::TopicData { topic_name: Str::from_static(quorum::TOPIC), partitions };
    let question = RequestBody::DescribeQuorum(DescribeQuorumRequest { topics: vec![topic] });
    let (began, mut reasons) = (Instant::now(), Reasons::default());
    let mut tell = |why: &str| {
        if reasons.is_news(began.elapsed(), why) {
            eprintln!("{why}; trying on");
        }
    };
    let answer = admin.ask_on("describeMetadataQuorum", &question, ErrorCode::is_retriable, &mut tell)?;
    let wrong = || "the answer is not of the metadata quorum".to_owned();
    let ResponseBody::DescribeQuorum(mut answer) = answer else { return Err(wrong()) };
    let it = answer.topics.pop().and_then(|mut topic| topic.partitions.pop()).ok_or_else(wrong)?;
    Ok(Quorum { it, nodes: answer.nodes })
}

/// Why there is no answer, as far as people were told: a majority that is lost is what this tool is taken out for.
#[derive(Default)]
struct Reasons {
    told: Vec<String>,
}

impl Reasons {
    /// True for what lasts longer than an election, once, whatever its figures are by now.
    fn is_news(&mut self, after: Duration, why: &str) -> bool {
        let why: String = why.chars().filter(|it| !it.is_ascii_digit()).collect();
        let is_news = after >= PATIENCE && !self.told.contains(&why);
        if is_news {
            self.told.push(why);
        }
        is_news
    }
}

impl Quorum {
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
}

fn status(cluster_id: &str, quorum: &Quorum) -> Result<String, String> {
    let leader = quorum.leader()?;
    let slowest = quorum.it.current_voters.iter().min_by_key(|it| it.log_end_offset).unwrap_or(leader);
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
        quorum.it.leader_id,
        quorum.it.leader_epoch,
        quorum.it.high_watermark,
        leader.log_end_offset - slowest.log_end_offset,
        quorum.list(&quorum.it.current_voters),
        quorum.list(&quorum.it.observers),
    ))
}

/// A row for each replica. With the time, times are told as so long ago.
fn replication(quorum: &Quorum, now_ms: Option<i64>) -> Result<String, String> {
    let leader = quorum.leader()?;
    let header =
        ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
    let mut rows = vec![header.map(str::to_owned)];
    let followers = quorum.it.current_voters.iter().filter(|it| it.replica_id != leader.replica_id);
    let all = [(leader, "Leader")].into_iter();
    let all = all.chain(followers.map(|it| (it, "Follower")));
    for (it, status) in all.chain(quorum.it.observers.iter().map(|it| (it, "Observer"))) {
        rows.push([
            it.replica_id.to_string(),
            it.replica_directory_id.to_string(),
            it.log_end_offset.to_string(),
            (leader.log_end_offset - it.log_end_offset).to_string(),
            when(it.last_fetch_timestamp, now_ms, "last fetch")?,
            when(it.last_caught_up_timestamp, now_ms, "last caught up")?,
            status.to_owned(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("{cell:<width$}\t");
        }
        text.push('\n');
    }
    Ok(text)
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

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as i64)
}

fn add_controller(admin: &Admin, properties: &Map<String, String>, dry_run: bool) -> Result<String, String> {
    let (id, directory_id) = (controller_id(properties)?, directory_id(&metadata_dir(properties)?)?);
    let listeners = controller_listeners(properties)?;
    if !dry_run {
        let listener = |(name, host, port): &(String, String, u16)| add_raft_voter_request::Listener {
            name: name.as_str().into(),
            host: host.as_str().into(),
            port: *port,
        };
        let question = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: 30_000,
            voter_id: id,
            voter_directory_id: directory_id,
            listeners: listeners.iter().map(listener).collect(),
            ..Default::default()
        };
        admin.ask("addRaftVoter", &question.into(), |_| false)?;
    }
    let done = if dry_run { "DRY RUN of adding" } else { "Added" };
    let endpoints =
        listeners.iter().map(|(name, host, port)| endpoint(name, host, *port)).collect::<Vec<_>>().join(", ");
    Ok(format!("{done} controller {id} with directory id {directory_id} and endpoints: {endpoints}\n"))
}

fn remove_controller(admin: &Admin, id: i32, directory_id: &str, dry_run: bool) -> Result<String, String> {
    if id < 0 {
        return Err(format!("Invalid negative --controller-id: {id}"));
    }
    let directory_id = uuid(directory_id).map_err(|why| format!("Failed to parse --controller-directory-id: {why}"))?;
    if !dry_run {
        let question = RemoveRaftVoterRequest { cluster_id: None, voter_id: id, voter_directory_id: directory_id };
        admin.ask("removeRaftVoter", &question.into(), |_| false)?;
    }
    // With two spaces, as Kafka's tool.
    let done = if dry_run { "DRY RUN of removing " } else { "Removed " };
    Ok(format!("{done} KRaft controller {id} with directory id {directory_id}\n"))
}

/// An id of the wire's 22 characters; the error is Java's.
fn uuid(text: &str) -> Result<Uuid, String> {
    if text.len() > 24 {
        let start: String = text.chars().take(24).collect();
        return Err(format!("Input string with prefix `{start}` is too long to be decoded as a base64 UUID"));
    }
    let is_base64 = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '=');
    if let Some(other) = text.chars().find(|it| !is_base64(it)) {
        return Err(format!("Illegal base64 character {:x}", u32::from(other)));
    }
    let decoded = text.trim_end_matches('=').len() * 6 / 8;
    text.trim_end_matches('=').parse().map_err(|_| {
        format!(
            "Input string `{text}` decoded as {decoded} bytes, which is not equal to the expected 16 bytes of a \
             base64-encoded UUID"
        )
    })
}

fn controller_id(properties: &Map<String, String>) -> Result<i32, String> {
    let ask = "Is this a valid controller configuration file?";
    let id = properties.get("node.id").ok_or(format!("node.id not found in configuration file. {ask}"))?;
    let id: i32 = id.parse().map_err(|_| format!("For input string: \"{id}\""))?;
    if id < 0 {
        return Err(format!("node.id was negative in configuration file. {ask}"));
    }
    if !properties.get("process.roles").is_some_and(|roles| roles.contains("controller")) {
        return Err(format!("process.roles did not contain 'controller' in configuration file. {ask}"));
    }
    Ok(id)
}

fn metadata_dir(properties: &Map<String, String>) -> Result<String, String> {
    let first = || properties.get("log.dirs").and_then(|dirs| dirs.trim().split(',').next());
    let dir = properties.get("metadata.log.dir").map(String::as_str).or_else(first);
    dir.map(str::to_owned).ok_or_else(|| {
        "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?".to_owned()
    })
}

fn directory_id(dir: &str) -> Result<Uuid, String> {
    let text = std::fs::read_to_string(Path::new(dir).join("meta.properties"));
    let text = text.map_err(|_| format!("Unable to read meta.properties from {dir}"))?;
    let meta = MetaProperties::parse(&text).map_err(|error| format!("{dir}: {error}"))?;
    if meta.directory_id.is_zero() {
        return Err(format!("No directory id found in {dir}"));
    }
    Ok(meta.directory_id)
}

/// Where the controller tells others that it listens.
fn controller_listeners(properties: &Map<String, String>) -> Result<Vec<(String, String, u16)>, String> {
    let mut known: Map<String, (String, u16)> = Map::new();
    for key in ["listeners", "advertised.listeners"] {
        for entry in
            properties.get(key).map_or("", String::as_str).split(',').map(str::trim).filter(|it| !it.is_empty())
        {
            let (name, at) = listener(entry).ok_or_else(|| format!("Unable to parse {entry} to a broker endpoint"))?;
            known.insert(name, at);
        }
    }
    let names = properties
        .get("controller.listener.names")
        .ok_or("controller.listener.names was not found. Is this a valid controller configuration file?")?;
    let mut found: Vec<(String, String, u16)> = Vec::new();
    for name in names.split(',').map(str::to_ascii_uppercase) {
        let at = known
            .get(&name)
            .ok_or_else(|| format!("Cannot find information about controller listener name: {name}"))?;
        let host = if at.0.is_empty() { "localhost" } else { at.0.as_str() };
        found.push((name, host.to_owned(), at.1));
    }
    Ok(found)
}

/// `NAME://host:port`, `NAME://[v6]:port`, `NAME://:port`.
fn listener(entry: &str) -> Option<(String, (String, u16))> {
    let (name, address) = entry.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    Some((name.to_ascii_uppercase(), (bare.to_owned(), port.parse().ok()?)))
}

/// `NAME://host:port`; the host of IP version 6 in brackets.
fn endpoint(name: &str, host: &str, port: u16) -> String {
    if host.contains(':') { format!("{name}://[{host}]:{port}") } else { format!("{name}://{host}:{port}") }
}

#[cfg(test)]
mod tests {
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
    fn why_there_is_no_answer_is_told_once_it_lasts() {
        let mut reasons = Reasons::default();
        assert!(!reasons.is_news(Duration::from_secs(1), "for 6 s no leader"), "it may be an election");
        assert!(reasons.is_news(Duration::from_secs(3), "for 8 s no leader"));
        assert!(!reasons.is_news(Duration::from_secs(4), "for 9 s no leader"), "the same for longer");
        assert!(reasons.is_news(Duration::from_secs(5), "nobody there"));
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
        assert_eq!(status("abc", &quorum).unwrap(), expected);
        quorum.it.current_voters.pop();
        let text = status("abc", &quorum).unwrap();
        assert!(text.contains("MaxFollowerLag:         11\nMaxFollowerLagTimeMs:   600\n"), "{text}");
        quorum.it.leader_id = 9;
        assert_eq!(status("abc", &quorum), Err("No value present".to_owned()));
    }

    #[test]
    fn the_table_is_kafkas() {
        let text = replication(&three(), Some(2_000)).unwrap();
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
        assert!(replication(&three(), None).unwrap().contains("\t1500 "));
        assert!(replication(&three(), Some(1_450)).unwrap_err().starts_with("Error while computing relative time"));
    }

    fn controller(pairs: &[(&str, &str)]) -> Map<String, String> {
        let all = [
            ("node.id", "5"),
            ("process.roles", "controller"),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", "PLAINTEXT://:9092,controller://:9093"),
        ];
        let all = all.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        all.filter(|(_, value)| !value.is_empty()).collect()
    }

    #[test]
    fn a_controllers_file_says_who_and_where_it_is() {
        let listens = |pairs: &[(&str, &str)]| controller_listeners(&controller(pairs));
        assert_eq!(listens(&[]), Ok(vec![("CONTROLLER".into(), "localhost".into(), 9093)]));
        let advertised = ("advertised.listeners", "CONTROLLER://[::1]:7");
        assert_eq!(listens(&[advertised]), Ok(vec![("CONTROLLER".into(), "::1".into(), 7)]));
        assert!(listens(&[("listeners", "CONTROLLER:9093")]).unwrap_err().starts_with("Unable to parse"));
        let other = ("controller.listener.names", "OTHER");
        assert!(listens(&[other]).unwrap_err().ends_with("controller listener name: OTHER"));
        assert_eq!(controller_id(&controller(&[])), Ok(5));
        for (pair, why) in [
            (("node.id", "x"), "For input string: \"x\""),
            (("node.id", "-1"), "node.id was negative"),
            (("process.roles", "broker"), "process.roles did not contain 'controller'"),
        ] {
            assert!(controller_id(&controller(&[pair])).unwrap_err().starts_with(why));
        }
        assert_eq!(metadata_dir(&controller(&[("log.dirs", "/a,/b")])), Ok("/a".to_owned()));
        assert_eq!(metadata_dir(&controller(&[("log.dirs", "/a"), ("metadata.log.dir", "/c")])), Ok("/c".to_owned()));
        assert!(metadata_dir(&controller(&[])).is_err());
    }

    #[test]
    fn ids_are_read_as_java_reads_them() {
        assert_eq!(uuid("AQEBAQEBAQEBAQEBAQEBAQ"), Ok(Uuid([1; 16])));
        for (text, why) in [
            (
                "AAAA",
                "Input string `AAAA` decoded as 3 bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
            ),
            ("A!AA", "Illegal base64 character 21"),
            (
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "Input string with prefix `AAAAAAAAAAAAAAAAAAAAAAAA` is too long to be decoded as a base64 UUID",
            ),
        ] {
            assert_eq!(uuid(text), Err(why.to_owned()));
        }
    }
}
