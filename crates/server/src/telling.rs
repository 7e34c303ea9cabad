//! What people read of a failover at the level of info, as in Kafka's logs; the rest is for who looks into the broker.

use node::Event;
use protocol::NodeId;

/// Says it.
pub(crate) fn tell(event: &Event) {
    match words(event) {
        Some(words) => tracing::info!("{words}"),
        None => tracing::debug!(?event),
    }
}

fn words(event: &Event) -> Option<String> {
    let words = match event {
        Event::Controls { epoch } => format!("this node is the active controller, in epoch {epoch}"),
        Event::BrokerFenced { broker, why } => format!("fencing broker {broker}: {why}"),
        Event::Leads { topic, partition, leader_epoch, isr } => {
            format!("leading {topic}-{partition} in epoch {leader_epoch}, in sync: {}", listed(isr))
        }
        Event::Isr { topic, partition, isr } => format!("in sync for {topic}-{partition}: {}", listed(isr)),
        Event::Truncated { topic, partition, offset } => {
            format!("{topic}-{partition} is truncated to offset {offset}: its leader's log parts from it there")
        }
        _ => return None,
    };
    Some(words)
}

fn listed(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use protocol::{LeaderEpoch, Offset};

    use super::*;

    #[test]
    fn a_failover_can_be_read() {
        let isr = vec![NodeId(2), NodeId(3)];
        let (topic, partition) = (protocol::Str::from("t"), 1);
        let told = [
            Event::Controls { epoch: LeaderEpoch(4) },
            Event::BrokerFenced { broker: NodeId(1), why: "its session has timed out".into() },
            Event::Leads { topic: topic.clone(), partition, leader_epoch: LeaderEpoch(5), isr: isr.clone() },
            Event::Isr { topic: topic.clone(), partition, isr },
            Event::Truncated { topic, partition, offset: Offset(7) },
        ];
        assert_eq!(
            told.map(|event| words(&event).unwrap_or_default()),
            [
                "this node is the active controller, in epoch 4",
                "fencing broker 1: its session has timed out",
                "leading t-1 in epoch 5, in sync: 2,3",
                "in sync for t-1: 2,3",
                "t-1 is truncated to offset 7: its leader's log parts from it there",
            ]
        );
        assert_eq!(words(&Event::Stopping), None);
    }
}
