//! Which of many events a person should be told: while time flies there is one sentence for hundreds of them.

use client::{Event as ClientEvent, GroupEvent};
use sim::World;
use sim::check::Told;
use sim::narration::{Heard, Last, node_event_worth};

/// Remembers the event most worth telling; of equals the first.
#[derive(Default)]
pub(crate) struct Teller {
    best: Option<(u8, u64, String)>,
}

impl Teller {
    /// Hears the world's last event.
    pub(crate) fn hear(&mut self, world: &World) {
        let worth = worth(world.last());
        if self.best.as_ref().is_none_or(|it| worth > it.0) {
            self.best = Some((worth, world.events(), world.narrate()));
        }
    }

    /// The event and the sentence, and from now on what comes next.
    pub(crate) fn tell(&mut self) -> Option<(u64, String)> {
        self.best.take().map(|it| (it.1, it.2))
    }
}

/// What changes who has authority or what becomes of a record counts more than what happens all the time.
fn worth(last: &Last) -> u8 {
    let node = last.node_events.iter().map(node_event_worth);
    let client = last.client_events.iter().map(|it| match it {
        ClientEvent::BatchFailed { .. } | ClientEvent::Truncated { .. } => 9,
        ClientEvent::BatchRetried { .. } | ClientEvent::ProducerEpochBumped { .. } => 8,
        ClientEvent::Disconnected { .. } => 7,
        ClientEvent::FetchRefused { .. } => 6,
        ClientEvent::ProducerIdAssigned { .. } | ClientEvent::PositionReset { .. } => 5,
        ClientEvent::BatchAcked { .. } => 4,
        ClientEvent::BatchSent { .. } => 2,
        ClientEvent::Group(it) => match it {
            GroupEvent::Lost { .. } | GroupEvent::CommitFailed { .. } | GroupEvent::Leaves { .. } => 8,
            GroupEvent::Joined { .. } | GroupEvent::Assigned { .. } | GroupEvent::Revoked { .. } => 7,
            GroupEvent::Rejoins { .. } | GroupEvent::Refused { .. } => 6,
            GroupEvent::Coordinator { .. } | GroupEvent::Committed { .. } => 3,
            GroupEvent::Commits { .. } | GroupEvent::Found { .. } => 1,
        },
        ClientEvent::MetadataUpdated { .. } | ClientEvent::Partitioned { .. } => 1,
    });
    let outcome = last.outcomes.iter().map(|it| match it.1 {
        Told::Failed | Told::Unknown => 8,
        Told::Ok | Told::Pending => 3,
    });
    let heard = match last.heard {
        Heard::Disconnected | Heard::Stop => 7,
        Heard::ConnectFailed => 5,
        _ => 0,
    };
    node.chain(client).chain(outcome).chain([heard]).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::narration::Stored;

    #[test]
    fn a_retry_is_told_before_what_happens_all_the_time() {
        let partition = protocol::TopicPartition { topic: "orders".into(), partition: 0 };
        let acked = ClientEvent::BatchAcked { partition: partition.clone(), base_offset: None, records: 1 };
        let retried = ClientEvent::BatchRetried { partition, base_sequence: None, error: None };
        let last = |client_events| Last { client_events, heard: Heard::Stored(Stored::Put), ..Last::default() };
        assert!(worth(&last(vec![retried.clone()])) > worth(&last(vec![acked.clone()])));
        assert_eq!(worth(&last(vec![acked, retried.clone()])), worth(&last(vec![retried])));
        assert_eq!(worth(&last(Vec::new())), 0);
    }
}
