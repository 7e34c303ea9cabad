//! `--reset-offsets`: where the members of a group will go on when there are some again.

use std::time::{SystemTime, UNIX_EPOCH};

use ordered::Map;
use protocol::{ErrorCode, Str, TopicPartition};

use super::cluster::{BEGINNING, Cluster, END, Offsets, topics_of};
use super::table::{Column, Table};
use super::{ConsumerGroupsArguments, Said, Trouble, csv, when};
use crate::metadata_quorum::admin::bare;

/// Names of the options of which one says where to.
const SCENARIOS: &str =
    "[to-offset], [shift-by], [to-datetime], [by-duration], [to-earliest], [to-latest], [to-current], [from-file]";

pub(super) fn run(
    cluster: &Cluster,
    arguments: &ConsumerGroupsArguments,
    groups: &[Str],
    said: &mut Said,
) -> Result<(), Trouble> {
    let mut all: Vec<(Str, Offsets)> = Vec::new();
    for group in groups {
        let state = match cluster.describe(group).map_err(Trouble::wrapped)? {
            Ok(it) => it.state,
            Err(refusal) if refusal.error == ErrorCode::GroupIdNotFound => Str::from_static("Dead"),
            Err(refusal) => return Err(Trouble::wrapped(refusal.told())),
        };
        let offsets = if matches!(&*state, "Empty" | "Dead") {
            let offsets = offsets_of(cluster, arguments, group, said)?;
            if arguments.execute && !offsets.is_empty() {
                cluster.commit(group, &offsets).map_err(|why| Trouble::Failed(bare(&why).to_owned()))?;
            }
            offsets
        } else {
            said.error(&format!(
                "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            ));
            Offsets::new()
        };
        all.push((group.clone(), offsets));
    }
    if arguments.export {
        let with_group = arguments.group.len() != 1;
        said.out += &csv::written(&all, with_group);
        said.out.push('\n');
    } else {
        said.out += &table(&all);
    }
    Ok(())
}

fn table(all: &[(Str, Offsets)]) -> String {
    if all.is_empty() {
        return "\n".to_owned();
    }
    let mut table = Table::new(&[
        Column::wide("GROUP", 15),
        Column::wide("TOPIC", 15),
        Column::fixed("PARTITION", 10),
        Column::fixed("NEW-OFFSET", 0),
    ]);
    for (group, offsets) in all {
        for (it, offset) in offsets {
            table.row(vec![group.to_string(), it.topic.to_string(), it.partition.to_string(), offset.to_string()]);
        }
    }
    table.text()
}

/// Where a group without members goes on.
fn offsets_of(
    cluster: &Cluster,
    arguments: &ConsumerGroupsArguments,
    group: &Str,
    said: &mut Said,
) -> Result<Offsets, Trouble> {
    let partitions = scope(cluster, arguments, group)?;
    check(cluster, &partitions)?;
    let all = |offset: i64| partitions.iter().map(|it| (it.clone(), offset)).collect::<Offsets>();
    let place = |at: i64| cluster.offsets(&partitions, at).map_err(Trouble::wrapped);
    if let Some(offset) = arguments.to_offset {
        return in_range(cluster, all(offset), said);
    }
    if arguments.to_earliest {
        return place(BEGINNING);
    }
    if arguments.to_latest {
        return place(END);
    }
    if let Some(by) = arguments.shift_by {
        let committed = cluster.committed(group).map_err(Trouble::wrapped)?;
        let mut asked = Offsets::new();
        for it in &partitions {
            let from = committed.get(it).ok_or_else(|| {
                Trouble::Misused(format!(
                    "Cannot shift offset for partition {it} since there is no current committed offset"
                ))
            })?;
            asked.insert(it.clone(), from.offset.saturating_add(by));
        }
        return in_range(cluster, asked, said);
    }
    if let Some(text) = &arguments.to_datetime {
        return by_time(cluster, &partitions, when::datetime(text).map_err(Trouble::Failed)?, said);
    }
    if let Some(text) = &arguments.by_duration {
        return by_time(cluster, &partitions, when::before(now_ms(), text).map_err(Trouble::Failed)?, said);
    }
    if let Some(path) = &arguments.from_file {
        return from_file(cluster, arguments, path, group, said);
    }
    if arguments.to_current {
        let committed = cluster.committed(group).map_err(Trouble::wrapped)?;
        let (known, others): (Vec<_>, Vec<_>) = partitions.iter().cloned().partition(|it| committed.contains_key(it));
        let mut offsets = cluster.offsets(&others, END).map_err(Trouble::wrapped)?;
        offsets.extend(known.into_iter().filter_map(|it| Some((it.clone(), committed.get(&it)?.offset))));
        return Ok(offsets);
    }
    Err(Trouble::Misused(format!("Option '[reset-offsets]' requires one of the following scenarios: [{SCENARIOS}]")))
}

/// The partitions that are meant.
fn scope(cluster: &Cluster, arguments: &ConsumerGroupsArguments, group: &Str) -> Result<Vec<TopicPartition>, Trouble> {
    if arguments.all_topics {
        return Ok(cluster.committed(group).map_err(Trouble::wrapped)?.into_keys().collect());
    }
    if arguments.topic.is_empty() && arguments.from_file.is_none() {
        return Err(Trouble::Misused("One of the reset scopes should be defined: --all-topics, --topic.".to_owned()));
    }
    let (mut partitions, topics) = named(&arguments.topic)?;
    let known = cluster.partitions(&topics).map_err(|why| Trouble::Failed(bare(&why).to_owned()))?;
    partitions.extend(known.into_keys());
    partitions.sort_unstable();
    partitions.dedup();
    Ok(partitions)
}

/// `topic:0,1` names partitions, `topic` all that it has.
pub(super) fn named(topics: &[String]) -> Result<(Vec<TopicPartition>, Vec<Str>), Trouble> {
    let (mut partitions, mut whole) = (Vec::new(), Vec::new());
    for text in topics {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [topic] => whole.push(Str::from(topic)),
            [topic, numbers] if !numbers.is_empty() => {
                for number in numbers.split(',') {
                    let partition = number.parse().map_err(|_| {
                        Trouble::Misused(format!("Invalid partition '{number}' specified in topic arg '{text}''"))
                    })?;
                    partitions.push(TopicPartition { topic: Str::from(topic), partition });
                }
            }
            _ => {
                let why = format!("Invalid topic arg '{text}', expected topic name and partitions");
                return Err(Trouble::Misused(why));
            }
        }
    }
    Ok((partitions, whole))
}

/// All are there, and have a leader.
fn check(cluster: &Cluster, partitions: &[TopicPartition]) -> Result<(), Trouble> {
    let known = cluster.partitions(&topics_of(partitions)).map_err(Trouble::wrapped)?;
    let list = |state: Option<bool>| {
        let those = partitions.iter().filter(|it| known.get(*it).copied() == state).map(ToString::to_string);
        those.collect::<Vec<_>>().join(",")
    };
    match (list(None), list(Some(false))) {
        (absent, _) if !absent.is_empty() => Err(Trouble::Failed(format!("The partitions \"{absent}\" do not exist"))),
        (_, dead) if !dead.is_empty() => Err(Trouble::Failed(format!("The partitions \"{dead}\" have no leader"))),
        _ => Ok(()),
    }
}

/// No offset is outside its log.
fn in_range(cluster: &Cluster, asked: Offsets, said: &mut Said) -> Result<Offsets, Trouble> {
    let partitions: Vec<TopicPartition> = asked.keys().cloned().collect();
    let starts = cluster.offsets(&partitions, BEGINNING).map_err(Trouble::wrapped)?;
    let ends = cluster.offsets(&partitions, END).map_err(Trouble::wrapped)?;
    Ok(clamped(asked, &starts, &ends, said))
}

fn clamped(asked: Offsets, starts: &Offsets, ends: &Offsets, said: &mut Said) -> Offsets {
    let mut offsets = Offsets::new();
    for (it, offset) in asked {
        let limit = match (starts.get(&it), ends.get(&it)) {
            (_, Some(end)) if offset > *end => Some(("higher than latest", *end)),
            (Some(start), _) if offset < *start => Some(("lower than earliest", *start)),
            _ => None,
        };
        if let Some((how, limit)) = limit {
            said.err += &format!(
                "WARN New offset ({offset}) is {how} offset for topic partition {it}. Value will be set to {limit}\n"
            );
        }
        offsets.insert(it, limit.map_or(offset, |(_, limit)| limit));
    }
    offsets
}

/// The first record that is not older; the end where there is none.
fn by_time(cluster: &Cluster, partitions: &[TopicPartition], at_ms: i64, said: &mut Said) -> Result<Offsets, Trouble> {
    // What is before 1970 would be asked for as a place; no record is that old.
    let mut offsets = cluster.offsets(partitions, at_ms.max(0)).map_err(Trouble::wrapped)?;
    let none: Vec<TopicPartition> =
        offsets.iter().filter(|(_, offset)| **offset < 0).map(|(it, _)| it.clone()).collect();
    for it in &none {
        said.out += &format!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.\n",
            it.partition, it.topic
        );
    }
    offsets.extend(cluster.offsets(&none, END).map_err(Trouble::wrapped)?);
    Ok(offsets)
}

fn from_file(
    cluster: &Cluster,
    arguments: &ConsumerGroupsArguments,
    path: &str,
    group: &Str,
    said: &mut Said,
) -> Result<Offsets, Trouble> {
    let text = std::fs::read_to_string(path).map_err(|error| Trouble::Failed(format!("{path} ({error})")))?;
    let alone = if let [group] = &arguments.group[..] { Some(group.as_str()) } else { None };
    let plan: Map<Str, Offsets> = csv::read(&text, alone).map_err(Trouble::Failed)?;
    match plan.get(group) {
        Some(asked) => in_range(cluster, asked.clone(), said),
        None => {
            said.error(&format!("No reset plan for group {group} found"));
            Ok(Offsets::new())
        }
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32) -> TopicPartition {
        TopicPartition { topic: Str::from_static("t"), partition }
    }

    #[test]
    fn topics_and_partitions_are_named_as_kafka_names_them() {
        let named = |text: &str| named(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let (partitions, topics) = named("t:0,2 u").unwrap_or_default();
        assert_eq!((partitions, topics), (vec![place(0), place(2)], vec![Str::from_static("u")]));
        for (text, why) in [
            ("t:", "Invalid topic arg 't:', expected topic name and partitions"),
            ("t:0:1", "Invalid topic arg 't:0:1', expected topic name and partitions"),
            ("t:0,x", "Invalid partition 'x' specified in topic arg 't:0,x''"),
        ] {
            assert!(matches!(named(text), Err(Trouble::Misused(it)) if it == why), "{text}");
        }
    }

    #[test]
    fn no_offset_is_outside_its_log() {
        let all = |offsets: [i64; 3]| (0..).map(place).zip(offsets).collect::<Offsets>();
        let mut said = Said::default();
        let offsets = clamped(all([1, 5, 9]), &all([3, 3, 3]), &all([8, 8, 8]), &mut said);
        assert_eq!(offsets, all([3, 5, 8]));
        assert_eq!(
            said.err,
            "WARN New offset (1) is lower than earliest offset for topic partition t-0. Value will be set to 3\n\
             WARN New offset (9) is higher than latest offset for topic partition t-2. Value will be set to 8\n"
        );
    }

    #[test]
    fn new_offsets_are_shown_as_kafka_shows_them() {
        let all = [(Str::from_static("g"), Offsets::from_iter([(place(1), 7)]))];
        assert_eq!(
            table(&all),
            "\nGROUP           TOPIC           PARTITION  NEW-OFFSET\ng               t               1          7\n"
        );
        assert_eq!(table(&[]), "\n");
    }
}
