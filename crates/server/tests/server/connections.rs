//! How many connections a node takes, in all and from one address, how fast, and how much they may send at once.

use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use ports::ReservedPort;
use protocol::messages::alter_configs_request::{
    AlterConfigsResource as OldResource, AlterableConfig as AlterableLimit,
};
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{AlterConfigsRequest, ApiVersionsRequest, IncrementalAlterConfigsRequest};
use protocol::{RequestBody, ResponseBody, Str};
use server::Server;

use crate::common::{Client, Outcome, Rig, batch, config, header, produce, until};

fn ask(client: &mut Client) {
    client.send(0, RequestBody::ApiVersions(ApiVersionsRequest::default()));
}

/// True if a new connection is answered, false if it is closed.
fn is_served(client: &mut Client) -> bool {
    ask(client);
    match client.outcome() {
        Outcome::Frame(_) => true,
        Outcome::Closed => false,
    }
}

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let rig = Rig::with(&[("max.connections.per.ip", "2")]);
    let (mut first, mut second) = (rig.client(), rig.client());
    assert!(is_served(&mut first) && is_served(&mut second));
    assert!(!is_served(&mut rig.client()));
    assert!(is_served(&mut first) && is_served(&mut second), "they stay");
    drop(second);
    // It takes the node a moment to notice.
    until("there is room again", || is_served(&mut rig.client()).then_some(()));
    rig.stop();
}

#[test]
fn one_connection_too_many_waits_for_another_to_end() {
    let rig = Rig::with(&[("max.connections", "1")]);
    let mut first = rig.client();
    assert!(is_served(&mut first));
    let mut second = rig.client();
    ask(&mut second);
    second.stream.set_nonblocking(true).unwrap();
    for _ in 0..3 {
        assert!(is_served(&mut first));
        let heard = second.stream.peek(&mut [0]);
        assert_eq!(heard.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "there is no room for it yet");
    }
    second.stream.set_nonblocking(false).unwrap();
    drop(first);
    assert!(matches!(second.outcome(), Outcome::Frame(_)));
    rig.stop();
}

/// One for clients, and one for brokers.
fn with_two_listeners(folder: &Path, settings: &[(&str, &str)]) -> Server {
    let listeners = [
        ("listeners", "PLAINTEXT://127.0.0.1:0,INNER://127.0.0.1:0"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("inter.broker.listener.name", "INNER"),
    ];
    Server::start(config(folder, &[&listeners[..], settings].concat())).unwrap()
}

/// Brokers are let in where clients have another listener; the connection that was idle for longest makes room.
#[test]
fn brokers_are_let_in_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two_listeners(folder.path(), &[("max.connections", "1")]);
    let mut client = Client::connect(server.addresses()[0]);
    assert!(is_served(&mut client));
    let mut broker = Client::connect(server.addresses()[1]);
    assert!(is_served(&mut broker));
    assert_eq!(client.outcome(), Outcome::Closed);
    assert!(is_served(&mut broker));
    server.stop().unwrap();
}

/// Changes limits of all brokers, or of one; `None` deletes one.
fn alter(client: &mut Client, resource: &str, limits: &[(&str, Option<&str>)]) -> (i16, Option<Str>) {
    let limit = |(name, value): &(&str, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: value.is_none().into(),
        value: value.map(Str::from),
    };
    let configs = limits.iter().map(limit).collect();
    let resource = AlterConfigsResource { resource_type: 4, resource_name: resource.into(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = client.call(1, RequestBody::IncrementalAlterConfigs(request));
    let ResponseBody::IncrementalAlterConfigs(mut response) = answer else { panic!("{answer:?}") };
    let it = response.responses.remove(0);
    (it.error_code, it.error_message)
}

/// Sets a limit for all brokers.
fn set(client: &mut Client, name: &str, value: &str) {
    assert_eq!(alter(client, "", &[(name, Some(value))]), (0, None));
}

#[test]
fn a_limit_can_be_changed_while_the_node_runs() {
    let rig = Rig::start();
    let (mut first, mut second) = (rig.client(), rig.client());
    assert!(is_served(&mut first) && is_served(&mut second));
    set(&mut first, "max.connections.per.ip", "2");
    // Answered once it is committed; this broker applies it a moment later.
    until("a third is refused", || (!is_served(&mut rig.client())).then_some(()));
    assert!(is_served(&mut first) && is_served(&mut second));
    rig.stop();
}

/// Who could not connect could not take it back.
#[test]
fn a_node_that_runs_is_never_closed_to_everybody() {
    const INVALID_REQUEST: i16 = 42;
    let (per_ip, overrides) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
    let what = "requirement failed: max.connections.per.ip can be set to zero only if \
                max.connections.per.ip.overrides property is set.";
    let refused = (INVALID_REQUEST, Some(Str::from(what)));
    let rig = Rig::start();
    let mut client = rig.client();
    for resource in ["", "1"] {
        assert_eq!(alter(&mut client, resource, &[(per_ip, Some("0"))]), refused);
        assert_eq!(alter(&mut client, resource, &[(per_ip, Some("0")), (overrides, Some(""))]), refused);
    }
    let both = [(per_ip, Some("0")), (overrides, Some("127.0.0.1:100"))];
    assert_eq!(alter(&mut client, "", &both), (0, None));
    assert!(is_served(&mut rig.client()));
    assert_eq!(alter(&mut client, "", &[(overrides, None)]), refused);
    assert_eq!(alter(&mut client, "1", &[(overrides, Some(""))]), refused, "a broker's own stands before that of all");
    // A request of the old kind leaves nothing of what it does not name.
    let limit = |name: &str, value: &str| AlterableLimit { name: name.into(), value: Some(value.into()) };
    let mut replace = |configs: Vec<AlterableLimit>| {
        let resource = OldResource { resource_type: 4, resource_name: "".into(), configs };
        let request = AlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = client.call(1, RequestBody::AlterConfigs(request));
        let ResponseBody::AlterConfigs(mut response) = answer else { panic!("{answer:?}") };
        let it = response.responses.remove(0);
        (it.error_code, it.error_message)
    };
    let replicas = || limit("min.insync.replicas", "1");
    assert_eq!(replace(vec![limit(per_ip, "0"), replicas()]), refused);
    assert_eq!(replace(vec![replicas()]), (0, None), "neither is set any more");
    assert_eq!(alter(&mut client, "", &[(overrides, Some("127.0.0.1:100"))]), (0, None));
    assert_eq!(alter(&mut client, "1", &[(per_ip, Some("0"))]), (0, None), "all have overrides");
    assert_eq!(alter(&mut client, "", &[(overrides, None)]), refused, "this one has them from there");
    assert_eq!(alter(&mut client, "1", &[(per_ip, None)]), (0, None));
    assert_eq!(alter(&mut client, "", &[(overrides, None)]), (0, None));
    assert!(is_served(&mut rig.client()));
    rig.stop();
}

/// Nobody has to come or go for it.
#[test]
fn another_limit_on_all_connections_holds_at_once() {
    let rig = Rig::with(&[("max.connections", "1")]);
    let mut first = rig.client();
    assert!(is_served(&mut first));
    let mut others = [rig.client(), rig.client()];
    others.iter_mut().for_each(ask);
    set(&mut first, "max.connections", "3");
    for other in &mut others {
        assert!(matches!(other.outcome(), Outcome::Frame(_)));
    }
    assert!(is_served(&mut first));
    set(&mut first, "max.connections", "1");
    for other in &mut others {
        assert_eq!(other.outcome(), Outcome::Closed);
    }
    assert!(is_served(&mut first), "it was the last to say something");
    rig.stop();
}

#[test]
fn an_address_or_a_host_may_have_more_connections_than_others() {
    let rig = Rig::with(&[("max.connections.per.ip", "1"), ("max.connections.per.ip.overrides", "127.0.0.1:2")]);
    let (mut first, mut second) = (rig.client(), rig.client());
    assert!(is_served(&mut first) && is_served(&mut second));
    assert!(!is_served(&mut rig.client()));
    // A machine may know itself by this name at ::1 only.
    let is_named = ("localhost", 0).to_socket_addrs().is_ok_and(|mut it| it.any(|it| it.ip() == rig.address().ip()));
    let host = if is_named { "localhost" } else { "127.0.0.1" };
    set(&mut first, "max.connections.per.ip.overrides", &format!("10.0.0.1:1,{host}:3"));
    // Once the name was looked up.
    let _third = until("the host has three", || {
        let mut third = rig.client();
        is_served(&mut third).then_some(third)
    });
    assert!(!is_served(&mut rig.client()));
    rig.stop();
}

#[test]
fn connections_that_come_too_fast_wait() {
    let rig = Rig::with(&[("max.connection.creation.rate", "0"), ("quota.window.size.seconds", "1")]);
    let start = Instant::now();
    let (mut first, mut second) = (rig.client(), rig.client());
    assert!(is_served(&mut first));
    assert!(start.elapsed().as_millis() >= 1000, "a window's length, where none may come at all");
    set(&mut first, "max.connection.creation.rate", "2147483647");
    assert!(is_served(&mut second), "who waits is let in");
    rig.stop();
}

/// It was let wait where there was room, which somebody else has taken meanwhile.
#[test]
fn who_came_too_fast_and_finds_no_room_then_comes_in_when_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        [("max.connections", "1"), ("max.connection.creation.rate", "0"), ("quota.window.size.seconds", "1")];
    let server = with_two_listeners(folder.path(), &settings);
    let mut client = Client::connect(server.addresses()[0]);
    ask(&mut client);
    let mut broker = Client::connect(server.addresses()[1]);
    assert!(is_served(&mut broker));
    // Longer than it has to wait for coming too fast.
    client.stream.set_read_timeout(Some(Duration::from_millis(1300))).unwrap();
    let heard = client.stream.peek(&mut [0]);
    assert_eq!(heard.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "there is no room for it yet");
    client.stream.set_read_timeout(None).unwrap();
    drop(broker);
    assert!(matches!(client.outcome(), Outcome::Frame(_)));
    server.stop().unwrap();
}

/// Sends a request of this size but for its bytes.
fn begin(client: &mut Client, size: u32) {
    // Answered when what comes with it was read, too.
    let bytes = header(18, 0, false);
    let mut sent = BytesMut::new();
    sent.put_u32(u32::try_from(bytes.len()).unwrap());
    sent.put_slice(&bytes);
    sent.put_u32(size);
    client.send_bytes(&sent);
    assert!(matches!(client.outcome(), Outcome::Frame(_)));
}

/// What is half here counts as a whole: no more is taken in than fits, and who has begun goes on.
#[test]
fn no_more_is_read_than_may_wait() {
    let rig = Rig::with(&[("socket.request.max.bytes", "1000"), ("queued.max.request.bytes", "1000")]);
    let (mut first, mut second, mut third) = (rig.client(), rig.client(), rig.client());
    begin(&mut first, 900);
    assert!(is_served(&mut third));
    begin(&mut second, 900);
    ask(&mut third);
    third.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let heard = third.stream.peek(&mut [0]);
    assert_eq!(heard.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "there is no room for it yet");
    third.stream.set_read_timeout(None).unwrap();
    // Nonsense of the announced length ends the connection, and what it held is free.
    second.send_bytes(&[0xff; 900]);
    assert_eq!(second.outcome(), Outcome::Closed);
    assert!(matches!(third.outcome(), Outcome::Frame(_)));
    assert!(is_served(&mut third));
    rig.stop();
}

/// Controllers agree and brokers say that they are alive however much clients send.
#[test]
fn controllers_are_heard_where_no_more_may_wait() {
    let folder = tempfile::tempdir().unwrap();
    let port = ReservedPort::any().unwrap();
    let settings = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("listeners", &format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{}", port.number())),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", &format!("1@127.0.0.1:{}", port.number())),
        ("socket.request.max.bytes", "1000"),
        ("queued.max.request.bytes", "1000"),
    ];
    let server = Server::start(config(folder.path(), &settings)).unwrap();
    let [mut first, mut second, mut third] = [(); 3].map(|()| Client::connect(server.addresses()[0]));
    let [mut quick, mut slow, mut slower] = [(); 3].map(|()| Client::connect(server.addresses()[1]));
    begin(&mut slow, 900);
    begin(&mut slower, 900);
    assert!(is_served(&mut third), "what controllers send does not count");
    begin(&mut first, 900);
    begin(&mut second, 900);
    quick.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(is_served(&mut quick));
    server.stop().unwrap();
}

/// The disk takes one batch at a time; nobody is forgotten who waits for that.
#[test]
fn producers_take_turns_where_only_one_batch_may_wait() {
    let rig = Rig::with(&[("queued.max.requests", "1")]);
    let mut clients: Vec<Client> = (0..4).map(|_| rig.client()).collect();
    clients[0].create_topic("t", 1);
    for round in 0..20 {
        for client in &mut clients {
            client.send(9, produce("t", 0, 1, batch(&["a", "b"])));
        }
        for client in &mut clients {
            assert!(matches!(client.outcome(), Outcome::Frame(_)), "in round {round}");
        }
    }
    assert_eq!(clients[3].end_of("t", 0), Some(160));
    rig.stop();
}
