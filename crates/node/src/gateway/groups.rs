//! The APIs of consumer groups of the classic protocol, in all their versions: JoinGroup 0 to 9 (KIP-62, KIP-345, KIP-394,
//! KIP-559, KIP-814), SyncGroup 0 to 5, Heartbeat 0 to 4, LeaveGroup 0 to 5 (KIP-345: several members), DescribeGroups 0 to 6,
//! ListGroups 0 to 5 (KIP-518 states, KIP-848 types), DeleteGroups 0 to 2 (KIP-229).

use ordered::{Map, Set};
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol::{ErrorCode, Now, Request, RequestBody, ResponseBody, Str};

use super::metadata::bits;
use crate::coordinator::{Ask, Client, OFFSETS_TOPIC, join_body, refused_join};
use crate::deferred::{Pending, RequestId, Waiter};
use crate::input::{Peer, PeerHost};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;

/// Every operation that there is on a group: without an authorizer all are allowed.
pub(super) const GROUP_OPERATIONS: i32 = bits(&[3, 6, 8, 10, 11]);

/// A request about several groups, whose coordinators answer one by one.
#[derive(Clone, Debug)]
pub(crate) struct PendingGroups {
    pub(crate) waiter: Waiter,
    pub(crate) parts: Parts,
    pub(crate) outstanding: usize,
}

/// What is there of its answer.
#[derive(Clone, Debug)]
pub(crate) enum Parts {
    Deleted(DeleteGroupsResponse),
    /// With what could not even be asked for, by group; and where each group stands.
    Fetched(OffsetFetchResponse, Map<Str, usize>),
}

impl Node {
    /// Handles what coordinators of groups are asked; gives any other request back.
    pub(super) fn dispatch_to_coordinator(
        &mut self,
        now: Now,
        waiter: Waiter,
        peer: &Peer,
        request: Request,
        out: &mut Outbox,
    ) -> Option<Request> {
        let Request { version, correlation_id, client_id, body } = request;
        match body {
            RequestBody::FindCoordinator(request) => self.handle_find_coordinator(waiter, peer, request, out),
            RequestBody::JoinGroup(request) => self.handle_join_group(now, waiter, peer, client_id, request, out),
            RequestBody::SyncGroup(request) => self.handle_sync_group(now, waiter, request, out),
            RequestBody::Heartbeat(request) => self.handle_heartbeat(now, waiter, request, out),
            RequestBody::LeaveGroup(request) => self.handle_leave_group(now, waiter, request, out),
            RequestBody::OffsetCommit(request) => self.handle_offset_commit(now, waiter, request, out),
            RequestBody::OffsetFetch(request) => self.handle_offset_fetch(now, waiter, request, out),
            RequestBody::OffsetDelete(request) => self.handle_offset_delete(now, waiter, request, out),
            RequestBody::DescribeGroups(request) => self.handle_describe_groups(waiter, request, out),
            RequestBody::ListGroups(request) => self.handle_list_groups(waiter, request, out),
            RequestBody::DeleteGroups(request) => self.handle_delete_groups(now, waiter, request, out),
            RequestBody::ConsumerGroupHeartbeat(request) => {
                self.handle_consumer_group_heartbeat(now, waiter, peer, client_id, request, out);
            }
            RequestBody::ConsumerGroupDescribe(request) => self.handle_consumer_group_describe(waiter, request, out),
            body => return Some(Request { version, correlation_id, client_id, body }),
        }
        None
    }

    fn handle_join_group(
        &mut self,
        now: Now,
        waiter: Waiter,
        peer: &Peer,
        client_id: Option<Str>,
        mut request: JoinGroupRequest,
        out: &mut Outbox,
    ) {
        if waiter.version == 0 {
            // There is one time for both.
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        let config = &self.config.groups;
        let session_timeout_ms = request.session_timeout_ms;
        let is_in_bounds =
            (config.min_session_timeout_ms..=config.max_session_timeout_ms).contains(&session_timeout_ms);
        let asked = match self.coordinator_of_named(&request.group_id) {
            Err(ErrorCode::InvalidGroupId) => Err(ErrorCode::InvalidGroupId),
            _ if !is_in_bounds => Err(ErrorCode::InvalidSessionTimeout),
            other => other,
        };
        match asked {
            Ok(key) => {
                let client = Client { id: client_id.unwrap_or_default(), host: address_of(peer) };
                self.ask_groups(now, key, Ask::Join(waiter, client, request), out);
            }
            Err(error) => {
                let is_early = matches!(error, ErrorCode::InvalidGroupId | ErrorCode::InvalidSessionTimeout);
                let member = if is_early { request.member_id } else { Str::new() };
                self.answer(waiter, join_body(waiter.version, refused_join(&member, error)), out);
            }
        }
    }

    pub(crate) fn handle_sync_group(&mut self, now: Now, waiter: Waiter, request: SyncGroupRequest, out: &mut Outbox) {
        // Since version 5 a member must say what it thinks that the group speaks (KIP-559).
        let is_silent = request.protocol_type.is_none() || request.protocol_name.is_none();
        let asked = match self.coordinator_of_named(&request.group_id) {
            _ if waiter.version >= 5 && is_silent => Err(ErrorCode::InconsistentGroupProtocol),
            other => other,
        };
        match asked {
            Ok(key) => self.ask_groups(now, key, Ask::Sync(waiter, request), out),
            Err(error) => {
                let response = SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
                self.answer(waiter, ResponseBody::SyncGroup(response), out);
            }
        }
    }

    pub(crate) fn handle_heartbeat(&mut self, now: Now, waiter: Waiter, request: HeartbeatRequest, out: &mut Outbox) {
        let error = match self.coordinator_of_named(&request.group_id) {
            Ok(key) => return self.ask_groups(now, key, Ask::Heartbeat(waiter, request), out),
            // Whoever is in the group will be found there.
            Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
            Err(error) => error,
        };
        let response = HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() };
        self.answer(waiter, ResponseBody::Heartbeat(response), out);
    }

    pub(crate) fn handle_leave_group(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: LeaveGroupRequest,
        out: &mut Outbox,
    ) {
        let LeaveGroupRequest { group_id, member_id, members } = request;
        match self.coordinator_of_named(&group_id) {
            Ok(key) => {
                let one = MemberIdentity { member_id, ..MemberIdentity::default() };
                let members = if waiter.version < 3 { vec![one] } else { members };
                self.ask_groups(now, key, Ask::Leave(waiter, group_id, members), out);
            }
            Err(error) => {
                let response = LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() };
                self.answer(waiter, ResponseBody::LeaveGroup(response), out);
            }
        }
    }

    pub(crate) fn handle_describe_groups(&mut self, waiter: Waiter, request: DescribeGroupsRequest, out: &mut Outbox) {
        let mut groups = Vec::with_capacity(request.groups.len());
        for id in request.groups {
            let shard = self.coordinator_of(&id).map(|key| self.groups.get(&key));
            let mut described = match shard {
                Ok(Some(shard)) => shard.describe(&id, waiter.version),
                other => {
                    let error = other.err().unwrap_or(ErrorCode::NotCoordinator);
                    DescribedGroup { group_id: id, error_code: error.code(), ..DescribedGroup::default() }
                }
            };
            if described.error_code == ErrorCode::None.code() && request.include_authorized_operations {
                described.authorized_operations = GROUP_OPERATIONS;
            }
            groups.push(described);
        }
        let response = DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() };
        self.answer(waiter, ResponseBody::DescribeGroups(response), out);
    }

    pub(crate) fn handle_list_groups(&mut self, waiter: Waiter, request: ListGroupsRequest, out: &mut Outbox) {
        let lower = |texts: Vec<Str>| -> Set<Str> {
            texts.into_iter().map(|it| Str::from(it.trim().to_ascii_lowercase())).collect()
        };
        let (states, types) = (lower(request.states_filter), lower(request.types_filter));
        let mut response = ListGroupsResponse::default();
        if let Some(topic) = self.image.topic(OFFSETS_TOPIC) {
            for shard in self.groups.shards(topic.id) {
                match shard.check() {
                    Ok(()) => shard.list(&states, &types, &mut response.groups),
                    Err(ErrorCode::CoordinatorLoadInProgress) => {
                        response.error_code = ErrorCode::CoordinatorLoadInProgress.code();
                    }
                    // Another broker may be able to serve its groups.
                    Err(_) => {}
                }
            }
        }
        if response.error_code != ErrorCode::None.code() {
            response.groups.clear();
        }
        self.answer(waiter, ResponseBody::ListGroups(response), out);
    }

    pub(crate) fn handle_delete_groups(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: DeleteGroupsRequest,
        out: &mut Outbox,
    ) {
        let mut seen = Set::new();
        let mut asked: Vec<(PartitionKey, Vec<Str>)> = Vec::new();
        let mut response = DeleteGroupsResponse::default();
        for name in request.groups_names {
            if !seen.insert(name.clone()) {
                continue;
            }
            match self.coordinator_of(&name) {
                Ok(key) => match asked.iter_mut().find(|(it, _)| *it == key) {
                    Some((_, names)) => names.push(name),
                    None => asked.push((key, vec![name])),
                },
                Err(error) => {
                    response.results.push(DeletableGroupResult { group_id: name, error_code: error.code() });
                }
            }
        }
        let id = self.deferred.number();
        // One more than are asked, so that nothing is answered before all are.
        let pending = PendingGroups { waiter, parts: Parts::Deleted(response), outstanding: asked.len() + 1 };
        self.deferred.hold(id, Pending::Groups(pending));
        for (key, names) in asked {
            self.ask_groups(now, key, Ask::DeleteGroups(id, names), out);
        }
        self.groups_deleted(id, Vec::new(), out);
    }

    /// Groups of one coordinator are deleted, or not.
    pub(crate) fn groups_deleted(&mut self, id: RequestId, groups: Vec<(Str, ErrorCode)>, out: &mut Outbox) {
        let Some(Pending::Groups(pending)) = self.deferred.pending_mut(id) else { return };
        if let Parts::Deleted(response) = &mut pending.parts {
            for (group_id, error) in groups {
                response.results.push(DeletableGroupResult { group_id, error_code: error.code() });
            }
        }
        self.part_answered(id, out);
    }

    /// One coordinator has answered about one group.
    pub(crate) fn offsets_fetched(&mut self, id: RequestId, group: OffsetFetchResponseGroup, out: &mut Outbox) {
        let Some(Pending::Groups(pending)) = self.deferred.pending_mut(id) else { return };
        if let Parts::Fetched(response, places) = &mut pending.parts
            && let Some(place) = places.get(&group.group_id).and_then(|place| response.groups.get_mut(*place))
        {
            place.error_code = group.error_code;
            // What could not be asked for stands behind.
            let refused = std::mem::replace(&mut place.topics, group.topics);
            if group.error_code == ErrorCode::None.code() {
                place.topics.extend(refused);
            }
        }
        self.part_answered(id, out);
    }

    pub(crate) fn part_answered(&mut self, id: RequestId, out: &mut Outbox) {
        let Some(Pending::Groups(pending)) = self.deferred.pending_mut(id) else { return };
        pending.outstanding = pending.outstanding.saturating_sub(1);
        if pending.outstanding > 0 {
            return;
        }
        let Some(Pending::Groups(PendingGroups { waiter, parts, .. })) = self.deferred.take(id) else { return };
        let body = match parts {
            Parts::Deleted(response) => ResponseBody::DeleteGroups(response),
            Parts::Fetched(response, _) => {
                ResponseBody::OffsetFetch(super::offsets::in_version(&self.image, waiter.version, response))
            }
        };
        self.answer(waiter, body, out);
    }

    /// Where a group's coordinator is; a group that members are in has a name.
    pub(crate) fn coordinator_of_named(&self, group: &Str) -> Result<PartitionKey, ErrorCode> {
        if group.is_empty() { Err(ErrorCode::InvalidGroupId) } else { self.coordinator_of(group) }
    }
}

/// As Java writes an address without a name.
pub(super) fn address_of(peer: &Peer) -> Str {
    match &peer.host {
        PeerHost::Ip(address) => Str::from(format!("/{address}")),
        PeerHost::Named(name) => Str::from(format!("/{name}")),
        PeerHost::Node(node) => Str::from(format!("/{node}")),
    }
}
