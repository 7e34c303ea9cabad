//! Several real log directories, and what is left when one of them goes.

use std::fs;
use std::path::Path;

use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest};
use protocol::{ErrorCode, RequestBody, ResponseBody};
use server::{Server, StartError};

use crate::common::{Client, batch, config, until};

fn start(root: &Path) -> Result<Server, StartError> {
    let dirs = format!("{},{}", root.join("a").display(), root.join("b").display());
    Server::start(config(root, &[("log.dirs", &dirs), ("replica.high.watermark.checkpoint.interval.ms", "50")]))
}

/// What producing a record to each of the topic's partitions is answered with, once this broker knows whether it leads.
fn produced(client: &mut Client) -> Vec<ErrorCode> {
    let mut produce = |partition| match client.produce("t", partition, batch(&["x"])).0 {
        ErrorCode::NotLeaderOrFollower => None,
        answer => Some(answer),
    };
    (0..6).map(|partition| until("it knows whether it leads", || produce(partition))).collect()
}

fn is_in(folder: &Path, partition: i32) -> bool {
    folder.join(format!("t-{partition}")).is_dir()
}

#[test]
fn a_directory_that_cannot_be_opened_costs_only_what_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let (second, away) = (root.path().join("b"), root.path().join("away"));
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 6);
    assert!(produced(&mut client).iter().all(|it| *it == ErrorCode::None));
    let lost: Vec<bool> = (0..6).map(|it| is_in(&second, it)).collect();
    assert!(lost.contains(&true) && lost.contains(&false), "{lost:?}");
    server.stop().unwrap();

    // A file where the directory should be: whoever runs as root is refused nothing else.
    fs::rename(&second, &away).unwrap();
    fs::write(&second, "no directory").unwrap();
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for (error, lost) in produced(&mut client).into_iter().zip(&lost) {
        assert_eq!(error, if *lost { ErrorCode::KafkaStorageError } else { ErrorCode::None });
    }
    client.create_topic("new", 3);
    assert_eq!(client.produce("new", 2, batch(&["n"])).0, ErrorCode::None);
    server.stop().unwrap();
    assert_eq!(fs::read_to_string(&second).unwrap(), "no directory");

    fs::remove_file(&second).unwrap();
    fs::rename(&away, &second).unwrap();
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for (partition, lost) in (0..6).zip(&lost) {
        assert_eq!(client.values("t", partition).len(), if *lost { 1 } else { 2 }, "{partition}");
        assert_eq!(is_in(&second, partition), *lost, "it was found where it is");
    }
    server.stop().unwrap();
}

#[test]
fn without_the_metadata_logs_directory_there_is_no_start() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "no directory").unwrap();
    let line = start(root.path()).expect_err("it must not start").to_string();
    assert!(line.contains(&root.path().join("a").display().to_string()), "{line}");
}

#[test]
fn a_directory_that_goes_while_the_node_runs_costs_only_what_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let second = root.path().join("b");
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 6);
    produced(&mut client);
    let lost: Vec<bool> = (0..6).map(|it| is_in(&second, it)).collect();
    fs::rename(&second, root.path().join("away")).unwrap();
    // The next checkpoint finds out; until then what is open takes records.
    let expected = |lost: &bool| if *lost { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    let expected: Vec<ErrorCode> = lost.iter().map(expected).collect();
    while produced(&mut client) != expected {}
    client.create_topic("new", 3);
    assert_eq!(client.produce("new", 2, batch(&["n"])).0, ErrorCode::None);
    server.stop().unwrap();
}

#[test]
fn a_directory_that_cannot_be_read_costs_only_what_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let dirs = format!("{},{}", root.path().join("a").display(), root.path().join("b").display());
    let start =
        || Server::start(config(root.path(), &[("log.dirs", &dirs), ("log.segment.bytes", "1048576")])).unwrap();
    let server = start();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 6);
    let large = "x".repeat(900_000);
    for turn in 0..3 {
        for partition in 0..6 {
            assert_eq!(client.produce("t", partition, batch(&[&large])), (ErrorCode::None, turn));
        }
    }
    server.stop().unwrap();
    let lost: Vec<bool> = (0..6).map(|it| is_in(&root.path().join("b"), it)).collect();
    let bad = lost.iter().position(|it| *it).unwrap();
    let server = start();
    let mut client = Client::connect(server.addresses()[0]);
    // Where the oldest records are is looked up in a file that cannot be read any more.
    let index = root.path().join(format!("b/t-{bad}/00000000000000000000.index"));
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    assert_eq!(client.fetch("t", bad as i32, 0).0, ErrorCode::KafkaStorageError);
    for (error, lost) in produced(&mut client).into_iter().zip(&lost) {
        assert_eq!(error, if *lost { ErrorCode::KafkaStorageError } else { ErrorCode::None });
    }
    assert_eq!(client.values("t", lost.iter().position(|it| !it).unwrap() as i32).len(), 4);
    server.stop().unwrap();
    // Put right it serves again, and nothing is missing.
    fs::remove_dir(&index).unwrap();
    let server = start();
    let mut client = Client::connect(server.addresses()[0]);
    assert_eq!(client.values("t", bad as i32).len(), 3);
    server.stop().unwrap();
}

/// Asks for a replica in a directory.
fn alter(client: &mut Client, path: &Path, partition: i32) -> ErrorCode {
    let topics = vec![AlterReplicaLogDirTopic { name: "t".into(), partitions: vec![partition] }];
    let dirs = vec![AlterReplicaLogDir { path: path.display().to_string().into(), topics }];
    let answer = client.call(2, RequestBody::AlterReplicaLogDirs(AlterReplicaLogDirsRequest { dirs }));
    let ResponseBody::AlterReplicaLogDirs(response) = answer else { panic!("{answer:?}") };
    ErrorCode::from_code(response.results[0].partitions[0].error_code)
}

/// How many replicas are on their way.
fn moving(client: &mut Client) -> usize {
    let answer = client.call(4, RequestBody::DescribeLogDirs(DescribeLogDirsRequest { topics: None }));
    let ResponseBody::DescribeLogDirs(response) = answer else { panic!("{answer:?}") };
    let logs = response.results.iter().flat_map(|dir| &dir.topics).flat_map(|topic| &topic.partitions);
    logs.filter(|it| it.is_future_key).count()
}

#[test]
fn replicas_move_between_directories_while_they_are_written_to_and_read() {
    let root = tempfile::tempdir().unwrap();
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 6);
    let large = "x".repeat(900_000);
    let mut expected = vec![Vec::new(); 6];
    let write = |client: &mut Client, expected: &mut Vec<Vec<String>>, value: &str| {
        for (partition, values) in (0..).zip(expected.iter_mut()) {
            assert_eq!(client.produce("t", partition, batch(&[value])), (ErrorCode::None, values.len() as i64));
            values.push(value.to_owned());
        }
    };
    for _ in 0..12 {
        write(&mut client, &mut expected, &large);
    }
    let dirs = [root.path().join("a"), root.path().join("b")];
    let home = |partition| dirs.iter().position(|dir| is_in(dir, partition)).unwrap();
    let before: Vec<usize> = (0..6).map(home).collect();
    assert_eq!(alter(&mut client, &root.path().join("c"), 0), ErrorCode::LogDirNotFound);
    for turn in 0..3 {
        for partition in 0..6 {
            assert_eq!(
                alter(&mut client, &dirs[(before[partition as usize] + 1 + turn) % 2], partition),
                ErrorCode::None
            );
        }
        let mut index = 0;
        while moving(&mut client) > 0 {
            index += 1;
            write(&mut client, &mut expected, &format!("turn {turn}, {index}"));
        }
        for partition in 0..6 {
            assert_eq!(home(partition), (before[partition as usize] + 1 + turn) % 2);
            assert!(
                client.values("t", partition) == expected[partition as usize],
                "turn {turn}, partition {partition}"
            );
        }
    }
    server.stop().unwrap();
    let names = |dir: &Path| fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> =
        dirs.iter().flat_map(|it| names(it)).filter(|it| it.starts_with("t-") && !it.ends_with("-delete")).collect();
    assert!(left.len() == 6 && left.iter().all(|it| it.len() == 3), "{left:?}");
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for partition in 0..6 {
        assert!(client.values("t", partition) == expected[partition as usize], "partition {partition}");
    }
    server.stop().unwrap();
}
