//! Consumer groups as plain data, and during a rebalance who holds back what.

use client::{GroupProtocol, MemberState};
use protocol::TopicPartition;
use sim::World;
use sim::groups as seen;

use crate::look;
use crate::view::{Group, Member, Share};

/// Every group that a consumer names.
pub(crate) fn groups(world: &World) -> Vec<Group> {
    world.groups().iter().map(group).collect()
}

fn group(it: &seen::Group) -> Group {
    Group {
        name: it.id.to_string(),
        protocol: match it.protocol {
            GroupProtocol::Classic => "classic",
            GroupProtocol::Consumer => "consumer",
        },
        assignor: it.assignor.as_ref().map(|it| it.to_string()),
        state: it.state.as_ref().map(|it| it.to_string()),
        epoch: it.epoch,
        coordinator: it.coordinator.as_ref().map(|it| it.to_string()),
        members: it.members.iter().map(member).collect(),
        shares: it.partitions.iter().map(|partition| share(it, partition)).collect(),
        paused_us: it.paused_us,
        newcomer: it.newcomer.as_ref().map(|it| it.to_string()),
        paused_since_newcomer_us: it.paused_since_newcomer_us,
        holds: holds(it),
    }
}

fn member(it: &seen::Member) -> Member {
    Member {
        client: it.client.to_string(),
        instance: it.instance.as_ref().map(|it| it.to_string()),
        epoch: Some(it.epoch).filter(|it| *it >= 0),
        // It was told of a rebalance, and asks for a share when it polls next.
        state: match it.state {
            MemberState::Outside if it.is_counted => "has to join again".to_owned(),
            _ => it.state.word().to_owned(),
        },
        is_leader: it.is_leader,
        is_counted: it.is_counted,
        process: look::state(it.power, it.paused, true),
        poll_until_us: it.poll_until.map(|it| it.0),
        slow_us: it.slow_us,
    }
}

fn share(group: &seen::Group, it: &seen::Partition) -> Share {
    let has = |of: fn(&seen::Member) -> &Vec<TopicPartition>| {
        let found = group.members.iter().find(|member| of(member).contains(&it.partition));
        found.map(|it| it.client.to_string())
    };
    let has_failed =
        |client: &str| group.members.iter().any(|it| *it.client == *client && it.state == MemberState::Failed);
    Share {
        partition: it.partition.to_string(),
        // Who was refused for good reads no more, though it has heard of nothing else.
        owners: it.owners.iter().filter(|it| !has_failed(it)).map(|it| it.to_string()).collect(),
        released_by: has(|it| &it.releasing),
        awaited_by: has(|it| &it.awaiting),
        committed: it.committed.map(|it| it.0),
        position: it.position.map(|it| it.0),
        end: it.high_watermark.0,
        paused_since_us: it.paused_since.map(|it| it.0),
        paused_us: it.paused_us,
    }
}

/// Who holds back what, in sentences. In the classic protocol all wait for the last one; in KIP-848's each waits for who has
/// what it is to get.
fn holds(group: &seen::Group) -> Vec<String> {
    let mut told = Vec::new();
    match group.state.as_deref() {
        Some("PreparingRebalance") => {
            let late = |it: &&seen::Member| it.is_counted && it.state != MemberState::Joining;
            told.extend(group.members.iter().filter(late).map(|it| {
                let why = if !it.power.is_up() {
                    "does not run; until its session is over the rebalance waits"
                } else if it.paused {
                    "is frozen; until its session is over the rebalance waits"
                } else {
                    match it.state {
                        MemberState::Releasing => "commits and gives up what it has first; the rebalance waits",
                        _ => "has not joined again: it does so when it polls next; the rebalance waits",
                    }
                };
                format!("{} {why}.", it.client)
            }));
        }
        Some("CompletingRebalance") => {
            let leader = group.members.iter().find(|it| it.is_leader).map_or("the leader", |it| &*it.client);
            told.push(format!("{leader} shares the partitions out; until it has, the rebalance waits."));
        }
        _ => {}
    }
    for waits in &group.members {
        for holder in group.members.iter().filter(|it| it.client != waits.client) {
            let held: Vec<String> =
                waits.awaiting.iter().filter(|it| holder.owned.contains(it)).map(|it| it.to_string()).collect();
            if !held.is_empty() {
                told.push(format!("{} waits for {} to give up {}.", waits.client, holder.client, held.join(", ")));
            }
        }
    }
    told
}
