//! `--delete-offsets`: a group forgets what it has committed for topics.

use ordered::Map;
use protocol::{ErrorCode, Str, TopicPartition};

use super::cluster::Cluster;
use super::reset::named;
use crate::tools::args::Trouble;
use crate::tools::asking::Said;
use crate::tools::exception::Refusal;
use crate::tools::table::{Column, Table};

/// A topic of which no partition is known.
const NO_PARTITION: i32 = -1;

pub(super) fn delete(cluster: &Cluster<'_>, groups: &[Str], topics: &[String], said: &mut Said) -> Result<(), Trouble> {
    let Some(group) = groups.first() else { return Ok(()) };
    let (mut partitions, whole) = named(topics)?;
    let mut results: Map<TopicPartition, Option<String>> = Map::new();
    for topic in whole {
        match cluster.partitions(std::slice::from_ref(&topic)) {
            Ok(known) => partitions.extend(known.into_keys()),
            Err(why) => {
                results.insert(TopicPartition { topic, partition: NO_PARTITION }, Some(why));
            }
        }
    }
    ordered::sort(&mut partitions);
    partitions.dedup();
    let told = cluster.delete_offsets(group, &partitions).map_err(Trouble::Failed)?;
    let first = match &told {
        Ok(each) => each.values().flatten().next(),
        Err(refusal) => Some(refusal),
    };
    announce(group, first, said);
    for it in partitions {
        let result = match &told {
            Ok(each) => each.get(&it).and_then(Option::as_ref),
            Err(refusal) => Some(refusal),
        };
        results.insert(it, result.map(Refusal::told));
    }
    said.out += &table(&results);
    Ok(())
}

/// Says what came of it on the whole.
fn announce(group: &Str, first: Option<&Refusal>, said: &mut Said) {
    use ErrorCode::{
        GroupAuthorizationFailed, GroupIdNotFound, GroupSubscribedToTopic, InvalidGroupId, NonEmptyGroup,
        TopicAuthorizationFailed, UnknownTopicOrPartition,
    };
    match first.map(|it| it.error) {
        None => said.out += &format!("Request succeeded for deleting offsets from group {group}.\n"),
        Some(error @ (InvalidGroupId | GroupIdNotFound | GroupAuthorizationFailed | NonEmptyGroup)) => {
            said.error(error.message());
        }
        Some(GroupSubscribedToTopic | TopicAuthorizationFailed | UnknownTopicOrPartition) => {
            said.error("Encountered some partition-level error, see the follow-up details.");
        }
        Some(other) => said.error(&format!("Encountered some unknown error: {}", other.name())),
    }
}

fn table(results: &Map<TopicPartition, Option<String>>) -> String {
    let mut table =
        Table::new(&[Column::wide("TOPIC", 15), Column::fixed("PARTITION", 10), Column::fixed("STATUS", 15)]);
    for (it, error) in results {
        let partition = if it.partition == NO_PARTITION { "-".to_owned() } else { it.partition.to_string() };
        let status = error.as_ref().map_or_else(|| "Successful".to_owned(), |why| format!("Error: {why}"));
        table.row(vec![it.topic.to_string(), partition, status]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told_as_kafka_tells_it() {
        let group = Str::from_static("g");
        let told = |error: ErrorCode| {
            let mut said = Said::default();
            announce(&group, Refusal::of(error.code(), None).as_ref(), &mut said);
            said.out
        };
        assert_eq!(told(ErrorCode::None), "Request succeeded for deleting offsets from group g.\n");
        assert_eq!(told(ErrorCode::NonEmptyGroup), "\nError: The group is not empty.\n");
        assert!(told(ErrorCode::GroupSubscribedToTopic).contains("some partition-level error"));
        assert!(told(ErrorCode::UnknownServerError).contains("unknown error: UNKNOWN_SERVER_ERROR"));
        let topic = Str::from_static("t");
        let results = Map::from_iter([
            (TopicPartition { topic: topic.clone(), partition: NO_PARTITION }, Some("why".to_owned())),
            (TopicPartition { topic, partition: 0 }, None),
        ]);
        assert_eq!(
            table(&results),
            "\nTOPIC           PARTITION  STATUS         \nt               -          Error: why     \n\
             t               0          Successful     \n"
        );
    }
}
