//! Consumer groups as plain data, and during a rebalance who holds back what.

use client::{GroupProtocol, MemberState};
use protocol::TopicPartition;
use sim::World;
use sim::groups as seen;

use crate::look;
use crate::room::seconds;
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
        newcomer_at_us: it.newcomer_at.map_or(0, |it| it.0),
        paused_since_newcomer_us: it.paused_since_newcomer_us,
        stands: stands(it),
        holds: holds(it),
    }
}

fn member(it: &seen::Member) -> Member {
    Member {
        client: it.client.to_string(),
        // Before it first asks to join it is nobody's yet.
        instance: it
            .instance
            .as_ref()
            .filter(|_| !it.power.is_up() || !it.member_id.is_empty())
            .map(|it| it.to_string()),
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
        paused_since_newcomer_us: it.paused_since_newcomer_us,
        freed_by: it.freed_by.as_ref().map(|it| it.to_string()),
    }
}

/// What its protocol has members do when partitions are to move: who stops, until when. Nothing while that is not agreed.
pub(crate) fn rule(group: &Group) -> &'static str {
    match (group.protocol, group.assignor.as_deref()) {
        ("consumer", _) => {
            "No rounds: the coordinator tells each member for itself. What moves is given up when its owner polls and taken when the next one does. All else is read on."
        }
        (_, Some("cooperative-sticky")) => {
            "Two rounds, each until the last member has polled and joined: the first says who gives up what, the second hands that out. All else is read on."
        }
        (_, Some(_)) => {
            "One round, until the last member has polled and joined. Who joins gives up everything first, and reads nothing until all have."
        }
        (_, None) => "",
    }
}

/// "c1, c2 and c3".
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What stands still, and who reads nothing because of it; once all is settled, what stood still since the newcomer came.
fn stands(group: &seen::Group) -> String {
    let all = group.partitions.len();
    let rounds = group.rebalances_since_newcomer;
    let is_classic = group.protocol == GroupProtocol::Classic;
    let reads = |it: &seen::Member| !it.paused && it.owned.len() > it.releasing.len();
    let still = group.partitions.iter().filter(|it| it.paused_since.is_some()).count();
    let is_settled = group.state.as_deref() == Some("Stable") && still == 0;
    if let Some(came) = group.newcomer_at.filter(|_| is_settled) {
        let freed: Vec<_> = group.partitions.iter().filter(|it| it.freed_by.is_some()).collect();
        if freed.is_empty() {
            return "Nothing stood still.".to_owned();
        }
        let moved = freed.iter().filter(|it| it.owners.first() != it.freed_by.as_ref()).count();
        let after = group.shared_at.map_or(0, |it| it.0.saturating_sub(came.0));
        let rounds = match rounds {
            _ if !is_classic => String::new(),
            1 => ", in 1 round".to_owned(),
            _ => format!(", in {rounds} rounds"),
        };
        let (after, freed) = (seconds(after), freed.len());
        return format!(
            "Settled after {after} s{rounds}: {freed} of {all} partitions stood still, {moved} of them moved."
        );
    }
    let round = match group.state.as_deref() {
        Some("PreparingRebalance") if is_classic => format!("Round {}: ", rounds + 1),
        Some("CompletingRebalance") => format!("Round {rounds}: "),
        Some(_) if is_classic => format!("After round {rounds}: "),
        _ => String::new(),
    };
    // Who came last had nothing to stop with.
    let stops = |it: &&seen::Member| it.is_counted && !reads(it) && group.newcomer.as_ref() != Some(&it.client);
    let idle: Vec<&str> = group.members.iter().filter(stops).map(|it| &*it.client).collect();
    let who = match (still, &*idle) {
        (0, _) => return format!("{round}nothing stands still."),
        (_, []) => "no member stops".to_owned(),
        (_, [one]) => format!("{one} reads nothing"),
        _ => format!("{} read nothing", listed(&idle)),
    };
    format!("{round}{still} of {all} partitions stand still; {who}.")
}

/// Who holds back what, in sentences. In the classic protocol all wait for the last one; in KIP-848's each waits for who has
/// what it is to get.
fn holds(group: &seen::Group) -> Vec<String> {
    let mut told = Vec::new();
    match group.state.as_deref() {
        Some("PreparingRebalance") => {
            let (joined, late): (Vec<_>, Vec<_>) =
                group.members.iter().filter(|it| it.is_counted).partition(|it| it.state == MemberState::Joining);
            let joined: Vec<&str> = joined.iter().map(|it| &*it.client).collect();
            let waits = match &*joined {
                [] => "The group waits".to_owned(),
                [one] => format!("{one} waits"),
                _ => format!("{} wait", listed(&joined)),
            };
            let why = |it: &seen::Member| match it.state {
                _ if !it.power.is_up() => "does not run, until its session is over",
                _ if it.paused => "is frozen, until its session is over",
                MemberState::Releasing => "commits and gives up what it has first",
                _ => "joins when it polls next",
            };
            let mut reasons: Vec<&str> = Vec::new();
            for it in &late {
                if !reasons.contains(&why(it)) {
                    reasons.push(why(it));
                }
            }
            for reason in reasons {
                let late: Vec<&str> = late.iter().filter(|it| why(it) == reason).map(|it| &*it.client).collect();
                let each = if late.len() > 1 { "each" } else { "it" };
                told.push(format!("{waits} for {}: {each} {reason}.", listed(&late)));
            }
        }
        Some("CompletingRebalance") => {
            let leader = group.members.iter().find(|it| it.is_leader).map_or("the leader", |it| &*it.client);
            told.push(format!("{leader} shares the partitions out; until it has, the rebalance waits."));
        }
        _ => {}
    }
    for waits in &group.members {
        let named = |held: Vec<&TopicPartition>| held.iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", ");
        for holder in group.members.iter().filter(|it| it.client != waits.client) {
            let held: Vec<_> = waits.awaiting.iter().filter(|it| holder.owned.contains(it)).collect();
            if !held.is_empty() {
                told.push(format!("{} waits for {} to give up {}.", waits.client, holder.client, named(held)));
            }
        }
        let is_free = |it: &&TopicPartition| !group.members.iter().any(|other| other.owned.contains(it));
        let free: Vec<_> = waits.awaiting.iter().filter(is_free).collect();
        if !free.is_empty() {
            told.push(format!("{} takes {} when it polls next.", waits.client, named(free)));
        }
    }
    told
}
