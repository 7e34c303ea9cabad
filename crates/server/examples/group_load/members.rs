//! Groups of the consumer protocol (KIP-848) whose members are only heartbeats.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use protocol::messages::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::messages::consumer_group_heartbeat_response::Assignment;
use protocol::{ErrorCode, RequestBody, ResponseBody, Str, Uuid};

use crate::commits::wait_for_coordinator;
use crate::wire::Connection;

const HEARTBEAT: i16 = 1;
/// How many heartbeats leave together.
const TOGETHER: usize = 50;
/// A group gets a new assignment once in this time at most (`group.consumer.assignment.interval.ms`), and a little more.
const INTERVAL: Duration = Duration::from_millis(1_200);

/// A member, as it knows itself.
struct Member {
    id: String,
    epoch: i32,
    owned: BTreeMap<Uuid, Vec<i32>>,
    /// It says what it owns with its next heartbeat.
    has_news: bool,
}

impl Member {
    fn new(id: String) -> Member {
        Member { id, epoch: 0, owned: BTreeMap::new(), has_news: true }
    }

    fn count(&self) -> usize {
        self.owned.values().map(Vec::len).sum()
    }

    fn beat(&mut self, connection: &mut Connection, group: &str, topics: &[String]) -> io::Result<()> {
        let is_new = self.epoch == 0;
        let owned =
            self.owned.iter().map(|(id, partitions)| TopicPartitions { topic_id: *id, partitions: partitions.clone() });
        let request = ConsumerGroupHeartbeatRequest {
            group_id: group.into(),
            member_id: self.id.as_str().into(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if is_new { 300_000 } else { -1 },
            subscribed_topic_names: is_new.then(|| topics.iter().map(|it| Str::from(it.as_str())).collect()),
            topic_partitions: self.has_news.then(|| owned.collect()),
            ..Default::default()
        };
        self.has_news = false;
        connection.add(HEARTBEAT, RequestBody::ConsumerGroupHeartbeat(request))
    }

    /// Takes the answer in; true if it changes what the member has.
    fn beaten(&mut self, connection: &mut Connection) -> io::Result<bool> {
        let ResponseBody::ConsumerGroupHeartbeat(it) = connection.receive()? else {
            return Err(io::Error::other("the answer is not to a heartbeat"));
        };
        if it.error_code != 0 {
            let error = ErrorCode::from_code(it.error_code);
            return Err(io::Error::other(format!("{}: {error:?} {:?}", self.id, it.error_message)));
        }
        self.epoch = it.member_epoch;
        let Some(Assignment { topic_partitions }) = it.assignment else { return Ok(false) };
        self.owned = topic_partitions.into_iter().map(|it| (it.topic_id, it.partitions)).collect();
        self.has_news = true;
        Ok(true)
    }
}

/// A group, all of whose members beat over one connection.
struct Group {
    connection: Connection,
    name: String,
    topics: Vec<String>,
    partitions: usize,
    members: Vec<Member>,
}

impl Group {
    /// Every member beats once; true if nothing changes any more.
    fn round(&mut self) -> io::Result<bool> {
        let mut is_settled = true;
        for members in self.members.chunks_mut(TOGETHER) {
            for member in members.iter_mut() {
                member.beat(&mut self.connection, &self.name, &self.topics)?;
            }
            for member in members {
                let before = member.epoch;
                is_settled &= !member.beaten(&mut self.connection)? && member.epoch == before;
            }
        }
        let fair = self.partitions / self.members.len().max(1);
        let epoch = self.members.first().map(|it| it.epoch);
        is_settled &= self.members.iter().all(|it| it.count() >= fair && Some(it.epoch) == epoch);
        Ok(is_settled && self.members.iter().map(Member::count).sum::<usize>() == self.partitions)
    }

    fn settle(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.round()? {
            if Instant::now() > deadline {
                return Err(io::Error::other("the group does not settle"));
            }
        }
        Ok(())
    }

    /// One more member; all of the broker's processor time and the time until it is answered, in ms.
    fn join(&mut self, number: usize, pid: &str) -> io::Result<(f64, f64)> {
        let mut member = Member::new(format!("member-{number:05}"));
        thread::sleep(INTERVAL);
        let (before, begun) = (processor_time(pid)?, Instant::now());
        member.beat(&mut self.connection, &self.name, &self.topics)?;
        member.beaten(&mut self.connection)?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        self.members.push(member);
        // Some of it may be done behind the answer.
        thread::sleep(Duration::from_millis(50));
        Ok((processor_time(pid)? - before, took))
    }

    /// The newest member goes.
    fn leave(&mut self) -> io::Result<()> {
        if let Some(mut member) = self.members.pop() {
            member.epoch = -1;
            member.beat(&mut self.connection, &self.name, &self.topics)?;
            member.beaten(&mut self.connection)?;
        }
        Ok(())
    }
}

/// What it costs to divide the partitions anew when one more member joins many.
pub(crate) fn assignment(address: &str, topics: &str, pid: &str, members: usize, rounds: usize) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    let topics: Vec<String> = topics.split(',').map(str::to_owned).collect();
    let mut partitions = 0;
    for topic in &topics {
        partitions += connection.topic(topic)?.1;
    }
    let name = "assignment".to_owned();
    wait_for_coordinator(&mut connection, &topics[0], "assignment-ready")?;
    let joined = (0..members).map(|it| Member::new(format!("member-{it:05}"))).collect();
    let mut group = Group { connection, name, topics, partitions, members: joined };
    let begun = Instant::now();
    group.settle()?;
    let settled = begun.elapsed().as_secs_f64();
    let (mut processor, mut answered) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (used, took) = group.join(members + round, pid)?;
        processor.push(used);
        answered.push(took);
        group.settle()?;
        group.leave()?;
        thread::sleep(INTERVAL);
        group.settle()?;
    }
    println!(
        "partitions={partitions} settled_s={settled:.2} processor_ms={:.2} answered_ms={:.2}",
        median(processor),
        median(answered)
    );
    Ok(())
}

/// Milliseconds on a processor of all threads so far, as the scheduler counts them.
pub(crate) fn processor_time(pid: &str) -> io::Result<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(nanoseconds as f64 / 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Groups with a member and a committed offset each; says that they are there, and ends with its stdin.
pub(crate) fn idle(address: &str, topic: &str, groups: usize) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    wait_for_coordinator(&mut connection, topic, "idle-ready")?;
    let topics = [topic.to_owned()];
    let mut members: Vec<(String, Member)> =
        (0..groups).map(|it| (format!("idle-{it:05}"), Member::new(format!("member-{it:05}")))).collect();
    for some in members.chunks_mut(TOGETHER) {
        for (group, member) in some.iter_mut() {
            member.beat(&mut connection, group, &topics)?;
        }
        for (_, member) in some.iter_mut() {
            member.beaten(&mut connection)?;
        }
        for (group, member) in some.iter() {
            connection.add_commit(group, (&member.id, member.epoch), topic, 1)?;
        }
        for (group, _) in some.iter() {
            match connection.committed()? {
                ErrorCode::None => {}
                other => return Err(io::Error::other(format!("{group}: {other:?}"))),
            }
        }
    }
    println!("groups={groups}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
