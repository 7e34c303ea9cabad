//! kill -9 and stops under load: every record that was acknowledged is there afterwards, at its offset.
//!
//! The server under the knife is this very test binary, started again as a process of its own.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use common::{Client, Outcome, Rig, batch, config, produce};
use protocol::{ApiKey, ErrorCode, ResponseBody, frame};
use server::Server;

/// Names the data directory to the process that is to be a server.
const DATA: &str = "VIVARIUM_TEST_DATA";
/// Requests on their way, as producers have them.
const IN_FLIGHT: usize = 5;
const PARTITIONS: i32 = 3;

/// Where the test binary is started again to be a server; by itself it has nothing to do.
#[test]
fn serves_when_asked_by_its_parent() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let server = Server::start(config(Path::new(&data), &[])).unwrap();
    println!("\nready {}", server.addresses()[0]);
    // Ends with its parent, whatever becomes of that.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A server in a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(data: &Path) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serves_when_asked_by_its_parent", "--nocapture"])
            .env(DATA, data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ready ").map(str::to_owned));
        Process { child, address: ready.expect("it serves").parse().unwrap() }
    }

    /// SIGKILL: it gets no chance to write anything more.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Produces until the server is gone; answers with what was acknowledged: by partition and offset, the value.
fn producer(
    address: SocketAddr,
    name: String,
    acks: i16,
    acked: Sender<()>,
) -> JoinHandle<BTreeMap<(i32, i64), String>> {
    std::thread::spawn(move || {
        let mut client = Client::connect(address);
        let mut kept = BTreeMap::new();
        let mut waiting = std::collections::VecDeque::new();
        for index in 0.. {
            // Some so large that they pass by the page cache.
            let padding = "x".repeat(if index % 5 == 0 { 100_000 + 1000 * (index as usize % 70) } else { 0 });
            let (value, partition) = (format!("{name}-{index}{padding}"), index % PARTITIONS);
            client.send(9, produce("t", partition, acks, batch(&[&value])));
            waiting.push_back((partition, value));
            if waiting.len() < IN_FLIGHT {
                continue;
            }
            let Outcome::Frame(answer) = outcome(&mut client) else { break };
            let ResponseBody::Produce(response) = frame::decode_response(ApiKey::Produce, 9, answer).unwrap().body
            else {
                panic!()
            };
            let (partition, value) = waiting.pop_front().unwrap();
            let answer = &response.responses[0].partition_responses[0];
            // A server that is stopping may refuse; a refused record may be anywhere or nowhere.
            if ErrorCode::from_code(answer.error_code) == ErrorCode::None {
                let taken = kept.insert((partition, answer.base_offset), value);
                assert_eq!(taken, None, "two records were given one offset");
                // Nobody counts any more once there are enough.
                let _ = acked.send(());
            }
        }
        kept
    })
}

/// A killed server may leave half an answer behind.
fn outcome(client: &mut Client) -> Outcome {
    let mut size = [0; 4];
    if client.stream.read_exact(&mut size).is_err() {
        return Outcome::Closed;
    }
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    match client.stream.read_exact(&mut frame) {
        Ok(()) => Outcome::Frame(frame.into()),
        Err(_) => Outcome::Closed,
    }
}

fn assert_kept(client: &mut Client, acked: &BTreeMap<(i32, i64), String>) {
    for partition in 0..PARTITIONS {
        while client.end_of("t", partition).is_none() {
            std::thread::yield_now();
        }
        let values = client.values("t", partition);
        for ((_, offset), value) in acked.range((partition, 0)..=(partition, i64::MAX)) {
            let same = values.get(*offset as usize) == Some(value);
            assert!(same, "partition {partition}, offset {offset}: {:?} of {} values", value.get(..20), values.len());
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let cycles = if std::env::var_os("VIVARIUM_SOAK").is_some() { 30 } else { 3 };
    let folder = tempfile::tempdir().unwrap();
    let mut acked = BTreeMap::new();
    for cycle in 0..cycles {
        let process = Process::start(folder.path());
        let mut client = Client::connect(process.address);
        if cycle == 0 {
            client.create_topic("t", PARTITIONS);
        }
        assert_kept(&mut client, &acked);
        let (sender, receiver) = channel();
        let producers: Vec<_> = [-1, 1, -1]
            .into_iter()
            .enumerate()
            .map(|(index, acks)| producer(process.address, format!("{cycle}-{index}"), acks, sender.clone()))
            .collect();
        // A different moment in each cycle.
        for _ in 0..100 + 171 * (cycle % 7) {
            receiver.recv().expect("the server takes records");
        }
        process.kill();
        for producer in producers {
            let kept = producer.join().unwrap();
            for (place, value) in kept {
                assert_eq!(acked.insert(place, value), None, "an acknowledged offset was given away again: {place:?}");
            }
        }
    }
    let process = Process::start(folder.path());
    assert_kept(&mut Client::connect(process.address), &acked);
    process.kill();
}

#[test]
fn what_was_acknowledged_survives_a_stop_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = BTreeMap::new();
    for cycle in 0..3 {
        let rig = Rig::at(folder.path());
        let mut client = rig.client();
        if cycle == 0 {
            client.create_topic("t", PARTITIONS);
        }
        assert_kept(&mut client, &acked);
        let (sender, receiver) = channel();
        let producers: Vec<_> =
            (0..3).map(|index| producer(rig.address(), format!("{cycle}-{index}"), -1, sender.clone())).collect();
        for _ in 0..200 {
            receiver.recv().expect("the server takes records");
        }
        rig.stop();
        for producer in producers {
            acked.extend(producer.join().unwrap());
        }
    }
    assert_kept(&mut Rig::at(folder.path()).client(), &acked);
}
