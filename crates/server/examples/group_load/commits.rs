//! How many commits a coordinator takes in a second, from consumers that each wait for a few at a time.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use protocol::ErrorCode;

use crate::wire::Connection;

/// As many as librdkafka and Java's consumer have on their way at most.
const IN_FLIGHT: usize = 5;

pub(crate) fn run(address: &str, topic: &str, connections: usize, seconds: usize) -> io::Result<()> {
    let run_for = Duration::from_secs(seconds as u64);
    let consumers: Vec<_> = (0..connections)
        .map(|index| {
            let (address, topic) = (address.to_owned(), topic.to_owned());
            thread::spawn(move || commit(&address, &topic, &format!("commits-{index}"), run_for))
        })
        .collect();
    let mut rate = 0.0;
    for consumer in consumers {
        rate += consumer.join().map_err(|_| io::Error::other("a consumer panicked"))??;
    }
    println!("commits_per_second={rate:.0}");
    Ok(())
}

/// Commits of one group, one after the other; how many a second.
fn commit(address: &str, topic: &str, group: &str, run_for: Duration) -> io::Result<f64> {
    let mut connection = Connection::open(address)?;
    wait_for_coordinator(&mut connection, topic, group)?;
    let (begun, mut sent, mut acked) = (Instant::now(), 0_i64, 0_u64);
    loop {
        let took = begun.elapsed();
        if took < run_for {
            while connection.outstanding() < IN_FLIGHT {
                connection.add_commit(group, ("", -1), topic, sent)?;
                sent += 1;
            }
        } else if connection.outstanding() == 0 {
            return Ok(acked as f64 / took.as_secs_f64());
        }
        match connection.committed()? {
            ErrorCode::None => acked += 1,
            other => return Err(io::Error::other(format!("{group}: {other:?}"))),
        }
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
