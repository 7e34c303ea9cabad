//! What else may be found where a log should be: it is served or refused as by Apache Kafka, in one line, and stays as it is.

use std::fs::{self, OpenOptions};
use std::path::Path;

use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, DescribeLogDirsRequest, FeatureLevelRecord};
use protocol::{ErrorCode, RequestBody, ResponseBody, WallMs};
use server::{Ended, Server};

use crate::common::{Client, Rig, batch, config, until};

/// A folder that a node served from and left, with three records in `t-0`.
fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::at(folder.path());
    let mut client = rig.client();
    client.create_topic("t", 1);
    for value in ["a", "b", "c"] {
        assert_eq!(client.produce("t", 0, batch(&[value])).0, ErrorCode::None);
    }
    rig.stop();
    folder
}

/// The line that a server ends with which starts here.
fn ends(folder: &Path) -> String {
    let line = match Server::start(config(folder, &[])) {
        Err(error) => error.to_string(),
        Ok(server) => match server.wait().unwrap() {
            Ended::StorageFailed(what) => what,
            Ended::Stopped => panic!("nobody stopped it"),
        },
    };
    assert!(!line.contains('\n') && !line.is_empty(), "{line:?}");
    line
}

/// Nobody is refused anything as root but by a file system that nothing can be written to.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_written_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("a");
    let dirs = format!("{},/proc/self", first.display());
    let server = Server::start(config(folder.path(), &[("log.dirs", &dirs)])).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 3);
    for partition in 0..3 {
        assert_eq!(client.produce("t", partition, batch(&["x"])).0, ErrorCode::None);
        assert!(first.join(format!("t-{partition}")).is_dir());
    }
    let answer = client.call(4, RequestBody::DescribeLogDirs(DescribeLogDirsRequest { topics: None }));
    let ResponseBody::DescribeLogDirs(response) = answer else { panic!("{answer:?}") };
    let errors: Vec<_> = response.results.iter().map(|it| ErrorCode::from_code(it.error_code)).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::KafkaStorageError]);
    server.stop().unwrap();
}

#[test]
fn a_file_where_a_new_log_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::at(folder.path());
    let file = folder.path().join("t-0");
    fs::write(&file, "mine").unwrap();
    let mut client = rig.client();
    let topic =
        CreatableTopic { name: "t".into(), num_partitions: 1, replication_factor: 1, ..CreatableTopic::default() };
    client.send(7, RequestBody::CreateTopics(CreateTopicsRequest { topics: vec![topic], ..Default::default() }));
    // The directory is offline, as in Kafka, and there is no other.
    let Ended::StorageFailed(line) = rig.server.wait().unwrap() else { panic!("nobody stopped it") };
    assert!(line.contains(&file.display().to_string()), "{line}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_file_where_a_log_was() {
    let folder = used();
    let (log, away) = (folder.path().join("t-0"), folder.path().join("away"));
    fs::rename(&log, &away).unwrap();
    fs::write(&log, "mine").unwrap();
    let line = ends(folder.path());
    assert!(line.contains(&log.display().to_string()), "{line}");
    assert_eq!(fs::read_to_string(&log).unwrap(), "mine");
    fs::remove_file(&log).unwrap();
    fs::rename(&away, &log).unwrap();
    let rig = Rig::at(folder.path());
    assert_eq!(rig.client().values("t", 0), ["a", "b", "c"]);
    rig.stop();
}

#[test]
fn a_link_to_a_log_elsewhere() {
    let (folder, elsewhere) = (used(), tempfile::tempdir().unwrap());
    let (log, there) = (folder.path().join("t-0"), elsewhere.path().join("moved"));
    fs::rename(&log, &there).unwrap();
    std::os::unix::fs::symlink(&there, &log).unwrap();
    for expected in 3..5 {
        let rig = Rig::at(folder.path());
        let mut client = rig.client();
        assert_eq!(client.values("t", 0).len(), expected);
        assert_eq!(client.produce("t", 0, batch(&["d"])), (ErrorCode::None, expected as i64));
        rig.stop();
    }
    assert!(log.is_symlink() && there.join("00000000000000000000.log").is_file());
}

fn delete_topic(client: &mut Client, name: &str) {
    let request = DeleteTopicsRequest { topic_names: vec![name.into()], timeout_ms: 10_000, ..Default::default() };
    let answer = client.call(5, RequestBody::DeleteTopics(request));
    let ResponseBody::DeleteTopics(response) = answer else { panic!("{answer:?}") };
    assert_eq!(response.responses[0].error_code, 0);
}

/// Of a link the name goes, and what it leads to stays; of a folder that somebody made in a log's all goes, as in Kafka.
#[test]
fn a_topic_whose_folders_are_not_as_they_were_made_is_deleted() {
    let (folder, elsewhere) = (used(), tempfile::tempdir().unwrap());
    let rig = Rig::at(folder.path());
    let mut client = rig.client();
    client.create_topic("u", 1);
    assert_eq!(client.produce("u", 0, batch(&["x"])).0, ErrorCode::None);
    rig.stop();
    let (log, there) = (folder.path().join("t-0"), elsewhere.path().join("moved"));
    fs::rename(&log, &there).unwrap();
    std::os::unix::fs::symlink(&there, &log).unwrap();
    let inner = folder.path().join("u-0/lost+found");
    fs::create_dir_all(inner.join("more")).unwrap();
    fs::write(inner.join("more/piece"), "x").unwrap();
    let outside = there.join("mine");
    fs::write(&outside, "mine").unwrap();
    std::os::unix::fs::symlink(&there, inner.join("link")).unwrap();
    let server = Server::start(config(folder.path(), &[("log.segment.delete.delay.ms", "0")])).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for name in ["t", "u"] {
        client.await_leader(name, 0);
        delete_topic(&mut client, name);
        let is_there = |entry: &String| entry.starts_with(&format!("{name}-0"));
        until("its folders are gone", || (!names(folder.path()).iter().any(is_there)).then_some(()));
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
    client.create_topic("v", 1);
    client.assert_served("v");
    server.stop().unwrap();
}

/// Kafka names what it deletes by the log and 32 digits, and touches no other folder.
#[test]
fn only_what_a_deletion_left_is_removed() {
    let (folder, elsewhere) = (used(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    let id = "0123456789abcdef0123456789abcdef";
    let (mine, grave, link) =
        (at("backup-delete"), at(&format!("gone-0.{id}-delete")), at(&format!("away-0.{id}-delete")));
    for (path, file) in [(&mine, "kept"), (&grave, "00000000000000000000.log"), (&elsewhere.path().into(), "kept")] {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join(file), "x").unwrap();
    }
    std::os::unix::fs::symlink(elsewhere.path(), at("x-delete")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
    let rig = Rig::at(folder.path());
    assert_eq!(rig.client().values("t", 0), ["a", "b", "c"]);
    rig.stop();
    assert!(mine.join("kept").is_file() && elsewhere.path().join("kept").is_file() && at("x-delete").is_symlink());
    assert!(!grave.exists() && !link.is_symlink());
}

/// Kafka does not start; here it costs the one partition.
#[test]
fn a_segment_that_is_larger_than_any_can_be() {
    let folder = used();
    let path = folder.path().join("t-0/00000000000000000000.log");
    let length = fs::metadata(&path).unwrap().len();
    let large = 3 << 30;
    OpenOptions::new().write(true).open(&path).unwrap().set_len(large).unwrap();
    let rig = Rig::at(folder.path());
    let mut client = rig.client();
    let error = until("it knows whether it leads", || match client.produce("t", 0, batch(&["d"])).0 {
        ErrorCode::NotLeaderOrFollower => None,
        error => Some(error),
    });
    assert_eq!(error, ErrorCode::KafkaStorageError);
    client.create_topic("other", 1);
    client.assert_served("other");
    rig.stop();
    assert_eq!(fs::metadata(&path).unwrap().len(), large, "nothing was cut off");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    let rig = Rig::at(folder.path());
    assert_eq!(rig.client().values("t", 0), ["a", "b", "c"]);
    rig.stop();
}

/// Everything under a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The metadata would begin anew, and by them all logs of the directories would be strays.
#[test]
fn directories_in_another_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let in_order = |first: &Path, second: &Path| format!("{},{}", first.display(), second.display());
    let ordered = in_order(&a, &b);
    let server = Server::start(config(folder.path(), &[("log.dirs", &ordered)])).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 2);
    for partition in 0..2 {
        assert_eq!(client.produce("t", partition, batch(&["x"])).0, ErrorCode::None);
    }
    server.stop().unwrap();
    let before = (names(&a), names(&b));
    let third = folder.path().join("c");
    for dirs in [in_order(&b, &a), in_order(&third, &a)] {
        let refused = Server::start(config(folder.path(), &[("log.dirs", &dirs)])).expect_err("it must not start");
        let line = refused.to_string();
        assert!(line.contains("a/__cluster_metadata-0") && line.contains("metadata.log.dir"), "{line}");
        assert_eq!((names(&a), names(&b)), before);
    }
    let settings = [("log.dirs", &*in_order(&b, &a)), ("metadata.log.dir", &*a.display().to_string())];
    let server = Server::start(config(folder.path(), &settings)).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for partition in 0..2 {
        assert_eq!(client.values("t", partition), ["x"]);
    }
    server.stop().unwrap();
}

#[test]
fn a_metadata_log_in_a_directory_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, metadata] = ["a", "b", "metadata"].map(|name| folder.path().join(name));
    let dirs = format!("{},{}", a.display(), b.display());
    let settings = [("log.dirs", &*dirs), ("metadata.log.dir", &*metadata.display().to_string())];
    for is_first in [true, false] {
        let server = Server::start(config(folder.path(), &settings)).unwrap();
        let mut client = Client::connect(server.addresses()[0]);
        if is_first {
            client.create_topic("t", 4);
            for partition in 0..4 {
                assert_eq!(client.produce("t", partition, batch(&["x"])).0, ErrorCode::None);
            }
        }
        for partition in 0..4 {
            assert_eq!(client.values("t", partition), ["x"]);
        }
        let answer = client.call(4, RequestBody::DescribeLogDirs(DescribeLogDirsRequest { topics: None }));
        let ResponseBody::DescribeLogDirs(response) = answer else { panic!("{answer:?}") };
        let told: Vec<String> = response.results.iter().map(|it| it.log_dir.to_string()).collect();
        assert_eq!(told, [&a, &b].map(|it| it.display().to_string()), "replicas are nowhere else");
        server.stop().unwrap();
        let logs = |dir: &Path| names(dir).into_iter().filter(|it| dir.join(it).is_dir()).collect::<Vec<_>>();
        assert_eq!(logs(&metadata), ["__cluster_metadata-0"]);
        assert_eq!((logs(&a).len(), logs(&b).len()), (2, 2));
    }
    // Its disk is not mounted: an empty folder is there instead.
    let aside = folder.path().join("aside");
    fs::rename(&metadata, &aside).unwrap();
    fs::create_dir(&metadata).unwrap();
    let before = (names(&a), names(&b));
    let refused = Server::start(config(folder.path(), &settings)).expect_err("it must not start").to_string();
    assert!(refused.contains("metadata/meta.properties") && refused.contains("mounted?"), "{refused}");
    assert_eq!((names(&a), names(&b)), before);
}

#[test]
fn a_metadata_log_that_is_gone_is_not_begun_anew() {
    let folder = used();
    fs::remove_dir_all(folder.path().join("__cluster_metadata-0")).unwrap();
    for _ in 0..2 {
        let line = ends(folder.path());
        assert!(line.contains("__cluster_metadata-0 is missing") && line.contains("restore it"), "{line}");
        assert!(folder.path().join("t-0").is_dir() && !folder.path().join("__cluster_metadata-0").exists());
    }
}

#[test]
fn a_directory_that_a_later_version_formatted_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 31 };
    let bytes = node::bootstrap_checkpoint(WallMs(0), vec![feature.into()]);
    fs::write(folder.path().join("bootstrap.checkpoint"), bytes).unwrap();
    let meta = "version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAZQ\n";
    fs::write(folder.path().join("meta.properties"), meta).unwrap();
    let line = ends(folder.path());
    assert!(line.contains("bootstrap.checkpoint: it is written at metadata.version 31"), "{line}");
    assert!(line.contains("of a later Apache Kafka") && line.contains("start it with that Kafka"), "{line}");
    assert!(!folder.path().join("__cluster_metadata-0").exists(), "nothing is written");
}

#[test]
fn a_directory_of_a_newer_version_or_another_cluster() {
    let folder = used();
    let path = folder.path().join("meta.properties");
    let good = fs::read_to_string(&path).unwrap();
    let newer = good.replace("version=1", "version=2");
    assert_ne!(newer, good);
    fs::write(&path, &newer).unwrap();
    let line = ends(folder.path());
    assert!(line.contains("meta.properties") || line.contains(&folder.path().display().to_string()), "{line}");
    assert!(line.contains("version is 2") && line.contains("start it with that"), "{line}");
    assert!(!line.contains("empty"), "nobody is told to give up what is there: {line}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    // The metadata in it are of the cluster that it was formatted for.
    let second = used();
    let dirs = format!("{},{}", folder.path().display(), second.path().display());
    fs::write(&path, &good).unwrap();
    let refused = Server::start(config(folder.path(), &[("log.dirs", &dirs)])).expect_err("it must not start");
    assert!(refused.to_string().contains("of cluster"), "{refused}");
    for data in [&folder, &second] {
        let rig = Rig::at(data.path());
        assert_eq!(rig.client().values("t", 0), ["a", "b", "c"]);
        rig.stop();
    }
}
