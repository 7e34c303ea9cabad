//! kill -9 and stops under load: every record that was acknowledged is there afterwards, at its offset.
//!
//! The server under the knife is this very test binary, started again as a process of its own.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::{AlterReplicaLogDirsRequest, CreateTopicsRequest, DeleteTopicsRequest, InitProducerIdRequest};
use protocol::records::{BatchBuilder, Compression, PureCompressors};
use protocol::{ApiKey, ErrorCode, ProducerEpoch, ProducerId, RequestBody, ResponseBody, Str, WallMs, frame};
use server::Server;

use crate::common::{Client, Outcome, Rig, batch, config, produce};

/// Names the data directory to the process that is to be a server.
const DATA: &str = "VIVARIUM_TEST_DATA";
/// Requests on their way, as producers have them.
const IN_FLIGHT: usize = 5;
const PARTITIONS: i32 = 3;
/// After so many kills the topics are deleted and others created: a cycle is to take no longer the more there were.
const GENERATION: u32 = 10;

/// The log directories of a server.
fn dirs(data: &Path) -> [String; 2] {
    ["a", "b"].map(|name| data.join(name).display().to_string())
}

/// Where the test binary is started again to be a server; by itself it has nothing to do.
#[test]
fn serves_when_asked_by_its_parent() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let data = Path::new(&data);
    let server = Server::start(config(data, &[("log.dirs", &dirs(data).join(","))])).unwrap();
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
            .args(["--exact", "crash::serves_when_asked_by_its_parent", "--nocapture"])
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

/// What may be there or not, by sequence.
type Unsure = VecDeque<(i32, String)>;

/// A producer and its topic.
struct Load {
    topic: Str,
    acks: i16,
    /// Of an idempotent producer: its id, and of each partition what it does not know to be there.
    idempotent: Option<(i64, Vec<Unsure>)>,
    /// How many records it has sent.
    sent: i32,
    /// By partition and offset.
    acked: BTreeMap<(i32, i64), String>,
}

impl Load {
    fn new(client: &mut Client, name: &str, acks: i16, configs: &[(&str, &str)], is_idempotent: bool) -> Load {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: Str::from(*name), value: Some(Str::from(*value)) });
        let topic = CreatableTopic {
            name: Str::from(name),
            num_partitions: PARTITIONS,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let ResponseBody::CreateTopics(response) = client.call(7, RequestBody::CreateTopics(request)) else { panic!() };
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
        let idempotent = is_idempotent.then(|| {
            let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
            let ResponseBody::InitProducerId(response) = client.call(4, RequestBody::InitProducerId(request)) else {
                panic!()
            };
            assert_eq!(response.error_code, 0);
            (response.producer_id, vec![VecDeque::new(); PARTITIONS as usize])
        });
        Load { topic: Str::from(name), acks, idempotent, sent: 0, acked: BTreeMap::new() }
    }

    /// The next value, and its partition.
    fn next(&mut self) -> (i32, String) {
        let (index, partition) = (self.sent, self.sent % PARTITIONS);
        self.sent += 1;
        // Some so large that they pass by the page cache.
        let padding = "x".repeat(if index % 41 == 0 { 100_000 + 1000 * (index as usize % 70) } else { 0 });
        let value = format!("{index}{padding}");
        if let Some((_, unsure)) = &mut self.idempotent {
            unsure[partition as usize].push_back((index / PARTITIONS, value.clone()));
        }
        (partition, value)
    }

    /// A batch with one value; the sequence of an idempotent producer is its place among those of the partition.
    fn batch(&self, sequence: i32, value: &str) -> Bytes {
        let Some((id, _)) = &self.idempotent else { return batch(&[value]) };
        let mut builder = BatchBuilder::new(Compression::None).producer(ProducerId(*id), ProducerEpoch(0), sequence);
        builder.push(WallMs(1_700_000_000_000), None, Some(value.as_bytes()), &[]);
        builder.build(&PureCompressors).unwrap()
    }

    /// Takes note of an answer. A refused record may be anywhere or nowhere.
    fn answered(
        &mut self,
        (partition, sequence, value): (i32, i32, String),
        answer: (ErrorCode, i64),
        acked: &Sender<()>,
    ) {
        let (error, offset) = answer;
        if let Some((_, unsure)) = &mut self.idempotent {
            assert_eq!(error, ErrorCode::None, "{} {partition}: sequence {sequence}", self.topic);
            let first = unsure[partition as usize].pop_front();
            assert_eq!(first.map(|it| it.0), Some(sequence));
        }
        if error == ErrorCode::None {
            let taken = self.acked.insert((partition, offset), value);
            assert_eq!(taken, None, "two records were given one offset");
            // Nobody counts any more once there are enough.
            let _ = acked.send(());
        }
    }

    /// Produces until the server is gone, what an earlier one may have taken or not first.
    fn run(mut self, mut client: Client, acked: &Sender<()>) -> Load {
        let mut again = VecDeque::new();
        for (partition, unsure) in (0..).zip(self.idempotent.iter().flat_map(|it| &it.1)) {
            again.extend(unsure.iter().map(|(sequence, value)| (partition, *sequence, value.clone())));
        }
        let mut waiting = VecDeque::new();
        loop {
            let (partition, sequence, value) = again.pop_front().unwrap_or_else(|| {
                let sequence = self.sent / PARTITIONS;
                let (partition, value) = self.next();
                (partition, sequence, value)
            });
            client.send(9, produce(&self.topic, partition, self.acks, self.batch(sequence, &value)));
            waiting.push_back((partition, sequence, value));
            if waiting.len() < IN_FLIGHT {
                continue;
            }
            let Outcome::Frame(answer) = outcome(&mut client) else { return self };
            let ResponseBody::Produce(response) = frame::decode_response(ApiKey::Produce, 9, answer).unwrap().body
            else {
                panic!()
            };
            let answer = &response.responses[0].partition_responses[0];
            let answer = (ErrorCode::from_code(answer.error_code), answer.base_offset);
            self.answered(waiting.pop_front().unwrap(), answer, acked);
        }
    }

    /// Every record that was acknowledged is there, and each of an idempotent producer is there once.
    fn assert_kept(&self, client: &mut Client) {
        for partition in 0..PARTITIONS {
            let values = client.values(&self.topic, partition);
            for ((_, offset), value) in self.acked.range((partition, 0)..=(partition, i64::MAX)) {
                let same = values.get(*offset as usize) == Some(value);
                let (topic, start) = (&self.topic, value.get(..20));
                assert!(same, "{topic}-{partition}, offset {offset}: {start:?} of {} values", values.len());
            }
            if self.idempotent.is_some() {
                for (sequence, value) in (0..).zip(&values) {
                    let index = value.trim_end_matches('x');
                    assert_eq!(index, (sequence * PARTITIONS + partition).to_string(), "{}-{partition}", self.topic);
                }
            }
        }
    }
}

/// Has replicas move to and fro while others are at work.
fn alter(client: &mut Client, data: &Path, topic: &Str, turn: u32) {
    let path = dirs(data)[(turn / 5 % 2) as usize].as_str().into();
    let topics = vec![AlterReplicaLogDirTopic { name: topic.clone(), partitions: vec![turn as i32 % PARTITIONS] }];
    let request = AlterReplicaLogDirsRequest { dirs: vec![AlterReplicaLogDir { path, topics }] };
    let ResponseBody::AlterReplicaLogDirs(response) = client.call(2, RequestBody::AlterReplicaLogDirs(request)) else {
        panic!()
    };
    assert_eq!(response.results[0].partitions[0].error_code, 0);
}

/// How often the server is killed.
fn cycles() -> u32 {
    match std::env::var("VIVARIUM_SOAK") {
        Ok(number) => number.parse().ok().filter(|it| *it > 1).unwrap_or(1000),
        Err(_) => 30,
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut loads: Vec<Load> = Vec::new();
    let (mut restarts, mut records) = (std::time::Duration::ZERO, 0);
    for cycle in 0..=cycles() {
        let began = std::time::Instant::now();
        let process = Process::start(folder.path());
        restarts += began.elapsed();
        let mut client = Client::connect(process.address);
        for load in &loads {
            load.assert_kept(&mut client);
        }
        if cycle == cycles() {
            process.kill();
            break;
        }
        if cycle % GENERATION == 0 {
            records += loads.iter().map(|it| it.acked.len()).sum::<usize>();
            if !loads.is_empty() {
                let topic_names = loads.iter().map(|it| it.topic.clone()).collect();
                let request = DeleteTopicsRequest { topic_names, timeout_ms: 30_000, ..Default::default() };
                client.call(5, RequestBody::DeleteTopics(request));
            }
            let flushed = [("flush.messages", "1")];
            loads = vec![
                Load::new(&mut client, &format!("one-{cycle}"), 1, &[], false),
                Load::new(&mut client, &format!("all-{cycle}"), -1, &[], false),
                Load::new(&mut client, &format!("flushed-{cycle}"), -1, &flushed, false),
                Load::new(&mut client, &format!("once-{cycle}"), -1, &[], true),
            ];
            for load in &loads {
                load.assert_kept(&mut client);
            }
        }
        let (sender, receiver) = channel();
        let topics: Vec<Str> = loads.iter().map(|it| it.topic.clone()).collect();
        let threads: Vec<JoinHandle<Load>> = std::mem::take(&mut loads)
            .into_iter()
            .map(|load| {
                // Whoever came too late would find nobody to speak to.
                let (client, sender) = (Client::connect(process.address), sender.clone());
                std::thread::spawn(move || load.run(client, &sender))
            })
            .collect();
        // A different moment in each cycle.
        for count in 0..60 + 37 * (cycle % 7) {
            receiver.recv().expect("the server takes records");
            if count % 8 == cycle % 8 {
                alter(&mut client, folder.path(), &topics[(count / 8) as usize % topics.len()], cycle + count);
            }
        }
        process.kill();
        loads = threads.into_iter().map(|it| it.join().unwrap()).collect();
    }
    records += loads.iter().map(|it| it.acked.len()).sum::<usize>();
    println!(
        "{} kills, {} ms a start, {records} acknowledged records",
        cycles(),
        restarts.as_millis() / u128::from(cycles() + 1)
    );
}

#[test]
fn what_was_acknowledged_survives_a_stop_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut loads: Vec<Load> = Vec::new();
    for cycle in 0..3 {
        let rig = Rig::at(folder.path());
        let mut client = rig.client();
        if cycle == 0 {
            loads = (0..3).map(|it| Load::new(&mut client, &format!("t{it}"), -1, &[], false)).collect();
        }
        for load in &loads {
            load.assert_kept(&mut client);
        }
        let (sender, receiver) = channel();
        let threads: Vec<JoinHandle<Load>> = std::mem::take(&mut loads)
            .into_iter()
            .map(|load| {
                let (client, sender) = (rig.client(), sender.clone());
                std::thread::spawn(move || load.run(client, &sender))
            })
            .collect();
        for _ in 0..200 {
            receiver.recv().expect("the server takes records");
        }
        rig.stop();
        loads = threads.into_iter().map(|it| it.join().unwrap()).collect();
    }
    let rig = Rig::at(folder.path());
    for load in &loads {
        load.assert_kept(&mut rig.client());
    }
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
