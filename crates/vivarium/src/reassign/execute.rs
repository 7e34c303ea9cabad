//! `--execute` and `--cancel`: a reassignment begins, with its throttles, or ends where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use client::tools::exception::exception;
use protocol::{Str, TopicPartition};

use super::cluster::{Cluster, Setting};
use super::plan::{self, Plan, Replica, joined};
use super::throttle::Moves;
use super::{
    FOLLOWER_RATE, FOLLOWER_REPLICAS, LEADER_RATE, LEADER_REPLICAS, LOG_DIRS_RATE, ReassignArguments, Wrong,
    clear_throttles, say, write,
};

const EXISTING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to override \
    this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to \
    change the throttle by resubmitting the current reassignment.";
const VERIFY: &str = "Warning: You must run --verify periodically, until the reassignment completes, to ensure the \
    throttle is removed.";
/// How long the tool waits for the log directory of a replica that is not there yet, if nothing else is set.
const TIMEOUT_MS: i64 = 10_000;
const ASK_AGAIN: Duration = Duration::from_millis(100);

pub(super) fn execute(cluster: &Cluster, plan: &Plan, arguments: &ReassignArguments) -> Result<(), Wrong> {
    let proposed = plan.to_execute()?;
    let ongoing = cluster.ongoing(None)?;
    if !arguments.additional && !ongoing.is_empty() {
        return Err(Wrong::Terse(EXISTING.to_owned()));
    }
    let live = cluster.node_ids()?;
    if let Some(unknown) = proposed.values().flatten().find(|broker| !live.contains(broker)) {
        return Err(Wrong::Other(format!("Unknown broker id {unknown}")));
    }
    let mut current = cluster.assignment(&proposed.keys().map(|it| it.topic.clone()).collect())?;
    current.retain(|partition, _| proposed.contains_key(partition));
    let missing: Vec<&TopicPartition> = proposed.keys().filter(|it| !current.contains_key(it)).collect();
    if !missing.is_empty() {
        let what = format!("Unable to find partition: {}", joined(&missing, ", "));
        return Err(Wrong::Other(exception("UnknownTopicOrPartitionException", &what)));
    }
    // Told before anything is done: it is the way back.
    say(&format!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        plan::json(&current, &cluster.directories(&current)?)
    ))?;
    let rate = |rate: Option<i64>| rate.filter(|it| *it >= 0);
    let (between_brokers, between_dirs) = (rate(arguments.throttle), rate(arguments.replica_alter_log_dirs_throttle));
    if between_brokers.or(between_dirs).is_some() {
        say(VERIFY)?;
    }
    if let Some(rate) = between_brokers {
        throttle(cluster, &Moves::new(&ongoing, &proposed, &current), rate)?;
    }
    if let Some(rate) = between_dirs {
        let brokers = plan.directories.keys().map(|replica| replica.broker).collect();
        cluster.configure_brokers(&brokers, &[(LOG_DIRS_RATE, Some(rate.to_string()))])?;
        say(&format!("The replica-alter-dir throttle limit was set to {rate} B/s"))?;
    }
    let partitions: Vec<&TopicPartition> = proposed.keys().collect();
    let asked = proposed.iter().map(|(partition, replicas)| (partition.clone(), Some(replicas.clone()))).collect();
    let refused = cluster.alter(&asked, !arguments.disallow_replication_factor_change)?;
    if !refused.is_empty() {
        return Err(Wrong::Terse(format!("Error reassigning partition(s):\n{}", told(&refused))));
    }
    let s = plural(partitions.len());
    say(&format!("Successfully started partition reassignment{s} for {}", joined(&partitions, ",")))?;
    if plan.directories.is_empty() { Ok(()) } else { move_logs(cluster, plan.directories.clone(), arguments) }
}

pub(super) fn cancel(cluster: &Cluster, plan: &Plan, arguments: &ReassignArguments) -> Result<(), Wrong> {
    let targets = plan.assignment();
    let mut ongoing = cluster.ongoing(Some(&targets))?;
    ongoing.retain(|_, it| !it.adding.is_empty() || !it.removing.is_empty());
    if ongoing.is_empty() {
        say("None of the specified partition reassignments are active.")?;
    } else {
        let refused = cluster.alter(&ongoing.keys().map(|partition| (partition.clone(), None)).collect(), true)?;
        if !refused.is_empty() {
            let s = plural(refused.len());
            let what = format!("Error cancelling partition reassignment{s} for:\n{}", told(&refused));
            return Err(Wrong::Terse(what));
        }
        let partitions: Vec<&TopicPartition> = ongoing.keys().collect();
        let s = plural(partitions.len());
        say(&format!("Successfully cancelled partition reassignment{s} for: {}", joined(&partitions, ",")))?;
    }
    let found = cluster.log_dirs(&plan.directories.keys().cloned().collect::<BTreeSet<_>>())?;
    let back: BTreeMap<Replica, Str> =
        found.into_iter().filter_map(|(replica, it)| it.future.and(it.current).map(|dir| (replica, dir))).collect();
    if back.is_empty() {
        // Kafka's tool does not end this line.
        write("None of the specified partition moves are active.")?;
    } else {
        move_logs(cluster, back, arguments)?;
    }
    if arguments.preserve_throttles { Ok(()) } else { clear_throttles(cluster, &targets) }
}

/// Throttles what moves on the topics that move, and the rate of the brokers between which it does.
fn throttle(cluster: &Cluster, moves: &Moves, rate: i64) -> Result<(), Wrong> {
    let topic = |(name, (leaders, followers)): (Str, (String, String))| -> (Str, Vec<Setting>) {
        (name, vec![(LEADER_REPLICAS, Some(leaders)), (FOLLOWER_REPLICAS, Some(followers))])
    };
    cluster.configure_topics(moves.throttled_replicas().into_iter().map(topic).collect())?;
    let rates = [LEADER_RATE, FOLLOWER_RATE].map(|key| (key, Some(rate.to_string())));
    cluster.configure_brokers(&moves.brokers(), &rates)?;
    say(&format!("The inter-broker throttle limit was set to {rate} B/s"))
}

/// Has replicas move to directories, asking again for those that are not on their broker yet.
fn move_logs(cluster: &Cluster, mut left: BTreeMap<Replica, Str>, arguments: &ReassignArguments) -> Result<(), Wrong> {
    let patience = Duration::from_millis(arguments.timeout.unwrap_or(TIMEOUT_MS).max(0).unsigned_abs());
    let started = Instant::now();
    loop {
        for replica in cluster.move_logs(&left)? {
            let Some(dir) = left.remove(&replica) else { continue };
            let (partition, broker) = (&replica.partition, replica.broker);
            say(&format!(
                "Successfully started moving log directory to {dir} for replica {partition} with broker {broker} "
            ))?;
        }
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() >= patience {
            let replicas: Vec<&Replica> = left.keys().collect();
            let (s, names) = (plural(replicas.len()), joined(&replicas, ","));
            let what = format!("Timed out before log directory move{s} could be started for: {names}");
            return Err(Wrong::Terse(what));
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

fn told(refused: &BTreeMap<TopicPartition, String>) -> String {
    refused.iter().map(|(partition, why)| format!("{partition}: {why}")).collect::<Vec<_>>().join("\n")
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
