//! `--reset-offsets`: where the members of a group will go on when there are some again.

use ordered::Map;
use protocol::{ErrorCode, Str, TopicPartition};

use super::cluster::{BEGINNING, Cluster, END, NOBODY, Offsets, topics_of};
use super::{ConsumerGroups, Export, csv, when, wrapped};
use crate::tools::Host;
use crate::tools::args::{Args, Trouble};
use crate::tools::asking::Said;
use crate::tools::exception::bare;
use crate::tools::table::{Column, Table};

/// Names of the options of which one says where to.
const SCENARIOS: &str =
    "[to-offset], [shift-by], [to-datetime], [by-duration], [to-earliest], [to-latest], [to-current], [from-file]";

/// Where to.
pub(super) enum To {
    Offset(i64),
    Shift(i64),
    Earliest,
    Latest,
    Current,
    /// A time, or what a file says, or why it cannot be read.
    Rare(Rare, Result<String, String>),
    Unsaid,
}

/// A way to say where to that few use: of this group, these partitions, by this text.
pub(super) type Rare = fn(&Reset<'_>, &[TopicPartition], &str, &mut Said) -> Result<Offsets, Trouble>;

/// A group whose offsets are to be others.
pub(super) struct Reset<'a> {
    cluster: &'a Cluster<'a>,
    tool: &'a ConsumerGroups,
    to: &'a To,
    group: &'a Str,
}

impl To {
    pub(super) fn parse(args: &Args, host: &mut Host<'_>) -> Result<To, String> {
        if let Some(rest) = host.rest {
            let ways = [("to-datetime", rest.groups.to_datetime), ("by-duration", rest.groups.by_duration)];
            for (option, rare) in ways {
                if let Some(time) = args.value(option)? {
                    return Ok(To::Rare(rare, Ok(time.to_owned())));
                }
            }
            if let Some(path) = args.value("from-file")? {
                return Ok(To::Rare(rest.groups.from_file, (host.files)(path)));
            }
        }
        Ok(if let Some(offset) = args.long("to-offset")? {
            To::Offset(offset)
        } else if let Some(by) = args.long("shift-by")? {
            To::Shift(by)
        } else if args.has("to-earliest") {
            To::Earliest
        } else if args.has("to-latest") {
            To::Latest
        } else if args.has("to-current") {
            To::Current
        } else {
            To::Unsaid
        })
    }
}

/// What Kafka's tool demands of the options, and what it warns of.
pub(super) fn check(it: &Args) -> Result<&'static str, String> {
    let is_open = !it.has("dry-run") && !it.has("execute");
    if it.has("dry-run") && it.has("execute") {
        return Err("Option [reset-offsets] only accepts one of [execute] and [dry-run]".to_owned());
    }
    let ways =
        ["to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "shift-by", "from-file"];
    let mut given = ways.iter().filter(|way| it.has(way));
    match (given.next(), given.next()) {
        (Some(one), Some(other)) => Err(format!("Option \"[{one}]\" can't be used with option \"[{other}]\"")),
        _ => Ok(if is_open { NOTHING_IS_DONE } else { "" }),
    }
}

const NOTHING_IS_DONE: &str = "WARN: No action will be performed as the --execute option is missing. In version 5.0, this \
                               command will require either --dry-run or --execute to be specified. You should add the \
                               --dry-run option explicitly if you are scripting this command and want to keep the \
                               current default behavior without prompting.\n";

pub(super) fn run(
    cluster: &Cluster<'_>,
    tool: &ConsumerGroups,
    to: &To,
    export: Option<Export>,
    groups: &[Str],
    said: &mut Said,
) -> Result<(), Trouble> {
    let mut all: Vec<(Str, Offsets)> = Vec::new();
    for group in groups {
        let state = match cluster.describe(group).map_err(wrapped)? {
            Ok(it) => it.state,
            Err(refusal) if refusal.error == ErrorCode::GroupIdNotFound => Str::from_static("Dead"),
            Err(refusal) => return Err(wrapped(refusal.told())),
        };
        let offsets = if matches!(&*state, "Empty" | "Dead") {
            let offsets = Reset { cluster, tool, to, group }.offsets(said)?;
            if tool.args.has("execute") && !offsets.is_empty() {
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
    match export {
        Some(written) => said.line(&written(&all, tool.args.values("group").len() != 1)),
        None => said.out += &table(&all),
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

impl Reset<'_> {
    /// Where a group without members goes on.
    fn offsets(&self, said: &mut Said) -> Result<Offsets, Trouble> {
        let (cluster, group) = (self.cluster, self.group);
        let partitions = self.scope()?;
        check_leaders(cluster, &partitions)?;
        match self.to {
            To::Offset(offset) => in_range(cluster, partitions.into_iter().map(|it| (it, *offset)).collect(), said),
            To::Earliest => cluster.offsets(&partitions, BEGINNING),
            To::Latest => cluster.offsets(&partitions, END),
            To::Shift(by) => {
                let mut asked = cluster.committed(group)?.offsets;
                asked.retain(|it, _| partitions.binary_search(it).is_ok());
                asked.values_mut().for_each(|it| *it = it.saturating_add(*by));
                match partitions.iter().find(|it| !asked.contains_key(*it)) {
                    Some(it) => Err(Trouble::Misused(format!(
                        "Cannot shift offset for partition {it} since there is no current committed offset"
                    ))),
                    None => in_range(cluster, asked, said),
                }
            }
            To::Current => {
                let mut committed = cluster.committed(group)?.offsets;
                committed.retain(|it, _| partitions.binary_search(it).is_ok());
                let others: Vec<TopicPartition> =
                    partitions.into_iter().filter(|it| !committed.contains_key(it)).collect();
                committed.extend(cluster.offsets(&others, END)?);
                Ok(committed)
            }
            To::Rare(rare, text) => {
                let text = text.as_ref().map_err(|why| Trouble::Failed(why.clone()))?;
                rare(self, &partitions, text, said)
            }
            To::Unsaid => {
                let why = format!("Option '[reset-offsets]' requires one of the following scenarios: [{SCENARIOS}]");
                Err(Trouble::Misused(why))
            }
        }
    }

    /// The partitions that are meant, in order.
    fn scope(&self) -> Result<Vec<TopicPartition>, Trouble> {
        if self.tool.args.has("all-topics") {
            return Ok(self.cluster.committed(self.group)?.offsets.into_keys().collect());
        }
        if self.tool.topics.is_empty() && !self.tool.args.has("from-file") {
            let why = "One of the reset scopes should be defined: --all-topics, --topic.";
            return Err(Trouble::Misused(why.to_owned()));
        }
        let (mut partitions, topics) = named(&self.tool.topics)?;
        let known = self.cluster.partitions(&topics).map_err(|why| Trouble::Failed(bare(&why).to_owned()))?;
        partitions.extend(known.into_keys());
        ordered::sort(&mut partitions);
        partitions.dedup();
        Ok(partitions)
    }
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
fn check_leaders(cluster: &Cluster<'_>, partitions: &[TopicPartition]) -> Result<(), Trouble> {
    let known = cluster.partitions(&topics_of(partitions)).map_err(wrapped)?;
    let list = |leader: Option<&i64>| {
        let those = partitions.iter().filter(|it| known.get(*it) == leader).map(ToString::to_string);
        those.collect::<Vec<_>>().join(",")
    };
    match (list(None), list(Some(&NOBODY))) {
        (absent, _) if !absent.is_empty() => Err(Trouble::Failed(format!("The partitions \"{absent}\" do not exist"))),
        (_, dead) if !dead.is_empty() => Err(Trouble::Failed(format!("The partitions \"{dead}\" have no leader"))),
        _ => Ok(()),
    }
}

/// No offset is outside its log.
fn in_range(cluster: &Cluster<'_>, asked: Offsets, said: &mut Said) -> Result<Offsets, Trouble> {
    let partitions: Vec<TopicPartition> = asked.keys().cloned().collect();
    let starts = cluster.offsets(&partitions, BEGINNING)?;
    let ends = cluster.offsets(&partitions, END)?;
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

/// `--to-datetime`
pub(super) fn to_datetime(
    reset: &Reset<'_>,
    partitions: &[TopicPartition],
    text: &str,
    said: &mut Said,
) -> Result<Offsets, Trouble> {
    by_time(reset.cluster, partitions, when::datetime(text).map_err(Trouble::Failed)?, said)
}

/// `--by-duration`
pub(super) fn by_duration(
    reset: &Reset<'_>,
    partitions: &[TopicPartition],
    text: &str,
    said: &mut Said,
) -> Result<Offsets, Trouble> {
    let at_ms = when::before(reset.cluster.now_ms(), text).map_err(Trouble::Failed)?;
    by_time(reset.cluster, partitions, at_ms, said)
}

/// The first record that is not older; the end where there is none.
fn by_time(
    cluster: &Cluster<'_>,
    partitions: &[TopicPartition],
    at_ms: i64,
    said: &mut Said,
) -> Result<Offsets, Trouble> {
    // What is before 1970 would be asked for as a place; no record is that old.
    let mut offsets = cluster.offsets(partitions, at_ms.max(0))?;
    let none: Vec<TopicPartition> =
        offsets.iter().filter(|(_, offset)| **offset < 0).map(|(it, _)| it.clone()).collect();
    for it in &none {
        said.out += &format!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.\n",
            it.partition, it.topic
        );
    }
    offsets.extend(cluster.offsets(&none, END)?);
    Ok(offsets)
}

/// `--from-file`
pub(super) fn from_file(
    reset: &Reset<'_>,
    _partitions: &[TopicPartition],
    text: &str,
    said: &mut Said,
) -> Result<Offsets, Trouble> {
    let named = reset.tool.args.values("group");
    let alone = if let [group] = named[..] { Some(group) } else { None };
    let plan: Map<Str, Offsets> = csv::read(text, alone).map_err(Trouble::Failed)?;
    match plan.get(reset.group) {
        Some(asked) => in_range(reset.cluster, asked.clone(), said),
        None => {
            said.error(&format!("No reset plan for group {} found", reset.group));
            Ok(Offsets::new())
        }
    }
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
