//! What `cargo xtask bench groups` asks of a group coordinator where a client for each group would cost more than the coordinator:
//! ours and Apache Kafka alike, by Kafka's own protocol.
//!
//!     group_load commits ADDRESS TOPIC PID CONNECTIONS SECONDS
//!     group_load assignment ADDRESS TOPICS PID MEMBERS ROUNDS
//!     group_load idle ADDRESS TOPIC GROUPS
//!     group_load failover ADDRESS,… TOPIC GROUPS ID=PID,… KILL|TERM
//!
//! Prints its figures as words of the form name=value.

mod commits;
mod failover;
mod members;
mod wire;

use std::io;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["commits", address, topic, pid, connections, seconds] => {
            commits::run(address, topic, pid, number(connections)?, number(seconds)?)
        }
        ["assignment", address, topics, pid, members, rounds] => {
            members::assignment(address, topics, pid, number(members)?, number(rounds)?)
        }
        ["idle", address, topic, groups] => members::idle(address, topic, number(groups)?),
        ["failover", addresses, topic, groups, pids, signal] => {
            failover::run(addresses, topic, number(groups)?, pids, signal)
        }
        _ => Err(io::Error::other("commits, assignment, idle or failover, with what each of them needs")),
    }
}

fn number(word: &str) -> io::Result<usize> {
    word.parse().map_err(|_| io::Error::other(format!("{word} is no number")))
}
