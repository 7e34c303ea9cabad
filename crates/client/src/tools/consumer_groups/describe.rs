//! `--describe`: how far a group is, who is in it, and in what state it is.

use protocol::{Str, TopicPartition};

use super::cluster::{Cluster, Committed, END, NOBODY, topics_of};
use super::group::{Group, Member};
use super::wrapped;
use crate::tools::args::Trouble;
use crate::tools::asking::Said;
use crate::tools::table::{Column, Table, missing};

/// A partition of a group, and who reads it.
struct Row<'a> {
    partition: TopicPartition,
    committed: Option<i64>,
    leader_epoch: Option<i64>,
    end: Option<i64>,
    member: Option<&'a Member>,
}

/// How far the group is in each partition that it reads, or has read.
pub(super) fn offsets(
    cluster: &Cluster<'_>,
    name: &Str,
    group: &Group,
    is_verbose: bool,
    said: &mut Said,
) -> Result<(), Trouble> {
    let committed = cluster.committed(name)?;
    let mut readers: Vec<&Member> = group.members.iter().filter(|it| !it.assignment.is_empty()).collect();
    ordered::sort_by_key(&mut readers, |it| std::cmp::Reverse(it.assignment.len()));
    let mut assigned: Vec<&TopicPartition> = readers.iter().flat_map(|it| &it.assignment).collect();
    ordered::sort(&mut assigned);
    let mut rows = Vec::new();
    for it in readers {
        add_rows(cluster, it.assignment.clone(), &committed, Some(it), &mut rows)?;
    }
    let mut others = Vec::new();
    for it in committed.offsets.keys() {
        if assigned.binary_search(&it).is_err() {
            others.push(it.clone());
        }
    }
    add_rows(cluster, others, &committed, None, &mut rows)?;
    if is_told(name, &group.state, rows.len(), said)? {
        said.out += &offsets_table(name, &rows, is_verbose);
    }
    Ok(())
}

/// In order; partitions without a leader have no end that is known.
fn add_rows<'a>(
    cluster: &Cluster<'_>,
    mut partitions: Vec<TopicPartition>,
    committed: &Committed,
    member: Option<&'a Member>,
    rows: &mut Vec<Row<'a>>,
) -> Result<(), Trouble> {
    let known = cluster.partitions(&topics_of(&partitions)).map_err(wrapped)?;
    let mut led = partitions.clone();
    led.retain(|it| known.get(it) != Some(&NOBODY));
    let ends = cluster.offsets(&led, END)?;
    ordered::sort(&mut partitions);
    for partition in partitions {
        rows.push(Row {
            committed: committed.offsets.get(&partition).copied(),
            leader_epoch: committed.leader_epochs.get(&partition).copied(),
            end: ends.get(&partition).copied(),
            partition,
            member,
        });
    }
    Ok(())
}

fn offsets_table(group: &Str, rows: &[Row<'_>], is_verbose: bool) -> String {
    const OFFSETS: [Column; 10] = [
        Column::wide("GROUP", 15),
        Column::wide("TOPIC", 15),
        Column::fixed("PARTITION", 10),
        Column::fixed("LEADER-EPOCH", 15),
        Column::fixed("CURRENT-OFFSET", 15),
        Column::fixed("LOG-END-OFFSET", 15),
        Column::fixed("LAG", 15),
        Column::wide("CONSUMER-ID", 15),
        Column::wide("HOST", 15),
        Column::fixed("CLIENT-ID", 0),
    ];
    let mut table = Table::new(&OFFSETS);
    table.only_if(is_verbose, &["LEADER-EPOCH"]);
    for it in rows {
        let of_member = |what: fn(&Member) -> &Str| it.member.map_or("-", |member| what(member)).to_owned();
        let lag = it.committed.and_then(|committed| Some(it.end? - committed));
        table.row(vec![
            group.to_string(),
            it.partition.topic.to_string(),
            it.partition.partition.to_string(),
            missing(it.leader_epoch),
            missing(it.committed),
            missing(it.end),
            missing(lag),
            of_member(|it| &it.id),
            of_member(|it| &it.host),
            of_member(|it| &it.client_id),
        ]);
    }
    table.text()
}

/// Who is in the group, and how much each has.
pub(super) fn members(name: &Str, group: &Group, is_verbose: bool, said: &mut Said) -> Result<(), Trouble> {
    is_told(name, &group.state, group.members.len(), said)?;
    // Kafka's tool shows the heads of the columns also where nobody is under them.
    said.out += &members_table(name, group, is_verbose);
    Ok(())
}

const MEMBERS: [Column; 11] = [
    Column::wide("GROUP", 15),
    Column::wide("CONSUMER-ID", 15),
    Column::wide("GROUP-INSTANCE-ID", 17),
    Column::wide("HOST", 15),
    Column::wide("CLIENT-ID", 15),
    Column::fixed("#PARTITIONS", 15),
    Column::fixed("CURRENT-EPOCH", 15),
    Column::wide("CURRENT-ASSIGNMENT", 20),
    Column::fixed("TARGET-EPOCH", 15),
    Column::wide("TARGET-ASSIGNMENT", 20),
    Column::fixed("UPGRADED", 0),
];

fn members_table(name: &Str, group: &Group, is_verbose: bool) -> String {
    let has_static = group.members.iter().any(|it| it.instance.as_ref().is_some_and(|it| !it.is_empty()));
    let speaks = |is_upgraded: bool| group.members.iter().any(|it| it.is_upgraded == Some(is_upgraded));
    let is_migrating = speaks(true) && speaks(false);
    let mut table = Table::new(&MEMBERS);
    table.only_if(has_static, &["GROUP-INSTANCE-ID"]);
    table.only_if(is_verbose, &["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"]);
    table.only_if(is_verbose && is_migrating, &["UPGRADED"]);
    // Kafka's columns end with a space where nothing follows.
    table.end = if is_verbose { "" } else { " " };
    for it in &group.members {
        table.row(vec![
            name.to_string(),
            it.id.to_string(),
            it.instance.as_deref().unwrap_or_default().to_owned(),
            it.host.to_string(),
            it.client_id.to_string(),
            it.assignment.len().to_string(),
            missing(it.epoch.map(i64::from)),
            assignment(&it.assignment),
            missing(group.assignment_epoch.map(i64::from)),
            assignment(&it.target),
            it.is_upgraded.map_or("-", |it| if it { "true" } else { "false" }).to_owned(),
        ]);
    }
    table.text()
}

/// `topic:0,1;other:2`
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut partitions: Vec<&TopicPartition> = partitions.iter().collect();
    ordered::sort(&mut partitions);
    let mut text = String::new();
    let mut topic: Option<&Str> = None;
    for it in partitions {
        match topic {
            Some(topic) if *topic == it.topic => text += &format!(",{}", it.partition),
            _ => {
                let between = if topic.is_some() { ";" } else { "" };
                text += &format!("{between}{}:{}", it.topic, it.partition);
            }
        }
        topic = Some(&it.topic);
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

/// In what state the group is, and who decides for it.
pub(super) fn state(name: &Str, group: &Group, is_verbose: bool, said: &mut Said) -> Result<(), Trouble> {
    // There is always something to tell of a state.
    if is_told(name, &group.state, 1, said)? {
        said.out += &state_table(name, group, is_verbose);
    }
    Ok(())
}

fn state_table(name: &Str, group: &Group, is_verbose: bool) -> String {
    const COLUMNS: [Column; 7] = [
        Column::wide("GROUP", 15),
        Column::wide("COORDINATOR (ID)", 25),
        Column::fixed("ASSIGNMENT-STRATEGY", 20),
        Column::fixed("STATE", 20),
        Column::fixed("GROUP-EPOCH", 15),
        Column::fixed("TARGET-ASSIGNMENT-EPOCH", 25),
        Column::fixed("#MEMBERS", 0),
    ];
    let mut table = Table::new(&COLUMNS);
    table.only_if(is_verbose, &["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"]);
    let at = &group.coordinator;
    table.row(vec![
        name.to_string(),
        format!("{}:{}  ({})", at.host, at.port, at.id),
        if group.assignor.is_empty() { "-".to_owned() } else { group.assignor.to_string() },
        group.state.to_string(),
        missing(group.epoch.map(i64::from)),
        missing(group.assignment_epoch.map(i64::from)),
        group.members.len().to_string(),
    ]);
    table.text()
}

/// Whether there is something to show of a group in this state; says what people should know of the state.
fn is_told(group: &Str, state: &str, rows: usize, said: &mut Said) -> Result<bool, Trouble> {
    match state {
        "Dead" => said.error(&format!("Consumer group '{group}' does not exist.")),
        "Empty" => said.err += &format!("\nConsumer group '{group}' has no active members.\n"),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            said.err += &format!("\nWarning: Consumer group '{group}' is rebalancing.\n");
        }
        "Stable" => {}
        other => return Err(Trouble::Failed(format!("Expected a valid consumer group state, but found '{other}'."))),
    }
    Ok(state != "Dead" && rows > 0)
}

#[cfg(test)]
mod tests {
    use super::super::group::Coordinator;
    use super::*;

    fn place(topic: &'static str, partition: i32) -> TopicPartition {
        TopicPartition { topic: Str::from_static(topic), partition }
    }

    fn member() -> Member {
        Member {
            id: Str::from_static("consumer-1-abcdefghij"),
            client_id: Str::from_static("c1"),
            host: Str::from_static("/127.0.0.1"),
            assignment: vec![place("t", 10), place("s", 1), place("t", 9)],
            ..Member::default()
        }
    }

    fn shown(text: &str) -> Vec<&str> {
        text.split('\n').collect()
    }

    #[test]
    fn offsets_are_shown_as_kafka_shows_them() {
        let member = member();
        let rows = [
            Row {
                partition: place("t", 9),
                committed: Some(5),
                leader_epoch: Some(2),
                end: Some(7),
                member: Some(&member),
            },
            Row { partition: place("u", 0), committed: None, leader_epoch: None, end: Some(3), member: None },
        ];
        let group = Str::from_static("g");
        assert_eq!(
            shown(&offsets_table(&group, &rows, false)),
            [
                "",
                "GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             \
                 CONSUMER-ID           HOST            CLIENT-ID",
                "g               t               9          5               7               2               \
                 consumer-1-abcdefghij /127.0.0.1      c1",
                "g               u               0          -               3               -               \
                 -                     -               -",
                ""
            ]
        );
        let verbose = offsets_table(&group, &rows, true);
        assert!(verbose.contains("PARTITION  LEADER-EPOCH    CURRENT-OFFSET"), "{verbose}");
        assert!(verbose.contains("9          2               5  "), "{verbose}");
    }

    #[test]
    fn members_are_shown_as_kafka_shows_them() {
        let mut group = Group { members: vec![member()], ..Group::default() };
        let name = Str::from_static("g");
        assert_eq!(
            shown(&members_table(&name, &group, false)),
            [
                "",
                "GROUP           CONSUMER-ID           HOST            CLIENT-ID       #PARTITIONS     ",
                "g               consumer-1-abcdefghij /127.0.0.1      c1              3               ",
                ""
            ]
        );
        let verbose = members_table(&name, &group, true);
        assert!(
            verbose.contains("3               -               s:1;t:9,10           -               -   "),
            "{verbose}"
        );
        assert!(!verbose.contains("UPGRADED") && !verbose.contains("INSTANCE"), "{verbose}");
        let other = Member { is_upgraded: Some(true), instance: Some(Str::from_static("i1")), ..member() };
        group.members[0].is_upgraded = Some(false);
        group.members.push(other);
        let migrating = members_table(&name, &group, true);
        assert!(migrating.contains("UPGRADED") && migrating.contains(" i1 "), "{migrating}");
        assert!(migrating.contains(" false\n") && migrating.ends_with(" true\n"), "{migrating}");
    }

    #[test]
    fn states_are_shown_as_kafka_shows_them() {
        let coordinator = Coordinator { id: 3, host: Str::from_static("localhost"), port: 9092 };
        let group = Group { coordinator, state: Str::from_static("Empty"), epoch: Some(4), ..Group::default() };
        let mut said = Said::default();
        assert!(state(&Str::from_static("g"), &group, false, &mut said).is_ok());
        assert_eq!(said.err, "\nConsumer group 'g' has no active members.\n");
        assert_eq!(
            shown(&said.out),
            [
                "",
                "GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS",
                "g               localhost:9092  (3)       -                    Empty                0",
                ""
            ]
        );
        let verbose = state_table(&Str::from_static("g"), &group, true);
        assert!(verbose.contains("GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS"), "{verbose}");
        let mut said = Said::default();
        assert!(matches!(is_told(&Str::from_static("g"), "Dead", 1, &mut said), Ok(false)));
        assert!(said.out.contains("Error: Consumer group 'g' does not exist.") && said.err.is_empty());
        assert!(is_told(&Str::from_static("g"), "Odd", 1, &mut said).is_err());
    }
}
