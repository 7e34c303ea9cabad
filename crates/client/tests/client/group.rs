//! Members of groups against scripted coordinators.

use client::wire::{ApiKey, Request, ResponseBody};
use client::{Answer, ConnId, GroupEvent, Input, MemberState, Operation, Outcome, Position};
use protocol::message::decode_versioned;
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::messages::{
    ConsumerGroupHeartbeatResponse, ConsumerProtocolSubscription, HeartbeatResponse, JoinGroupResponse,
    LeaveGroupResponse,
};
use protocol::{ErrorCode, Offset};

use crate::members::{assigned, told_owned};
use crate::stage::{Stage, partition};

#[test]
fn a_member_joins_in_two_steps_and_reads_where_its_group_is() {
    let (mut stage, _) = Stage::member(&[]);
    let asked = stage.join(1, "range", &[]);
    assert_eq!((asked.session_timeout_ms, asked.rebalance_timeout_ms), (6_000, 300_000));
    assert_eq!(asked.protocols.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["range", "cooperative-sticky"]);
    assert_eq!(stage.sync(&[0, 2]).assignments, []);
    assert_eq!(stage.state(), MemberState::Member);
    assert_eq!(stage.committed_at(7), [0, 2]);
    let view = stage.client.view();
    assert_eq!(view.consumer.iter().map(|it| it.position).collect::<Vec<_>>(), [Some(Offset(7)); 2]);
    let group = view.group.unwrap();
    assert_eq!((group.epoch, &*group.member_id, group.is_leader), (1, "m", false));
}

#[test]
fn the_leader_shares_out_once_it_knows_the_topics() {
    let (mut stage, _) = Stage::member(&[]);
    stage.join(3, "range", &["n"]);
    let shares = stage.sync(&[0, 1]).assignments;
    let told: Vec<(&str, Vec<i32>)> = shares.iter().map(|it| (&*it.member_id, assigned(&it.assignment))).collect();
    assert_eq!(told, [("m", vec![0, 1]), ("n", vec![2, 3])]);
}

#[test]
fn the_leader_shares_out_anew_once_a_topic_is_there_that_was_not() {
    let settings = [("group.id", "g"), ("session.timeout.ms", "6000"), ("enable.auto.commit", "false")];
    let mut stage = Stage::new(&settings).topic("t", &[1]);
    stage.start(Operation::Subscribe(vec!["t".into(), "later".into()]));
    stage.poll(60_000);
    stage.join(1, "range", &["n"]);
    assert_eq!(assigned(&stage.sync(&[]).assignments[0].assignment), [0]);
    stage.advance(1_000);
    assert_eq!(stage.state(), MemberState::Member);
    stage = stage.topic("later", &[1, 1]);
    stage.advance(1_500);
    assert!(stage.said(&GroupEvent::Rejoins { why: "topics of the group have changed" }));
    stage.join(2, "range", &["n"]);
    let mut told = assigned(&stage.sync(&[]).assignments[0].assignment);
    told.sort_unstable();
    assert_eq!(told, [0, 0, 1], "two of the new topic, one of the old");
}

#[test]
fn a_leader_that_comes_back_shares_nothing_out_and_watches_the_topics() {
    let settings = [("group.instance.id", "i1"), ("enable.auto.commit", "false"), ("metadata.max.age.ms", "2000")];
    let (mut stage, _) = Stage::member(&settings);
    let (conn, request, asked) = stage.take_join();
    let own = asked.protocols[0].metadata.clone();
    let member = JoinGroupResponseMember { member_id: "m".into(), metadata: own, ..Default::default() };
    let body = JoinGroupResponse {
        generation_id: 4,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        leader: "m".into(),
        skip_assignment: true,
        member_id: "m".into(),
        members: vec![member],
        ..Default::default()
    };
    stage.answer(conn, &request, ResponseBody::JoinGroup(body));
    assert_eq!(stage.sync(&[]).assignments, []);
    stage.advance(1_000);
    let rejoins = GroupEvent::Rejoins { why: "topics of the group have changed" };
    assert!(!stage.said(&rejoins));
    stage.topics.get_mut("t").unwrap().leaders.push(1);
    stage.advance(2_000);
    assert!(stage.said(&rejoins));
}

#[test]
fn a_coordinator_whose_connection_broke_is_connected_to_again() {
    let (mut stage, _) = Stage::member(&[("enable.auto.commit", "false")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(0);
    stage.without_fetches();
    stage.advance(1_000);
    stage.without_fetches();
    let (conn, _) = stage.take(ApiKey::Heartbeat);
    stage.input(Input::Closed(conn));
    assert_eq!(stage.client.view().group.unwrap().coordinator, None);
    // The same broker is found again, and hears of the member.
    stage.advance(1_000);
    stage.without_fetches();
    assert_eq!(stage.lookups, 2);
    let again = stage.requests.front().unwrap().0;
    assert_ne!(again, conn);
    stage.beat(ErrorCode::None);
    assert_eq!(stage.state(), MemberState::Member);
    // While it cannot be reached it is looked up less and less often.
    stage.refusing.push(9_002);
    stage.input(Input::Closed(again));
    stage.advance(10_000);
    assert!((6..20).contains(&stage.lookups), "{}", stage.lookups);
    stage.refusing.clear();
    stage.advance(1_500);
    stage.without_fetches();
    stage.beat(ErrorCode::None);
    assert_eq!(stage.state(), MemberState::Member);
}

/// Somebody else coordinates by then: what the one that was given up says at last is nothing to the member, as in Kafka's client.
#[test]
fn a_coordinator_that_was_given_up_is_not_heard_any_more() {
    let (mut stage, _) = Stage::member(&[("enable.auto.commit", "false")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(0);
    stage.without_fetches();
    let at = Position { offset: Offset(9), offset_epoch: None };
    let commit = stage.start(Operation::Commit(Some(vec![(partition("t", 0), at)])));
    let (silent, ..) = stage.take_commit();
    stage.advance(1_000);
    stage.without_fetches();
    let (conn, heartbeat) = stage.take(ApiKey::Heartbeat);
    assert_eq!(conn, silent);
    stage.advance(6_500);
    assert!(stage.closed.contains(&conn), "session.timeout.ms is over");
    assert_eq!(stage.lookups, 2);
    let body = HeartbeatResponse { error_code: ErrorCode::UnknownMemberId.code(), ..Default::default() };
    stage.answer(conn, &heartbeat, ResponseBody::Heartbeat(body));
    assert_eq!(stage.state(), MemberState::Member);
    // What was asked there is asked again.
    stage.requests.retain(|(_, it)| it.body.api_key() == ApiKey::OffsetCommit);
    let (again, ..) = stage.take_commit();
    assert_ne!(again, conn);
    assert_eq!(stage.outcome(commit), None);
}

#[test]
fn nothing_committed_is_left_to_the_reset_policy() {
    let (mut stage, poll) = Stage::member(&[("auto.offset.reset", "none")]);
    stage.join(1, "range", &[]);
    stage.sync(&[1]);
    stage.committed_at(-1);
    assert!(matches!(stage.outcome(poll), Some(Outcome::Failed(_))));
}

#[test]
fn an_eager_member_commits_and_gives_all_up_before_it_joins_again() {
    let (mut stage, _) = Stage::member(&[]);
    stage.join(1, "range", &[]);
    stage.sync(&[0, 1]);
    stage.committed_at(5);
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::RebalanceInProgress);
    assert_eq!(stage.state(), MemberState::Releasing);
    assert_eq!(stage.client.view().group.unwrap().releasing.len(), 2);
    let commit = stage.committed(ErrorCode::None);
    assert_eq!((commit.generation_id_or_member_epoch, &*commit.member_id), (1, "m"));
    assert_eq!(commit.topics[0].partitions[0].committed_offset, 5);
    assert_eq!(stage.owned(), [] as [i32; 0]);
    assert!(stage.said(&GroupEvent::Revoked { partitions: vec![partition("t", 0), partition("t", 1)] }));
    let asked = stage.join(2, "range", &[]);
    assert_eq!(&*asked.member_id, "m");
}

/// It gives its partitions up at last, and asks nobody any more what came of the commit that was to be done before.
#[test]
fn a_commit_for_which_a_member_waits_in_vain_is_told_as_unanswered() {
    let (mut stage, _) = Stage::member(&[("max.poll.interval.ms", "5000")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(5);
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::RebalanceInProgress);
    assert_eq!(stage.state(), MemberState::Releasing);
    stage.advance(5_000);
    assert_eq!(stage.owned(), [] as [i32; 0]);
    let offsets = vec![(partition("t", 0), Offset(5))];
    assert!(stage.said(&GroupEvent::CommitFailed { id: 1, offsets, error: None }));
}

#[test]
fn a_cooperative_member_keeps_what_it_has_and_joins_again_for_what_moves() {
    let settings = [("partition.assignment.strategy", "cooperative-sticky"), ("enable.auto.commit", "false")];
    let (mut stage, _) = Stage::member(&settings);
    stage.join(1, "cooperative-sticky", &[]);
    stage.sync(&[0, 1, 2]);
    stage.committed_at(0);
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::RebalanceInProgress);
    let asked = stage.join(2, "cooperative-sticky", &[]);
    assert_eq!(stage.owned(), [0, 1, 2]);
    let (_, told) = decode_versioned::<ConsumerProtocolSubscription>(asked.protocols[0].metadata.clone()).unwrap();
    assert_eq!((told.generation_id, &told.owned_partitions[0].partitions[..]), (1, &[0, 1, 2][..]));
    stage.sync(&[0, 1]);
    assert_eq!(stage.owned(), [0, 1]);
    assert!(stage.said(&GroupEvent::Revoked { partitions: vec![partition("t", 2)] }));
    let (.., again) = stage.take_join();
    assert_eq!(&*again.member_id, "m");
}

#[test]
fn who_does_not_poll_keeps_what_it_has_until_it_must_leave() {
    let (mut stage, poll) = Stage::member(&[("max.poll.interval.ms", "4000"), ("enable.auto.commit", "false")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(0);
    // The poll ends with a record; the application works on it.
    let (conn, request, _) = stage.take_fetch();
    stage.serve(conn, &request, crate::stage::batch(0, 0, &["a"]));
    assert!(stage.outcome(poll).is_some());
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::RebalanceInProgress);
    assert_eq!(stage.state(), MemberState::Member, "it joins only while it polls");
    for _ in 0..2 {
        stage.advance(1_000);
        stage.beat(ErrorCode::RebalanceInProgress);
    }
    stage.advance(999);
    assert_eq!(stage.state(), MemberState::Member);
    stage.advance(1);
    assert_eq!((stage.state(), stage.owned()), (MemberState::Leaving, vec![0]));
    let (conn, request) = stage.take(ApiKey::LeaveGroup);
    stage.answer(conn, &request, ResponseBody::LeaveGroup(LeaveGroupResponse::default()));
    // It commits what it does not have any more, and is told so.
    let commit = stage.start(Operation::Commit(None));
    let Some(Outcome::Failed(failure)) = stage.outcome(commit) else { panic!() };
    assert_eq!(failure.code(), Some(ErrorCode::UnknownMemberId));
    stage.poll(1_000);
    assert!(stage.said(&GroupEvent::Lost { partitions: vec![partition("t", 0)] }));
    let (.., asked) = stage.take_join();
    assert_eq!(&*asked.member_id, "");
}

#[test]
fn a_commit_of_somebody_the_group_has_thrown_out_is_refused_and_it_joins_anew() {
    let (mut stage, _) = Stage::member(&[("enable.auto.commit", "false")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(3);
    stage.without_fetches();
    let commit = stage.start(Operation::Commit(None));
    stage.committed(ErrorCode::UnknownMemberId);
    let Some(Outcome::Failed(failure)) = stage.outcome(commit) else { panic!() };
    assert_eq!(failure.code(), Some(ErrorCode::UnknownMemberId));
    assert_eq!(stage.owned(), [] as [i32; 0]);
    let (.., asked) = stage.take_join();
    assert_eq!(&*asked.member_id, "");
}

#[test]
fn a_commit_follows_the_coordinator() {
    let (mut stage, _) = Stage::member(&[("enable.auto.commit", "false")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(3);
    stage.without_fetches();
    let at = Position { offset: Offset(9), offset_epoch: None };
    let commit = stage.start(Operation::Commit(Some(vec![(partition("t", 0), at)])));
    stage.committed(ErrorCode::NotCoordinator);
    stage.advance(400);
    assert_eq!(stage.lookups, 2);
    stage.requests.retain(|(_, it)| it.body.api_key() == ApiKey::OffsetCommit);
    assert_eq!(stage.committed(ErrorCode::None).topics[0].partitions[0].committed_offset, 9);
    assert!(matches!(stage.outcome(commit), Some(Outcome::Ok(Answer::Done))));
    assert_eq!(stage.client.view().group.unwrap().committed, [(partition("t", 0), Offset(9))]);
}

#[test]
fn what_was_read_is_committed_in_intervals() {
    let (mut stage, _) = Stage::member(&[("auto.commit.interval.ms", "2000")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(3);
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::None);
    stage.advance(999);
    stage.requests.clear();
    stage.advance(1);
    stage.requests.retain(|(_, it)| it.body.api_key() == ApiKey::OffsetCommit);
    assert_eq!(stage.committed(ErrorCode::None).topics[0].partitions[0].committed_offset, 3);
}

#[test]
fn an_instance_that_another_one_took_stops() {
    let (mut stage, poll) = Stage::member(&[("group.instance.id", "i1")]);
    let asked = stage.join(1, "range", &[]);
    assert_eq!(asked.group_instance_id.as_deref(), Some("i1"));
    stage.sync(&[0]);
    stage.committed_at(3);
    stage.without_fetches();
    stage.advance(1_000);
    stage.beat(ErrorCode::FencedInstanceId);
    assert_eq!(stage.state(), MemberState::Failed);
    // Another subscription does not undo that; the end of this one does.
    stage.start(Operation::Subscribe(vec!["t".into()]));
    let again = stage.poll(60_000);
    for poll in [poll, again] {
        let Some(Outcome::Failed(failure)) = stage.outcome(poll) else { panic!("{:?}", stage.outcome(poll)) };
        assert_eq!(failure.code(), Some(ErrorCode::FencedInstanceId));
    }
    stage.start(Operation::Subscribe(Vec::new()));
    stage.start(Operation::Subscribe(vec!["t".into()]));
    let anew = stage.poll(60_000);
    stage.join(3, "range", &[]);
    assert_eq!(stage.outcome(anew), None);
}

#[test]
fn who_closes_commits_and_says_goodbye_unless_it_is_static() {
    let (mut stage, _) = Stage::member(&[]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.committed_at(3);
    stage.without_fetches();
    let close = stage.start(Operation::Close { timeout_ms: 10_000 });
    stage.committed(ErrorCode::None);
    let (conn, request) = stage.take(ApiKey::LeaveGroup);
    assert_eq!(stage.outcome(close), None);
    stage.answer(conn, &request, ResponseBody::LeaveGroup(LeaveGroupResponse::default()));
    assert!(stage.client.is_closed());

    let (mut stage, _) = Stage::member(&[("group.instance.id", "i1"), ("enable.auto.commit", "false")]);
    stage.join(1, "range", &[]);
    stage.sync(&[0]);
    stage.start(Operation::Close { timeout_ms: 10_000 });
    assert!(stage.client.is_closed());
}

#[test]
fn who_assigns_itself_commits_without_being_a_member() {
    let mut stage = Stage::new(&[("group.id", "g"), ("enable.auto.commit", "false")]).topic("t", &[1]);
    stage.start(Operation::Assign(vec![partition("t", 0)]));
    assert_eq!(stage.committed_at(4), [0]);
    stage.without_fetches();
    stage.start(Operation::Commit(None));
    let asked = stage.committed(ErrorCode::None);
    assert_eq!((asked.generation_id_or_member_epoch, &*asked.member_id), (-1, ""));
    let asked = stage.start(Operation::Committed(vec![partition("t", 0)]));
    stage.committed_at(4);
    let at = Position { offset: Offset(4), offset_epoch: None };
    assert_eq!(stage.outcome(asked), Some(&Outcome::Ok(Answer::Committed(vec![(partition("t", 0), Some(at))]))));
}

#[test]
fn kip_848_a_member_takes_what_it_is_given_and_says_so() {
    let (mut stage, _) = Stage::member(&[("group.protocol", "consumer"), ("enable.auto.commit", "false")]);
    let asked = stage.told(ErrorCode::None, 2, Some(&[0, 1]));
    assert_eq!((asked.member_epoch, asked.rebalance_timeout_ms), (0, 300_000));
    assert_eq!(asked.subscribed_topic_names, Some(vec!["t".into()]));
    assert_eq!(told_owned(&asked), Some(vec![]));
    assert_eq!(asked.member_id.len(), 22, "{}", asked.member_id);
    assert_eq!(stage.owned(), [0, 1]);
    let asked = stage.told_after_fetches(2, None);
    assert_eq!((asked.member_epoch, told_owned(&asked)), (2, Some(vec![0, 1])));
    assert_eq!((asked.subscribed_topic_names, asked.rebalance_timeout_ms), (None, -1));
    assert_eq!(stage.committed_at(0), [0, 1]);
    stage.advance(1_000);
    // One partition is to go: it is given up, and only then the coordinator hears of it.
    let asked = stage.told_after_fetches(2, Some(&[0]));
    assert_eq!(told_owned(&asked), None);
    assert_eq!(stage.owned(), [0]);
    let asked = stage.told_after_fetches(3, None);
    assert_eq!(told_owned(&asked), Some(vec![0]));
    assert_eq!(stage.client.view().group.unwrap().epoch, 3);
}

impl Stage {
    /// A member that has `t-0`, was assigned `t-1` too, and commits before it takes that: a heartbeat and, after a first
    /// attempt, the commit are under way.
    fn member_about_to_take() -> Stage {
        let backoff = [("retry.backoff.ms", "1500"), ("retry.backoff.max.ms", "1500")];
        let settings = [[("group.protocol", "consumer"), ("auto.commit.interval.ms", "60000")], backoff].concat();
        let (mut stage, _) = Stage::member(&settings);
        stage.told(ErrorCode::None, 2, Some(&[0]));
        stage.told_after_fetches(2, None);
        stage.committed_at(0);
        stage.without_fetches();
        stage.advance(1_000);
        stage.told_after_fetches(3, Some(&[0, 1]));
        stage.without_fetches();
        stage.committed(ErrorCode::CoordinatorLoadInProgress);
        stage.advance(1_000);
        stage.advance(1_000);
        assert_eq!((stage.state(), stage.owned()), (MemberState::Releasing, vec![0]));
        stage
    }

    /// The same one, which was assigned `t-2` too meanwhile, has taken `t-1` and says so; that is not answered.
    fn member_that_tells() -> (Stage, ConnId, Request) {
        let mut stage = Stage::member_about_to_take();
        stage.told_after_fetches(3, Some(&[0, 1, 2]));
        stage.advance(1_000);
        stage.without_fetches();
        stage.committed(ErrorCode::None);
        assert_eq!(stage.owned(), [0, 1]);
        stage.told_after_fetches(3, None);
        stage.without_fetches();
        assert_eq!(stage.committed_at(0), [1]);
        stage.without_fetches();
        stage.committed(ErrorCode::None);
        stage.without_fetches();
        let (conn, request, asked) = stage.take_heartbeat();
        assert_eq!(told_owned(&asked), Some(vec![0, 1]));
        assert_eq!(stage.owned(), [0, 1], "the coordinator hears that it does not have t-2");
        (stage, conn, request)
    }
}

#[test]
fn kip_848_what_is_assigned_to_another_one_meanwhile_is_not_taken() {
    let mut stage = Stage::member_about_to_take();
    stage.told_after_fetches(4, Some(&[0]));
    stage.without_fetches();
    stage.committed(ErrorCode::None);
    assert_eq!((stage.state(), stage.owned()), (MemberState::Member, vec![0]));
    assert!(stage.said(&GroupEvent::Assigned { epoch: 4, partitions: vec![] }));
}

#[test]
fn kip_848_nothing_is_taken_while_the_coordinator_hears_that_it_is_not_there() {
    let (mut stage, conn, request) = Stage::member_that_tells();
    let body = ConsumerGroupHeartbeatResponse { member_epoch: 4, heartbeat_interval_ms: 1_000, ..Default::default() };
    stage.answer(conn, &request, ResponseBody::ConsumerGroupHeartbeat(body));
    assert_eq!(stage.owned(), [0, 1, 2], "it is still to come");
}

#[test]
fn kip_848_what_the_coordinator_may_have_given_away_is_not_taken() {
    let (mut stage, conn, _) = Stage::member_that_tells();
    stage.input(Input::Closed(conn));
    assert_eq!((stage.state(), stage.owned()), (MemberState::Member, vec![0, 1]));
}

#[test]
fn kip_848_a_fenced_member_has_lost_all_and_joins_anew_under_its_id() {
    let (mut stage, _) = Stage::member(&[("group.protocol", "consumer"), ("enable.auto.commit", "false")]);
    let first = stage.told(ErrorCode::None, 2, Some(&[0]));
    stage.told_after_fetches(2, None);
    stage.committed_at(0);
    stage.without_fetches();
    stage.advance(1_000);
    stage.told(ErrorCode::FencedMemberEpoch, 0, None);
    assert!(stage.said(&GroupEvent::Lost { partitions: vec![partition("t", 0)] }));
    let (.., asked) = stage.take_heartbeat();
    assert_eq!((asked.member_id, asked.member_epoch), (first.member_id, 0));
}

#[test]
fn kip_848_an_instance_id_in_use_is_told_to_every_poll() {
    let settings = [("group.protocol", "consumer"), ("group.instance.id", "i1")];
    let (mut stage, poll) = Stage::member(&settings);
    stage.told(ErrorCode::UnreleasedInstanceId, 0, None);
    let again = stage.poll(1_000);
    for poll in [poll, again] {
        let Some(Outcome::Failed(failure)) = stage.outcome(poll) else { panic!() };
        assert_eq!(failure.code(), Some(ErrorCode::UnreleasedInstanceId));
    }
}

#[test]
fn kip_848_who_closes_leaves_for_good_or_for_now() {
    for (instance, epoch) in [(None, -1), (Some(("group.instance.id", "i1")), -2)] {
        let mut settings = vec![("group.protocol", "consumer"), ("enable.auto.commit", "false")];
        settings.extend(instance);
        let (mut stage, _) = Stage::member(&settings);
        stage.told(ErrorCode::None, 1, Some(&[]));
        stage.told(ErrorCode::None, 1, None);
        stage.start(Operation::Close { timeout_ms: 10_000 });
        assert_eq!(stage.told(ErrorCode::None, epoch, None).member_epoch, epoch);
        assert!(stage.client.is_closed());
    }
}

#[test]
fn without_a_group_id_there_is_no_group() {
    let mut stage = Stage::new(&[]).topic("t", &[1]);
    let op = stage.start(Operation::Subscribe(vec!["t".into()]));
    let Some(Outcome::Failed(failure)) = stage.outcome(op) else { panic!() };
    assert_eq!(failure.code(), Some(ErrorCode::InvalidGroupId));
}
