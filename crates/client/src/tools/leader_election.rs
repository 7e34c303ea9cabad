//! `kafka-leader-election.sh`: elects preferred leaders, or leaders at the cost of records.

use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use protocol::{ErrorCode, Str, TopicPartition};

use super::args::{Args, Opt, Refusal, Value};
use super::asking::{Asker, Plan, Said, asking};
use super::exception::{self, told};
use super::json::Json;
use super::{Host, Made, config_of, strange};
use crate::admin::Asked;
use crate::wire::ResponseBody;

/// What Kafka's tool waits for an answer, if nothing else is set.
const API_TIMEOUT_MS: &str = "30000";
const REQUEST_TIMEOUT_MS: &str = "15000";

pub(super) const OPTIONS: &[Opt] = &[
    Opt { name: "admin.config", value: Value::Text, about: "Deprecated for --command-config." },
    Opt { name: "all-topic-partitions", value: Value::No, about: "All partitions for which there is something to do." },
    Opt {
        name: "bootstrap-server",
        value: Value::Text,
        about: "Required: brokers to connect to, host:port,host:port.",
    },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the admin client." },
    Opt {
        name: "election-type",
        value: Value::Text,
        about: "Required: preferred, or unclean: anyone alive where nobody leads, though records may be lost.",
    },
    Opt { name: "partition", value: Value::Int, about: "With --topic: the partition." },
    Opt {
        name: "path-to-json-file",
        value: Value::Text,
        about: "The partitions, as {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}]}.",
    },
    Opt { name: "topic", value: Value::Text, about: "The topic of the partition." },
];

/// A run of the tool.
struct Elections {
    election: Election,
    /// None is all.
    partitions: Option<Vec<TopicPartition>>,
    timeout_ms: i32,
    warning: &'static str,
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

/// A run with these arguments.
pub(super) fn make(raw: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let args = Args::parse(OPTIONS, raw).map_err(Refusal::stderr)?;
    args.help_or_version(
        raw.is_empty(),
        "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are \
         preferred replicas and unclean replicas.",
    )?;
    parse(&args, host).map_err(Refusal::stderr)
}

fn parse(args: &Args, host: &mut Host<'_>) -> Result<Made, String> {
    let election = check(args)?;
    let partitions = partitions(args, host)?;
    let mut settings = vec![
        ("default.api.timeout.ms".to_owned(), API_TIMEOUT_MS.to_owned()),
        ("request.timeout.ms".to_owned(), REQUEST_TIMEOUT_MS.to_owned()),
    ];
    let old = args.value("admin.config")?;
    let warning = if old.is_some() { DEPRECATED } else { "" };
    match old {
        Some(path) => {
            settings.extend(host.properties(path)?);
            settings.push(("bootstrap.servers".to_owned(), args.text("bootstrap-server")?));
        }
        None => settings.extend(host.settings(args)?),
    }
    let config = config_of(&settings)?;
    let timeout_ms = i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX);
    Ok((asking(Elections { election, partitions, timeout_ms, warning }), config))
}

const DEPRECATED: &str = "Option --admin.config has been deprecated and will be removed in a future version. \
                          Use --command-config instead.\n";

impl Plan for Elections {
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32 {
        said.out += self.warning;
        match self.elect(asker, said) {
            Ok(()) => 0,
            Err(why) => {
                said.complain(&why);
                1
            }
        }
    }
}

impl Elections {
    fn elect(&self, asker: &Asker<'_>, said: &mut Said) -> Result<(), String> {
        let question = ElectLeadersRequest {
            election_type: self.election as i8,
            topic_partitions: self.partitions.clone().map(by_topic),
            timeout_ms: self.timeout_ms,
        };
        match asker.words("electLeaders", Asked::Controller, question.into(), i16::MAX).map_err(|it| told(&it))? {
            ResponseBody::ElectLeaders(answer) => tell(self.election, answer, said),
            _ => Err(strange("electLeaders").message),
        }
    }
}

/// What Kafka's tool demands of its options, in its words.
fn check(args: &Args) -> Result<Election, String> {
    let missing: Vec<&str> = ["bootstrap-server", "election-type"].into_iter().filter(|it| !args.has(it)).collect();
    if !missing.is_empty() {
        return Err(format!("Missing required option(s): {}", missing.join(", ")));
    }
    let election = args.value("election-type")?.unwrap_or_default();
    let election = match election.to_ascii_uppercase().as_str() {
        "PREFERRED" => Election::Preferred,
        "UNCLEAN" => Election::Unclean,
        _ => return Err(format!("Cannot parse argument '{election}' of option election-type")),
    };
    let which = ["topic", "all-topic-partitions", "path-to-json-file"];
    if which.iter().filter(|it| args.has(it)).count() != 1 {
        return Err(format!("One and only one of the following options is required: {}", which.join(", ")));
    }
    match (args.has("topic"), args.has("partition")) {
        (true, false) => Err("Missing required option(s): partition".to_owned()),
        (false, true) => Err("Option partition is only allowed if topic is used".to_owned()),
        _ => Ok(election),
    }
}

/// The partitions that are named; none if all are meant.
fn partitions(args: &Args, host: &mut Host<'_>) -> Result<Option<Vec<TopicPartition>>, String> {
    if let Some(path) = args.value("path-to-json-file")? {
        let text = (host.files)(path)?;
        return host.rest.map(|it| (it.elections)(&text)).transpose();
    }
    let Some(topic) = args.value("topic")? else { return Ok(None) };
    let partition = args.int("partition")?.unwrap_or_default();
    Ok(Some(vec![TopicPartition { topic: Str::from(topic), partition }]))
}

/// The partitions that a file of JSON names.
pub(super) fn partitions_of(text: &str) -> Result<Vec<TopicPartition>, String> {
    let json = Json::parse(text).ok_or("Replica election data is empty")?;
    let listed = json.get("partitions").ok_or("Replica election data is missing \"partitions\" field")?;
    let wrong = |it: &Json| format!("Expected a topic and a partition, received {it}");
    let mut partitions: Vec<TopicPartition> = Vec::new();
    for it in listed.list().ok_or_else(|| format!("Expected JSON array, received {listed}"))? {
        let topic = it.get("topic").and_then(Json::text).ok_or_else(|| wrong(it))?;
        let partition = it.get("partition").and_then(Json::integer).ok_or_else(|| wrong(it))?;
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
fn tell(election: Election, answer: &ElectLeadersResponse, said: &mut Said) -> Result<(), String> {
    if let Some(refusal) = exception::Refusal::of(answer.error_code, None) {
        return Err(refusal.told());
    }
    let (mut elected, mut not_needed, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &answer.replica_election_results {
        for it in &topic.partition_result {
            let name = format!("{}-{}", topic.topic, it.partition_id);
            match exception::Refusal::of(it.error_code, it.error_message.as_ref()) {
                None => elected.push(name),
                Some(refusal) if refusal.error == ErrorCode::ElectionNotNeeded => not_needed.push(name),
                Some(refusal) => failed.push((name, refusal.told())),
            }
        }
    }
    let name = election.name();
    if !elected.is_empty() {
        let partitions = elected.join(", ");
        said.out += &format!("Successfully completed leader election ({name}) for partitions {partitions}\n");
    }
    if !not_needed.is_empty() {
        said.out += &format!("Valid replica already elected for partitions {}\n", not_needed.join(", "));
    }
    for (partition, why) in &failed {
        said.out += &format!("Error completing leader election ({name}) for partition: {partition}: {why}\n");
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
        let mut said = Said::default();
        assert_eq!(tell(Election::Preferred, &answer, &mut said), Err("1 replica(s) could not be elected".to_owned()));
        assert_eq!(
            said.out,
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
