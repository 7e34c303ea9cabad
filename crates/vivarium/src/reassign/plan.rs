//! What a reassignment is to come to, as Kafka's JSON says it.

use std::collections::BTreeMap;
use std::fmt;

use protocol::{Str, TopicPartition};
use serde_json::Value;

/// The only version of the files.
const VERSION: i64 = 1;
/// The directory of a replica for which any will do.
const ANY: &str = "any";

/// Each partition's replicas.
pub(super) type Assignment = BTreeMap<TopicPartition, Vec<i32>>;

/// A replica of a partition. The order is that of Kafka's tool: by broker first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Replica {
    pub(super) broker: i32,
    pub(super) partition: TopicPartition,
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.broker)
    }
}

/// A file of `--reassignment-json-file`.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// The partitions in the file's order, of which some may be there twice.
    partitions: Vec<(TopicPartition, Vec<i32>)>,
    /// The replicas that are to be in a certain directory.
    pub(super) directories: BTreeMap<Replica, Str>,
}

impl Plan {
    pub(super) fn parse(text: &str) -> Result<Plan, String> {
        let json = versioned(text)?;
        let mut plan = Plan { partitions: Vec::new(), directories: BTreeMap::new() };
        for it in json.get("partitions").map_or(Ok(&[][..]), array)? {
            let topic = Str::from(string(field(it, "topic")?)?);
            let partition = TopicPartition { topic, partition: integer(field(it, "partition")?)? };
            let replicas = array(field(it, "replicas")?)?.iter().map(integer).collect::<Result<Vec<i32>, _>>()?;
            if let Some(listed) = it.get("log_dirs") {
                let listed = array(listed)?.iter().map(string).collect::<Result<Vec<&str>, _>>()?;
                if listed.len() != replicas.len() {
                    return Err(format!(
                        "Size of replicas list {replicas:?} is different from size of log dirs list [{}] for partition {partition}",
                        listed.join(", ")
                    ));
                }
                for (broker, dir) in replicas.iter().zip(listed).filter(|(_, dir)| *dir != ANY) {
                    let replica = Replica { broker: *broker, partition: partition.clone() };
                    plan.directories.insert(replica, Str::from(dir));
                }
            }
            plan.partitions.push((partition, replicas));
        }
        Ok(plan)
    }

    /// The partitions, a later one in the place of an earlier one.
    pub(super) fn assignment(&self) -> Assignment {
        self.partitions.iter().cloned().collect()
    }

    /// The partitions, of which none is there twice or has no replicas or one of them twice.
    pub(super) fn to_execute(&self) -> Result<Assignment, String> {
        if self.partitions.is_empty() {
            return Err("Partition reassignment list cannot be empty".to_owned());
        }
        if self.partitions.iter().any(|(_, replicas)| replicas.is_empty()) {
            return Err("Partition replica list cannot be empty".to_owned());
        }
        let names: Vec<&TopicPartition> = self.partitions.iter().map(|(partition, _)| partition).collect();
        let twice = duplicates(&names);
        if !twice.is_empty() {
            return Err(format!("Partition reassignment contains duplicate topic partitions: {}", joined(&twice, ",")));
        }
        let mut wrong: Vec<String> = Vec::new();
        for (partition, replicas) in &self.partitions {
            let twice = duplicates(replicas);
            if !twice.is_empty() {
                wrong.push(format!("{partition} contains multiple entries for {}", joined(&twice, ",")));
            }
        }
        if wrong.is_empty() {
            return Ok(self.assignment());
        }
        Err(format!("Partition replica lists may not contain duplicate entries: {}", wrong.join(". ")))
    }
}

/// The topics of `--topics-to-move-json-file`, each once.
pub(super) fn topics(text: &str) -> Result<Vec<Str>, String> {
    let json = versioned(text)?;
    let listed = json.get("topics").map_or(Ok(&[][..]), array)?;
    let topic = |it| string(field(it, "topic")?).map(Str::from);
    let topics = listed.iter().map(topic).collect::<Result<Vec<Str>, String>>()?;
    let twice = duplicates(&topics);
    if twice.is_empty() {
        return Ok(topics);
    }
    Err(format!("List of topics to reassign contains duplicate entries: [{}]", joined(&twice, ", ")))
}

/// The brokers of `--broker-list`, each once.
pub(super) fn brokers(list: &str) -> Result<Vec<i32>, String> {
    let one = |it: &str| it.parse::<i32>().map_err(|_| format!("For input string: \"{it}\""));
    let brokers = list.split(',').map(one).collect::<Result<Vec<i32>, _>>()?;
    let twice = duplicates(&brokers);
    if twice.is_empty() {
        return Ok(brokers);
    }
    Err(format!("Broker list contains duplicate entries: [{}]", joined(&twice, ", ")))
}

/// An assignment as a file that `--reassignment-json-file` takes. Replicas of which no directory is known may have any.
pub(super) fn json(assignment: &Assignment, directories: &BTreeMap<Replica, Str>) -> String {
    let partitions = assignment.iter().map(|(partition, replicas)| {
        let dirs = replicas.iter().map(|broker| {
            let replica = Replica { broker: *broker, partition: partition.clone() };
            quoted(directories.get(&replica).map_or(ANY, |dir| dir))
        });
        format!(
            "{{\"topic\":{},\"partition\":{},\"replicas\":[{}],\"log_dirs\":[{}]}}",
            quoted(&partition.topic),
            partition.partition,
            joined(replicas, ","),
            dirs.collect::<Vec<_>>().join(",")
        )
    });
    format!("{{\"version\":{VERSION},\"partitions\":[{}]}}", partitions.collect::<Vec<_>>().join(","))
}

pub(super) fn joined<T: fmt::Display>(items: &[T], between: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// What is there more than once, as Kafka's tool lists it: once each.
fn duplicates<T: Clone + Ord>(items: &[T]) -> Vec<T> {
    let mut sorted = items.to_vec();
    sorted.sort();
    let mut twice: Vec<T> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    twice.dedup();
    twice
}

fn versioned(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err("The input string shouldn't be empty".to_owned());
    }
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if !json.is_object() {
        return Err(format!("Expected JSON object, received {json}"));
    }
    match json.get("version") {
        None => Ok(json),
        Some(version) => match integer(version)? {
            1 => Ok(json),
            other => Err(format!("Not supported version field value {other}")),
        },
    }
}

fn field<'a>(of: &'a Value, name: &str) -> Result<&'a Value, String> {
    let object = of.as_object().ok_or_else(|| format!("Expected JSON object, received {of}"))?;
    object.get(name).ok_or_else(|| format!("No such field exists: `{name}`"))
}

fn array(it: &Value) -> Result<&[Value], String> {
    it.as_array().map(Vec::as_slice).ok_or_else(|| format!("Expected JSON array, received {it}"))
}

fn string(it: &Value) -> Result<&str, String> {
    it.as_str().ok_or_else(|| format!("Expected `String` value, received {it}"))
}

fn integer(it: &Value) -> Result<i32, String> {
    let number = it.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| format!("Expected `Integer` value, received {it}"))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"partitions": [
        {"topic": "b", "partition": 0, "replicas": [2, 1], "log_dirs": ["any", "/d"]},
        {"topic": "a", "partition": 1, "replicas": [3]}], "version": 1}"#;

    #[test]
    fn a_file_is_read_and_written() {
        let plan = Plan::parse(FILE).unwrap();
        let told: Vec<String> = plan.directories.iter().map(|(replica, dir)| format!("{replica} {dir}")).collect();
        assert_eq!(told, ["b-0-1 /d"]);
        let written = json(&plan.to_execute().unwrap(), &plan.directories);
        assert_eq!(
            written,
            r#"{"version":1,"partitions":[{"topic":"a","partition":1,"replicas":[3],"log_dirs":["any"]},{"topic":"b","partition":0,"replicas":[2,1],"log_dirs":["any","/d"]}]}"#
        );
        let again = Plan::parse(&written).unwrap();
        assert_eq!((again.assignment(), again.directories), (plan.assignment(), plan.directories));
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_in_kafkas_words() {
        let one =
            |replicas: &str| format!(r#"{{"partitions": [{{"topic": "t", "partition": 0, "replicas": {replicas}}}]}}"#);
        let twice = one("[1]").replace("]}]}", r#"]}, {"topic": "t", "partition": 0, "replicas": [2]}]}"#);
        for (text, why) in [
            (String::new(), "The input string shouldn't be empty"),
            ("[]".to_owned(), "Expected JSON object, received []"),
            (r#"{"version": 2}"#.to_owned(), "Not supported version field value 2"),
            (r#"{"version": "1"}"#.to_owned(), "Expected `Integer` value, received \"1\""),
            ("{}".to_owned(), "Partition reassignment list cannot be empty"),
            (r#"{"partitions": [{"topic": "t"}]}"#.to_owned(), "No such field exists: `partition`"),
            (r#"{"partitions": [7]}"#.to_owned(), "Expected JSON object, received 7"),
            (one("7"), "Expected JSON array, received 7"),
            (one("[]"), "Partition replica list cannot be empty"),
            (
                one("[1, 2, 1, 2]"),
                "Partition replica lists may not contain duplicate entries: t-0 contains multiple entries for 1,2",
            ),
            (one(r#"[1, 2], "log_dirs": ["a"]"#), {
                "Size of replicas list [1, 2] is different from size of log dirs list [a] for partition t-0"
            }),
            (twice, "Partition reassignment contains duplicate topic partitions: t-0"),
        ] {
            assert_eq!(Plan::parse(&text).and_then(|plan| plan.to_execute()), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn topics_and_brokers_are_there_once_each() {
        let file = r#"{"topics": [{"topic": "b"}, {"topic": "a"}], "version": 1}"#;
        assert_eq!(topics(file), Ok(vec![Str::from("b"), Str::from("a")]));
        let why = "List of topics to reassign contains duplicate entries: [b]".to_owned();
        assert_eq!(topics(&file.replace("\"a\"", "\"b\"")), Err(why));
        assert_eq!(brokers("3,1"), Ok(vec![3, 1]));
        assert_eq!(brokers("3,1,3"), Err("Broker list contains duplicate entries: [3]".to_owned()));
        assert_eq!(brokers("3, 1"), Err("For input string: \" 1\"".to_owned()));
    }
}
