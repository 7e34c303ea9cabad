//! How many commits a coordinator takes in a second, from consumers that each wait for a few at a time.
//!
//! One thread plays them all and sends together what it can: it has the same processors as the broker, and what it costs is none of
//! the broker's speed.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use protocol::{ErrorCode, Request};

use crate::members::processor_time;
use crate::wire::{Connection, commit_request, set_offset};

/// As many as librdkafka and Java's consumer have on their way at most.
const IN_FLIGHT: usize = 5;
/// Longer than a coordinator waits for its replicas.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(address: &str, topic: &str, pid: &str, connections: usize, seconds: usize) -> io::Result<()> {
    let run_for = Duration::from_secs(seconds as u64);
    let mut poll = Poll::new()?;
    let mut consumers = Vec::with_capacity(connections);
    for index in 0..connections {
        let consumer = Consumer::open(address, topic, format!("commits-{index}"))?;
        let socket = consumer.connection.socket()?;
        poll.registry().register(&mut SourceFd(&socket), Token(index), Interest::READABLE)?;
        consumers.push(consumer);
    }
    let (servers, own, begun) = (processor_time(pid)?, processor_time("self")?, Instant::now());
    for consumer in &mut consumers {
        consumer.commit()?;
    }
    let (mut events, mut acked) = (Events::with_capacity(connections), 0_u64);
    while consumers.iter().any(|it| it.connection.outstanding() > 0) {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(io::Error::other("the coordinator does not answer"));
        }
        let is_over = begun.elapsed() >= run_for;
        for event in &events {
            let consumer = &mut consumers[event.token().0];
            acked += consumer.take_answers()?;
            if !is_over {
                consumer.commit()?;
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let (servers, own) = (processor_time(pid)? - servers, processor_time("self")? - own);
    let each = |processor_ms: f64| processor_ms * 1e3 / acked as f64;
    println!("commits_per_second={:.0} server_us={:.2} client_us={:.2}", acked as f64 / took, each(servers), each(own));
    Ok(())
}

/// A consumer that commits and does nothing else.
struct Consumer {
    group: String,
    connection: Connection,
    /// What is sent again and again, with another offset.
    request: Request,
    offset: i64,
}

impl Consumer {
    fn open(address: &str, topic: &str, group: String) -> io::Result<Consumer> {
        let mut connection = Connection::open(address)?;
        wait_for_coordinator(&mut connection, topic, &group)?;
        let request = commit_request(&group, ("", -1), topic, 0);
        Ok(Consumer { group, connection, request, offset: 0 })
    }

    /// Sends as many commits as may be on their way.
    fn commit(&mut self) -> io::Result<()> {
        while self.connection.outstanding() < IN_FLIGHT {
            self.offset += 1;
            set_offset(&mut self.request, self.offset);
            self.connection.add_request(&mut self.request)?;
        }
        self.connection.flush()
    }

    /// Takes all answers that are there; how many commits they are to.
    fn take_answers(&mut self) -> io::Result<u64> {
        self.connection.fill_now()?;
        let mut count = 0;
        while let Some(answer) = self.connection.arrived()? {
            match crate::wire::commit_error(&answer)? {
                ErrorCode::None => count += 1,
                other => return Err(io::Error::other(format!("{}: {other:?}", self.group))),
            }
        }
        Ok(count)
    }
}

/// The offsets topic is made with the first question for it.
pub(crate) fn wait_for_coordinator(connection: &mut Connection, topic: &str, group: &str) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        connection.coordinators(&[group.to_owned()])?;
        connection.add_commit(group, ("", -1), topic, 0)?;
        match connection.committed()? {
            ErrorCode::None => return Ok(()),
            other if Instant::now() > deadline => {
                return Err(io::Error::other(format!("{group} can't commit: {other:?}")));
            }
            _ => thread::sleep(Duration::from_millis(10)),
        }
    }
}
