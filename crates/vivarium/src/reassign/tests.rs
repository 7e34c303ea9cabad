use clap::Parser;

use super::*;

#[derive(Parser)]
struct Tool {
    #[command(flatten)]
    it: ReassignArguments,
}

fn checked(line: &str) -> Result<String, Wrong> {
    let tool =
        Tool::try_parse_from(["tool"].into_iter().chain(line.split_whitespace())).map_err(|error| error.to_string())?;
    check(&tool.it).map(|action| format!("{action:?}"))
}

#[test]
fn options_are_demanded_in_kafkas_words() {
    for (line, why) in [
        ("", "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list"),
        (
            "--list --verify",
            "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
        ),
        ("--list", "Please specify either --bootstrap-server or --bootstrap-controller"),
        (
            "--list --bootstrap-server a:1 --bootstrap-controller a:2",
            "Please don't specify both --bootstrap-server and --bootstrap-controller",
        ),
        ("--execute --bootstrap-server a:1", "Missing required argument \"[reassignment-json-file]\""),
        ("--generate --bootstrap-server a:1", "Missing required argument \"[topics-to-move-json-file]\""),
        (
            "--verify --bootstrap-server a:1 --reassignment-json-file f --throttle 7",
            "Option \"[throttle]\" can't be used with action \"[verify]\"",
        ),
        (
            "--verify --bootstrap-controller a:1 --reassignment-json-file f",
            "Option \"[bootstrap-controller]\" can't be used with action \"[verify]\"",
        ),
    ] {
        assert_eq!(checked(line), Err(Wrong::Usage(why.to_owned())), "{line}");
    }
    let execute = "--execute --bootstrap-server a:1 --reassignment-json-file f --throttle -1 --timeout 5 --additional";
    assert_eq!(checked(execute), Ok("Execute { file: \"f\" }".to_owned()));
    assert_eq!(checked("--list --bootstrap-controller a:1"), Ok("List".to_owned()));
}

fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: Str::from(topic), partition: number }
}

#[test]
fn what_is_reassigned_is_listed_as_kafka_lists_it() {
    assert_eq!(list(&BTreeMap::new()), "No partition reassignments found.");
    let it = |adding: &[i32], removing: &[i32]| Ongoing {
        replicas: vec![1, 2, 3],
        adding: adding.to_vec(),
        removing: removing.to_vec(),
    };
    let ongoing = [(partition("t", 10), it(&[3], &[])), (partition("t", 2), it(&[2, 3], &[1]))].into();
    assert_eq!(
        list(&ongoing),
        "Current partition reassignments:\n\
         t-2: replicas: 1,2,3. adding: 2,3. removing: 1.\n\
         t-10: replicas: 1,2,3. adding: 3."
    );
}

#[test]
fn a_proposal_spreads_over_the_racks_of_the_brokers() {
    let usable: Vec<Usable> = (1..=4)
        .map(|id| Usable {
            id: NodeId(id),
            rack: Some(Str::from_static(["a", "b"][id as usize % 2])),
            is_fenced: false,
        })
        .collect();
    let current: Assignment = (0..8).map(|number| (partition("t", number), vec![9, 8])).collect();
    let proposed = propose(&current, &usable, &mut Random::new(1)).unwrap();
    assert!(proposed.keys().eq(current.keys()));
    for replicas in proposed.values() {
        assert_eq!(replicas.len(), 2);
        assert_ne!(replicas[0] % 2, replicas[1] % 2, "both in one rack: {replicas:?}");
    }
    let why = propose(&current, &usable[..1], &mut Random::new(1)).unwrap_err();
    assert!(why.starts_with("The target replication factor of 2 cannot be reached because only 1 broker(s)"), "{why}");
}
