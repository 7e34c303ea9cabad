//! Three nodes over real sockets: an empty directory formats itself by its voters, records are replicated, and when a
//! leader goes another one serves what was acknowledged.

use std::net::SocketAddr;
use std::thread;

use ports::ReservedPort;
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use protocol::messages::{CreateTopicsRequest, DescribeClusterRequest};
use protocol::{ErrorCode, RequestBody, ResponseBody, Str};
use server::{Ended, Server};

use crate::common::{Client, batch, config, until};

/// Starts three nodes at once: each serves once a majority of them is there.
fn start(folder: &std::path::Path) -> Vec<Server> {
    let controllers = [(); 3].map(|()| ReservedPort::any().unwrap());
    let voters = (1..).zip(&controllers).map(|(id, port)| format!("{id}@127.0.0.1:{}", port.number()));
    let voters: Vec<String> = voters.collect();
    let configs = (1..).zip(&controllers).map(|(id, port)| {
        config(
            &folder.join(format!("node-{id}")),
            &[
                ("process.roles", "broker,controller"),
                ("node.id", &id.to_string()),
                ("listeners", &format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{}", port.number())),
                ("controller.listener.names", "CONTROLLER"),
                ("controller.quorum.voters", &voters.join(",")),
            ],
        )
    });
    let starting: Vec<_> = configs.map(|config| thread::spawn(|| Server::start(config).unwrap())).collect();
    starting.into_iter().map(|it| it.join().unwrap()).collect()
}

fn client_of(server: &Server) -> Client {
    Client::connect(server.addresses()[0])
}

fn create(client: &mut Client, topic: &str, brokers: [i32; 3]) {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: brokers.to_vec() };
    let topic = CreatableTopic {
        name: Str::from(topic),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let ResponseBody::CreateTopics(response) = client.call(7, RequestBody::CreateTopics(request)) else { panic!() };
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
}

/// Produces until the partition's new leader takes it.
fn produce(address: SocketAddr, topic: &str, value: &str) {
    let mut client = Client::connect(address);
    until("it leads", || match client.produce(topic, 0, batch(&[value])).0 {
        ErrorCode::None => Some(()),
        ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition => None,
        other => panic!("{other:?}"),
    });
}

#[test]
fn three_nodes_replicate_and_outlive_a_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = start(folder.path());
    let ids = servers.iter().map(|server| {
        let request = RequestBody::DescribeCluster(DescribeClusterRequest::default());
        let ResponseBody::DescribeCluster(response) = client_of(server).call(1, request) else { panic!() };
        response.cluster_id
    });
    let ids: Vec<Str> = ids.collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same voters are the same cluster: {ids:?}");

    let mut second = client_of(&servers[1]);
    create(&mut second, "t", [1, 2, 3]);
    produce(servers[0].addresses()[0], "t", "before");
    // The first replica leads; it goes in good order, and the next one takes over with what was acknowledged.
    let first = servers.remove(0);
    let ended = first.stop().unwrap();
    assert!(matches!(ended, Ended::Stopped), "{ended:?}");
    produce(servers[0].addresses()[0], "t", "after");
    assert_eq!(client_of(&servers[0]).values("t", 0), ["before", "after"]);

    let stopping: Vec<_> = servers.into_iter().map(|server| thread::spawn(|| server.stop().unwrap())).collect();
    for it in stopping {
        let ended = it.join().unwrap();
        assert!(matches!(ended, Ended::Stopped), "{ended:?}");
    }
}
