//! Applications that listen: they hear what is revoked, lost and assigned, and the membership waits for them.

use client::wire::{ApiKey, ResponseBody};
use client::{Answer, GroupEvent, MemberState, Operation, Outcome, Rebalance};
use protocol::messages::LeaveGroupResponse;
use protocol::{ErrorCode, TopicPartition};

use crate::members::told_owned;
use crate::stage::{Stage, partition};

const BY_HAND: (&str, &str) = ("enable.auto.commit", "false");

fn partitions(of: &[i32]) -> Vec<TopicPartition> {
    of.iter().map(|it| partition("t", *it)).collect()
}

impl Stage {
    fn listen(&mut self) -> u64 {
        self.start(Operation::Listen)
    }

    /// What a listener was told, if it was.
    fn heard(&self, listen: u64) -> Option<Rebalance> {
        match self.outcome(listen)? {
            Outcome::Ok(Answer::Rebalance(what)) => Some(what.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// A classic member that listens, was assigned these, and is told that its group rebalances.
    fn about_to_rebalance(settings: &[(&str, &str)], assignor: &str, assigned: &[i32]) -> (Stage, u64) {
        let (mut stage, _) = Stage::member(settings);
        let first = stage.listen();
        stage.join(1, assignor, &[]);
        stage.sync(assigned);
        assert_eq!(stage.heard(first), Some(Rebalance::Assigned(partitions(assigned))));
        let listen = stage.listen();
        stage.committed_at(5);
        stage.without_fetches();
        stage.advance(1_000);
        stage.beat(ErrorCode::RebalanceInProgress);
        (stage, listen)
    }
}

#[test]
fn an_eager_member_joins_again_when_the_application_has_committed_what_is_revoked() {
    let (mut stage, listen) = Stage::about_to_rebalance(&[BY_HAND], "range", &[0, 1]);
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[0, 1]))));
    assert_eq!((stage.state(), stage.owned()), (MemberState::Releasing, vec![0, 1]));
    let commit = stage.start(Operation::Commit(None));
    let asked = stage.committed(ErrorCode::None);
    assert_eq!((asked.generation_id_or_member_epoch, &*asked.member_id), (1, "m"));
    assert!(matches!(stage.outcome(commit), Some(Outcome::Ok(_))));
    // Heartbeats go on, nothing else does.
    stage.advance(1_000);
    stage.beat(ErrorCode::RebalanceInProgress);
    assert_eq!((stage.requests.len(), stage.owned()), (0, vec![0, 1]));
    assert!(!stage.said(&GroupEvent::Revoked { partitions: partitions(&[0, 1]) }));
    stage.listen();
    assert!(stage.said(&GroupEvent::Revoked { partitions: partitions(&[0, 1]) }));
    assert_eq!(stage.owned(), [] as [i32; 0]);
    stage.join(2, "range", &[]);
}

#[test]
fn what_is_committed_by_itself_is_committed_before_the_application_is_told() {
    let (mut stage, listen) = Stage::about_to_rebalance(&[], "range", &[0]);
    assert_eq!(stage.heard(listen), None);
    stage.committed(ErrorCode::None);
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[0]))));
}

#[test]
fn a_cooperative_member_has_what_moves_until_the_application_is_done() {
    let settings = [("partition.assignment.strategy", "cooperative-sticky"), BY_HAND];
    let (mut stage, listen) = Stage::about_to_rebalance(&settings, "cooperative-sticky", &[0, 1, 2]);
    stage.join(2, "cooperative-sticky", &[]);
    assert_eq!(stage.heard(listen), None, "nothing is revoked before it is known what moves");
    stage.sync(&[0, 1]);
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[2]))));
    assert_eq!((stage.owned(), stage.state()), (vec![0, 1, 2], MemberState::Syncing));
    assert_eq!(stage.client.view().group.unwrap().releasing, partitions(&[2]));
    let then = stage.listen();
    assert_eq!(stage.heard(then), Some(Rebalance::Assigned(Vec::new())));
    assert_eq!(stage.owned(), [0, 1]);
    stage.requests.retain(|(_, it)| it.body.api_key() == ApiKey::JoinGroup);
    assert!(stage.requests.is_empty(), "it acts on what it was assigned");
    stage.listen();
    stage.take_join();
}

/// Kafka's consumer decides what goes before it calls its listener, whatever that subscribes to.
#[test]
fn what_was_told_to_be_revoked_goes_though_the_application_wants_its_topic_again() {
    let settings = [("partition.assignment.strategy", "cooperative-sticky"), BY_HAND];
    let (mut stage, _) = Stage::member(&settings);
    stage.listen();
    stage.join(1, "cooperative-sticky", &[]);
    stage.sync(&[0, 1]);
    let listen = stage.listen();
    stage.committed_at(0);
    stage.without_fetches();
    stage.start(Operation::Subscribe(vec!["u".into()]));
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[0, 1]))));
    stage.start(Operation::Subscribe(vec!["t".into()]));
    assert_eq!((stage.owned(), stage.state()), (vec![0, 1], MemberState::Releasing));
    let listen = stage.listen();
    assert!(stage.said(&GroupEvent::Revoked { partitions: partitions(&[0, 1]) }));
    assert_eq!(stage.owned(), [] as [i32; 0]);
    stage.join(2, "cooperative-sticky", &[]);
    stage.sync(&[0]);
    assert_eq!(stage.heard(listen), Some(Rebalance::Assigned(partitions(&[0]))));
}

#[test]
fn an_assignment_that_takes_effect_does_so_though_the_application_wants_its_topic_no_more() {
    let settings = [("partition.assignment.strategy", "cooperative-sticky"), BY_HAND];
    let (mut stage, listen) = Stage::about_to_rebalance(&settings, "cooperative-sticky", &[0, 1, 2]);
    stage.join(2, "cooperative-sticky", &[]);
    stage.sync(&[0, 1]);
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[2]))));
    stage.start(Operation::Subscribe(vec!["u".into()]));
    let assigned = stage.listen();
    assert_eq!(stage.heard(assigned), Some(Rebalance::Assigned(Vec::new())));
    assert_eq!(stage.owned(), [0, 1]);
    let revoked = stage.listen();
    assert_eq!(stage.heard(revoked), Some(Rebalance::Revoked(partitions(&[0, 1]))));
    stage.listen();
    assert_eq!(stage.owned(), [] as [i32; 0]);
    stage.take_join();
}

#[test]
fn kip_848_the_coordinator_hears_that_it_is_given_up_when_the_application_is_done() {
    let (mut stage, _) = Stage::member(&[("group.protocol", "consumer"), BY_HAND]);
    let first = stage.listen();
    stage.told(ErrorCode::None, 1, Some(&[0, 1]));
    assert_eq!(stage.heard(first), Some(Rebalance::Assigned(partitions(&[0, 1]))));
    let listen = stage.listen();
    stage.told_after_fetches(1, None);
    stage.committed_at(0);
    stage.without_fetches();
    stage.advance(1_000);
    stage.told(ErrorCode::None, 1, Some(&[0]));
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[1]))));
    assert_eq!((stage.state(), stage.owned()), (MemberState::Releasing, vec![0, 1]));
    stage.without_fetches();
    stage.advance(1_000);
    assert_eq!(told_owned(&stage.told_after_fetches(1, None)), None);
    let then = stage.listen();
    assert_eq!(stage.heard(then), Some(Rebalance::Assigned(Vec::new())));
    assert_eq!(stage.owned(), [0]);
    assert_eq!(told_owned(&stage.told_after_fetches(1, None)), Some(vec![0]));
}

#[test]
fn polls_bring_nothing_while_the_application_acts() {
    let (mut stage, poll) = Stage::member(&[BY_HAND]);
    stage.listen();
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(0);
    let (conn, request, _) = stage.take_fetch();
    stage.serve(conn, &request, crate::stage::batch(0, 0, &["a"]));
    assert_eq!(stage.outcome(poll), None, "it may seek before the first record");
    stage.listen();
    assert!(matches!(stage.outcome(poll), Some(Outcome::Ok(Answer::Records(it))) if it.len() == 1));
}

#[test]
fn an_application_that_is_never_done_is_waited_for_until_its_poll_interval_is_over() {
    let settings = [BY_HAND, ("max.poll.interval.ms", "4000")];
    let (mut stage, listen) = Stage::about_to_rebalance(&settings, "range", &[0]);
    assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[0]))));
    for _ in 0..3 {
        stage.advance(1_000);
        stage.beat(ErrorCode::RebalanceInProgress);
    }
    stage.advance(999);
    assert_eq!(stage.state(), MemberState::Releasing);
    stage.advance(1);
    assert_eq!(stage.state(), MemberState::Leaving);
    let (conn, request) = stage.take(ApiKey::LeaveGroup);
    stage.answer(conn, &request, ResponseBody::LeaveGroup(LeaveGroupResponse::default()));
    // It commits too late, and hears of nothing twice.
    let commit = stage.start(Operation::Commit(None));
    let Some(Outcome::Failed(failure)) = stage.outcome(commit) else { panic!() };
    assert_eq!(failure.code(), Some(ErrorCode::UnknownMemberId));
    let then = stage.listen();
    assert_eq!(stage.heard(then), None);
    assert!(stage.said(&GroupEvent::Lost { partitions: partitions(&[0]) }));
    let (.., asked) = stage.take_join();
    assert_eq!(&*asked.member_id, "");
}

#[test]
fn what_is_lost_is_told_before_it_joins_anew() {
    let (mut stage, _) = Stage::member(&[BY_HAND]);
    stage.listen();
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    let listen = stage.listen();
    stage.committed_at(0);
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::UnknownMemberId);
    assert_eq!(stage.heard(listen), Some(Rebalance::Lost(partitions(&[0]))));
    assert!(stage.requests.is_empty());
    stage.listen();
    stage.take_join();
}

#[test]
fn who_closes_or_unsubscribes_is_told_what_it_gives_up_and_commits_it() {
    for (operation, by) in [
        (Operation::Close { timeout_ms: 30_000 }, "the consumer is being closed"),
        (Operation::Subscribe(Vec::new()), "the consumer unsubscribed from all topics"),
    ] {
        let (mut stage, _) = Stage::member(&[BY_HAND]);
        stage.listen();
        stage.join(1, "range", &[]);
        stage.sync(&[0]);
        let listen = stage.listen();
        stage.committed_at(3);
        stage.without_fetches();
        let ends = stage.start(operation);
        assert_eq!(stage.heard(listen), Some(Rebalance::Revoked(partitions(&[0]))), "{by}");
        assert_eq!((stage.outcome(ends), stage.owned()), (None, vec![0]), "{by}");
        stage.start(Operation::Commit(None));
        assert_eq!(stage.committed(ErrorCode::None).topics[0].partitions[0].committed_offset, 3, "{by}");
        assert!(!stage.said(&GroupEvent::Leaves { why: by }));
        stage.listen();
        assert!(stage.said(&GroupEvent::Leaves { why: by }));
        let (conn, request) = stage.take(ApiKey::LeaveGroup);
        stage.answer(conn, &request, ResponseBody::LeaveGroup(LeaveGroupResponse::default()));
        assert!(matches!(stage.outcome(ends), Some(Outcome::Ok(Answer::Done))), "{by}");
    }
}

#[test]
fn nobody_listens_twice_at_a_time_and_a_closed_client_to_nobody() {
    let (mut stage, _) = Stage::member(&[]);
    let (first, second) = (stage.listen(), stage.listen());
    assert!(matches!(stage.outcome(second), Some(Outcome::Failed(_))));
    stage.start(Operation::Close { timeout_ms: 0 });
    assert!(matches!(stage.outcome(first), Some(Outcome::Failed(_))));
}
