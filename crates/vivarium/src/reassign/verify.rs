//! `--verify`: how far a reassignment is; when all is done, its throttles go.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Str, TopicPartition};

use super::cluster::{Cluster, LogDirs, Ongoing};
use super::plan::{Assignment, Plan, Replica, joined};
use super::{Wrong, clear_throttles, say};

pub(super) fn verify(cluster: &Cluster, plan: &Plan, preserve_throttles: bool) -> Result<(), Wrong> {
    let targets = plan.assignment();
    let ongoing = cluster.ongoing(None)?;
    let settled = targets.keys().filter(|partition| !ongoing.contains_key(partition));
    let current = cluster.topics(&settled.map(|partition| partition.topic.clone()).collect())?;
    say(&partitions(&targets, &ongoing, &current.into_values().flatten().flatten().collect()))?;
    let found = cluster.log_dirs(&plan.directories.keys().cloned().collect::<BTreeSet<_>>())?;
    say(&moves(&plan.directories, &found))?;
    let is_moving = found.values().any(|it| it.current.is_some() && it.future.is_some());
    if ongoing.is_empty() && !is_moving && !preserve_throttles {
        clear_throttles(cluster, &targets)?;
    }
    Ok(())
}

/// A line for each partition. One that nobody knows has no replicas.
fn partitions(targets: &Assignment, ongoing: &BTreeMap<TopicPartition, Ongoing>, current: &Assignment) -> String {
    let mut lines = vec!["Status of partition reassignment:".to_owned()];
    for (partition, target) in targets {
        let replicas = current.get(partition).map_or(&[][..], Vec::as_slice);
        lines.push(if ongoing.contains_key(partition) {
            format!("Reassignment of partition {partition} is still in progress.")
        } else if replicas == target {
            format!("Reassignment of partition {partition} is completed.")
        } else {
            format!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                joined(replicas, ","),
                joined(target, ",")
            )
        });
    }
    lines.join("\n")
}

/// A line for each replica that is to be in a certain directory.
fn moves(targets: &BTreeMap<Replica, Str>, found: &BTreeMap<Replica, LogDirs>) -> String {
    let mut lines = Vec::new();
    for (replica, target) in targets {
        let (partition, broker) = (&replica.partition, replica.broker);
        let it = found.get(replica).cloned().unwrap_or_default();
        lines.push(match (it.current, it.future) {
            (None, _) => format!(
                "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline \
                 log directory on the broker."
            ),
            (Some(_), Some(future)) if future == *target => {
                format!("Reassignment of replica {replica} is still in progress.")
            }
            (Some(_), Some(future)) => format!(
                "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
            ),
            (Some(current), None) if current == *target => {
                format!("Reassignment of replica {replica} completed successfully.")
            }
            (Some(current), None) => format!(
                "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
            ),
        });
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: Str::from_static("t"), partition: number }
    }

    #[test]
    fn partitions_are_told_as_kafka_tells_them() {
        let targets: Assignment = (0..4).map(|number| (partition(number), vec![1, 2])).collect();
        let moving = Ongoing { replicas: vec![1, 2, 3], adding: vec![1], removing: vec![3] };
        let current: Assignment = [(partition(1), vec![1, 2]), (partition(2), vec![2, 1])].into();
        assert_eq!(
            partitions(&targets, &[(partition(0), moving)].into(), &current),
            "Status of partition reassignment:\n\
             Reassignment of partition t-0 is still in progress.\n\
             Reassignment of partition t-1 is completed.\n\
             There is no active reassignment of partition t-2, but replica set is 2,1 rather than 1,2.\n\
             There is no active reassignment of partition t-3, but replica set is  rather than 1,2."
        );
    }

    #[test]
    fn moves_between_directories_are_told_as_kafka_tells_them() {
        let dirs =
            [(None, None), (Some("/a"), Some("/b")), (Some("/a"), Some("/c")), (Some("/b"), None), (Some("/a"), None)];
        let (mut targets, mut found) = (BTreeMap::new(), BTreeMap::new());
        for (broker, (current, future)) in (1..).zip(dirs) {
            let replica = Replica { broker, partition: partition(0) };
            targets.insert(replica.clone(), Str::from_static("/b"));
            found.insert(replica, LogDirs { current: current.map(Str::from), future: future.map(Str::from) });
        }
        assert_eq!(
            moves(&targets, &found),
            "Partition t-0 is not found in any live log dir on broker 1. There is likely an offline log directory on the broker.\n\
             Reassignment of replica t-0-2 is still in progress.\n\
             Partition t-0 on broker 3 is being moved to log dir /c instead of /b.\n\
             Reassignment of replica t-0-4 completed successfully.\n\
             Partition t-0 on broker 5 is not being moved from log dir /a to /b."
        );
    }
}
