//! How long the groups of a coordinator can't commit when it dies or stops: every group is asked for, not a sample.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use protocol::ErrorCode;

use crate::wire::Connection;

/// Between two questions to the same broker.
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(addresses: &str, topic: &str, groups: usize, pids: &str, signal: &str) -> io::Result<()> {
    let addresses: Vec<&str> = addresses.split(',').collect();
    let groups: Vec<String> = (0..groups).map(|it| format!("group-{it:04}")).collect();
    let mut clients = Clients::new(addresses[0], topic);
    clients.commit_all(groups.clone())?;
    let mut led: BTreeMap<(i32, String), Vec<String>> = BTreeMap::new();
    for (group, found) in groups.iter().zip(clients.coordinators(&groups)?) {
        let found = found.ok_or_else(|| io::Error::other(format!("nobody coordinates {group}")))?;
        led.entry(found).or_default().push(group.clone());
    }
    let most = led.into_iter().max_by_key(|it| it.1.len());
    let ((victim, address), waiting) = most.ok_or_else(|| io::Error::other("there are no groups"))?;
    let pid = pids.split(',').find_map(|it| it.strip_prefix(&format!("{victim}=")));
    let pid = pid.ok_or_else(|| io::Error::other(format!("no process is named for {victim}")))?;
    let survivor = addresses.iter().find(|it| **it != address);
    clients.asked = (*survivor.ok_or_else(|| io::Error::other("nobody survives"))?).to_owned();
    clients.gone = Some(address);
    // The question that is timed finds a connection.
    clients.coordinators(&groups)?;
    let count = waiting.len();
    let begun = Instant::now();
    if !Command::new("kill").args([&format!("-{signal}"), pid]).status()?.success() {
        return Err(io::Error::other(format!("{victim} can't be sent a signal")));
    }
    let first = clients.commit_all(waiting)?;
    let (first, all) = ((first - begun).as_millis(), begun.elapsed().as_millis());
    println!("victim={victim} groups={count} first_ms={first} all_ms={all}");
    Ok(())
}

/// The consumers of all groups, over one connection a broker.
struct Clients {
    /// The broker that says who coordinates.
    asked: String,
    topic: String,
    /// The broker that is dead, whatever the others say.
    gone: Option<String>,
    open: BTreeMap<String, Connection>,
    /// How often a commit met each error.
    errors: BTreeMap<&'static str, u32>,
}

impl Clients {
    fn new(asked: &str, topic: &str) -> Clients {
        let (asked, topic) = (asked.to_owned(), topic.to_owned());
        Clients { asked, topic, gone: None, open: BTreeMap::new(), errors: BTreeMap::new() }
    }

    fn connection(&mut self, address: &str) -> io::Result<&mut Connection> {
        match self.open.entry(address.to_owned()) {
            Entry::Occupied(it) => Ok(it.into_mut()),
            Entry::Vacant(it) => Ok(it.insert(Connection::open(address)?)),
        }
    }

    fn coordinators(&mut self, groups: &[String]) -> io::Result<Vec<Option<(i32, String)>>> {
        let asked = self.asked.clone();
        self.connection(&asked)?.coordinators(groups)
    }

    /// Every group commits, again and again until it could; when the first of them could.
    fn commit_all(&mut self, mut waiting: Vec<String>) -> io::Result<Instant> {
        let (begun, mut first) = (Instant::now(), None);
        while !waiting.is_empty() {
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} groups can't commit: {:?}", waiting.len(), self.errors)));
            }
            waiting = self.commit_each(waiting, &mut first)?;
            if !waiting.is_empty() {
                thread::sleep(PAUSE);
            }
        }
        Ok(first.unwrap_or(begun))
    }

    /// Every group tries once; those that could not.
    fn commit_each(&mut self, waiting: Vec<String>, first: &mut Option<Instant>) -> io::Result<Vec<String>> {
        let found = self.coordinators(&waiting)?;
        let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut still = Vec::new();
        for (group, found) in waiting.into_iter().zip(found) {
            match found {
                Some((_, address)) if self.gone.as_ref() != Some(&address) => {
                    sent.entry(address).or_default().push(group);
                }
                _ => still.push(group),
            }
        }
        let topic = self.topic.clone();
        for (address, groups) in &sent {
            let connection = self.connection(address)?;
            for group in groups {
                connection.add_commit(group, ("", -1), &topic, 1)?;
            }
            connection.flush()?;
        }
        for (address, groups) in sent {
            for group in groups {
                match self.connection(&address)?.committed()? {
                    ErrorCode::None => {
                        first.get_or_insert_with(Instant::now);
                    }
                    other => {
                        *self.errors.entry(other.name()).or_default() += 1;
                        still.push(group);
                    }
                }
            }
        }
        Ok(still)
    }
}
