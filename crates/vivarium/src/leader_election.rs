//! `vivarium leader-election`: kafka-leader-election.sh, with its flags and its output.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use client::ClientConfig;
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use protocol::{ErrorCode, RequestBody, ResponseBody, Str, TopicPartition};

use crate::metadata_quorum::admin::{Admin, Refusal};
use crate::metadata_quorum::properties;

/// What Kafka's tool waits for an answer, if nothing else is set.
const API_TIMEOUT_MS: &str = "30000";
const REQUEST_TIMEOUT_MS: &str = "15000";

/// Kafka's tool for elections of leaders.
#[derive(clap::Args)]
pub(crate) struct LeaderElectionArguments {
    /// Brokers to connect to, host:port,host:port
    #[arg(long, value_name = "host:port")]
    bootstrap_server: Option<String>,
    /// A properties file with settings of the admin client
    #[arg(long, value_name = "Config file")]
    command_config: Option<String>,
    /// Deprecated: --command-config
    #[arg(long = "admin.config", value_name = "config file")]
    admin_config: Option<String>,
    /// preferred: the first replica leads again; unclean: anyone alive leads where nobody does, though records may be lost
    #[arg(long, value_name = "election type")]
    election_type: Option<String>,
    /// The partitions, as {"partitions": [{"topic": "foo", "partition": 1}]}
    #[arg(long, value_name = "Path to JSON file")]
    path_to_json_file: Option<String>,
    /// The topic of the partition
    #[arg(long, value_name = "topic name")]
    topic: Option<String>,
    /// With --topic: the partition
    #[arg(long, value_name = "partition id")]
    partition: Option<i32>,
    /// All partitions for which there is something to do
    #[arg(long)]
    all_topic_partitions: bool,
}

/// An election, by Kafka's number and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    Preferred = 0,
    Unclean = 1,
}

impl Election {
    fn name(self) -> &'static str {
        match self {
            Election::Preferred => "PREFERRED",
            Election::Unclean => "UNCLEAN",
        }
    }
}

pub(crate) fn run(arguments: &LeaderElectionArguments) -> ExitCode {
    let mut said = String::new();
    let result = elect(arguments, &mut said);
    let written = std::io::stdout().write_all(said.as_bytes());
    match result {
        Ok(()) if written.is_ok() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(what) => {
            // What goes wrong on stderr cannot be told anywhere.
            let _ = writeln!(std::io::stderr(), "{what}");
            ExitCode::FAILURE
        }
    }
}

fn elect(arguments: &LeaderElectionArguments, said: &mut String) -> Result<(), String> {
    let (servers, election) = check(arguments)?;
    let partitions = match (&arguments.path_to_json_file, &arguments.topic, arguments.partition) {
        (Some(path), ..) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{path} ({error})"))?;
            Some(partitions_of(&text)?)
        }
        (None, Some(topic), Some(partition)) => {
            Some(vec![TopicPartition { topic: Str::from(topic.as_str()), partition }])
        }
        _ => None,
    };
    if arguments.admin_config.is_some() {
        said.push_str(
            "Option --admin.config has been deprecated and will be removed in a future version. \
             Use --command-config instead.\n",
        );
    }
    let path = arguments.admin_config.as_deref().or(arguments.command_config.as_deref());
    let mut config = ClientConfig::default();
    let mut set = |key: &str, value: &str| config.set(key, value).map_err(|error| error.0);
    set("default.api.timeout.ms", API_TIMEOUT_MS)?;
    set("request.timeout.ms", REQUEST_TIMEOUT_MS)?;
    for (key, value) in path.map(properties).transpose()?.iter().flatten() {
        set(key, value)?;
    }
    set("bootstrap.servers", servers)?;
    let timeout_ms = i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX);
    let request = RequestBody::ElectLeaders(ElectLeadersRequest {
        election_type: election as i8,
        topic_partitions: partitions.map(by_topic),
        timeout_ms,
    });
    match Admin::new(config, false).ask("electLeaders", &request, ErrorCode::is_retriable)? {
        ResponseBody::ElectLeaders(answer) => tell(election, &answer, said),
        other => Err(format!("{} is no answer to this", other.api_key().name())),
    }
}

/// What Kafka's tool demands of its options, in its words.
fn check(arguments: &LeaderElectionArguments) -> Result<(&str, Election), String> {
    let (Some(servers), Some(election)) = (&arguments.bootstrap_server, &arguments.election_type) else {
        let required = [("bootstrap-server", &arguments.bootstrap_server), ("election-type", &arguments.election_type)];
        let missing = required.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name);
        return Err(format!("Missing required option(s): {}", missing.collect::<Vec<_>>().join(", ")));
    };
    let election = match election.to_ascii_uppercase().as_str() {
        "PREFERRED" => Election::Preferred,
        "UNCLEAN" => Election::Unclean,
        _ => return Err(format!("Cannot parse argument '{election}' of option election-type")),
    };
    let which = [arguments.topic.is_some(), arguments.all_topic_partitions, arguments.path_to_json_file.is_some()];
    if which.iter().filter(|it| **it).count() != 1 {
        return Err(
            "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file"
                .to_owned(),
        );
    }
    match (&arguments.topic, arguments.partition) {
        (Some(_), None) => Err("Missing required option(s): partition".to_owned()),
        (None, Some(_)) => Err("Option partition is only allowed if topic is used".to_owned()),
        _ => Ok((servers, election)),
    }
}

fn partitions_of(text: &str) -> Result<Vec<TopicPartition>, String> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|_| "Replica election data is empty".to_owned())?;
    let listed = json.get("partitions").ok_or("Replica election data is missing \"partitions\" field")?;
    let wrong = |it: &serde_json::Value| format!("Expected a topic and a partition, received {it}");
    let mut partitions: Vec<TopicPartition> = Vec::new();
    for it in listed.as_array().ok_or_else(|| format!("Expected JSON array, received {listed}"))? {
        let topic = it.get("topic").and_then(serde_json::Value::as_str).ok_or_else(|| wrong(it))?;
        let partition = it.get("partition").and_then(serde_json::Value::as_i64).ok_or_else(|| wrong(it))?;
        let partition = i32::try_from(partition).map_err(|_| wrong(it))?;
        let partition = TopicPartition { topic: Str::from(topic), partition };
        if partitions.contains(&partition) {
            return Err(format!("Replica election data contains duplicate partitions: [{partition}]"));
        }
        partitions.push(partition);
    }
    Ok(partitions)
}

fn by_topic(partitions: Vec<TopicPartition>) -> Vec<TopicPartitions> {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for it in partitions {
        match topics.iter_mut().find(|topic| topic.topic == it.topic) {
            Some(topic) => topic.partitions.push(it.partition),
            None => topics.push(TopicPartitions { topic: it.topic, partitions: vec![it.partition] }),
        }
    }
    topics
}

/// Says what came of each partition. A failure is told for each, and ends the tool as one.
fn tell(election: Election, answer: &ElectLeadersResponse, said: &mut String) -> Result<(), String> {
    if let Some(refusal) = Refusal::of(answer.error_code, None) {
        return Err(refusal.told());
    }
    let (mut elected, mut not_needed, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &answer.replica_election_results {
        for it in &topic.partition_result {
            let name = format!("{}-{}", topic.topic, it.partition_id);
            match Refusal::of(it.error_code, it.error_message.as_ref()) {
                None => elected.push(name),
                Some(refusal) if refusal.error == ErrorCode::ElectionNotNeeded => not_needed.push(name),
                Some(refusal) => failed.push((name, refusal.told())),
            }
        }
    }
    // Writing to a string does not fail.
    let name = election.name();
    if !elected.is_empty() {
        let _ = writeln!(said, "Successfully completed leader election ({name}) for partitions {}", elected.join(", "));
    }
    if !not_needed.is_empty() {
        let _ = writeln!(said, "Valid replica already elected for partitions {}", not_needed.join(", "));
    }
    for (partition, why) in &failed {
        let _ = writeln!(said, "Error completing leader election ({name}) for partition: {partition}: {why}");
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("{} replica(s) could not be elected", failed.len())) }
}

#[cfg(test)]
mod tests {
    use protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};

    use super::*;

    #[test]
    fn what_came_of_an_election_is_told_as_kafka_tells_it() {
        let result = |partition_id, error: ErrorCode| PartitionResult {
            partition_id,
            error_code: error.code(),
            error_message: (error != ErrorCode::None).then(|| Str::from_static("so it is")),
        };
        let results = vec![
            result(0, ErrorCode::None),
            result(1, ErrorCode::ElectionNotNeeded),
            result(2, ErrorCode::PreferredLeaderNotAvailable),
            result(3, ErrorCode::None),
        ];
        let topic = ReplicaElectionResult { topic: Str::from_static("t"), partition_result: results };
        let answer = ElectLeadersResponse { replica_election_results: vec![topic], ..Default::default() };
        let mut said = String::new();
        assert_eq!(tell(Election::Preferred, &answer, &mut said), Err("1 replica(s) could not be elected".to_owned()));
        assert_eq!(
            said,
            "Successfully completed leader election (PREFERRED) for partitions t-0, t-3\n\
             Valid replica already elected for partitions t-1\n\
             Error completing leader election (PREFERRED) for partition: t-2: \
             org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: so it is\n"
        );
    }

    #[test]
    fn partitions_come_from_a_file_once_each() {
        let file = r#"{"partitions": [{"topic": "a", "partition": 1}, {"topic": "b", "partition": 0}]}"#;
        let names: Vec<String> = partitions_of(file).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a-1", "b-0"]);
        let twice = file.replace("\"b\", \"partition\": 0", "\"a\", \"partition\": 1");
        let why = partitions_of(&twice).unwrap_err();
        assert_eq!(why, "Replica election data contains duplicate partitions: [a-1]");
        assert_eq!(partitions_of("{}").unwrap_err(), "Replica election data is missing \"partitions\" field");
        assert_eq!(partitions_of("").unwrap_err(), "Replica election data is empty");
    }
}
