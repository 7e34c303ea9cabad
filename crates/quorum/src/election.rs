//! Elections: who stands, who votes for whom, and what an epoch begins with.

use ordered::Set;
use protocol::messages::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, VoteRequest, begin_quorum_epoch_request, end_quorum_epoch_request,
    vote_request,
};
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, RequestBody, Str};

use crate::calls::{InFlight, Kind};
use crate::messages::{self, Heard};
use crate::role::{Election, Follower, Role};
use crate::setup::Endpoint;
use crate::voters::{ReplicaKey, Voter};
use crate::{NoAnswer, Output, Quorum, TOPIC};

/// A node that starts asks after a moment whether there is a leader: those who have one say so, and nobody is disturbed.
const FIRST_ELECTION_MS: i64 = 50;
/// Once a connection to the leader broke, followers ask for an election within this time, each at another moment.
const SUSPICION_MS: i64 = 20;

impl Quorum {
    /// Some time between the one and twice the other, different on each node.
    pub(crate) fn election_deadline(&mut self, now: Now) -> Instant {
        let timeout = self.setup.election_timeout_ms.max(1);
        self.within(now, timeout).plus_ms(timeout)
    }

    /// Some moment of the next milliseconds.
    fn within(&mut self, now: Now, ms: i64) -> Instant {
        Instant(now.mono.0.saturating_add(self.random.below(ms.max(0).unsigned_abs().saturating_mul(1_000))))
    }

    /// The log is read, and others vote.
    pub(crate) fn start_unattached(&mut self, now: Now) {
        self.role = Role::Unattached(self.within(now, FIRST_ELECTION_MS));
    }

    pub(crate) fn step_unattached(&mut self, now: Now, out: &mut Output) -> bool {
        let Role::Unattached(until) = &self.role else { return false };
        if *until <= now.mono && self.is_voter() {
            self.become_prospective(now, out);
            return true;
        }
        self.discover(now, out);
        false
    }

    /// Would there be a majority?
    pub(crate) fn become_prospective(&mut self, now: Now, out: &mut Output) {
        let leader = match &self.role {
            Role::Follower(follower) => Some(follower.leader.clone()),
            _ => None,
        };
        let election = self.election(now, leader);
        self.become_role(Role::Prospective(election), out);
    }

    fn election(&mut self, now: Now, leader: Option<Endpoint>) -> Election {
        let until = self.election_deadline(now);
        Election { granted: Set::from_iter([self.setup.node]), rejected: Set::new(), until, leader }
    }

    pub(crate) fn step_prospective(&mut self, now: Now, out: &mut Output) -> bool {
        let Role::Prospective(election) = &self.role else { return false };
        if self.is_won(election) {
            if self.remembers_enough((self.log.last_epoch(), self.log.end())) {
                self.stand(now, out);
            } else {
                self.lose_pre_vote(now, out);
            }
            return true;
        }
        if self.is_lost(election) || election.until <= now.mono {
            self.lose_pre_vote(now, out);
            return true;
        }
        self.ask_for_votes(now, true, out);
        false
    }

    /// Nobody else sees a reason for an election: back to the leader, if there was one.
    fn lose_pre_vote(&mut self, now: Now, out: &mut Output) {
        let Role::Prospective(Election { leader, until, .. }) = &self.role else { return };
        let (leader, until) = (leader.clone(), *until);
        match leader {
            Some(leader) => self.follow(now, self.epoch, leader, out),
            None => {
                let until = if until > now.mono { until } else { self.election_deadline(now) };
                self.become_role(Role::Unattached(until), out);
            }
        }
    }

    /// A new epoch, and our own vote for it.
    pub(crate) fn stand(&mut self, now: Now, out: &mut Output) {
        let epoch = LeaderEpoch(self.epoch.0.saturating_add(1));
        let election = self.election(now, None);
        if self.is_only_voter() {
            // Nobody else can win.
            self.remember(epoch, None, Some(self.setup.node), out);
        } else {
            self.remember(epoch, Some(self.setup.key()), None, out);
        }
        self.become_role(Role::Candidate(election), out);
    }

    pub(crate) fn step_candidate(&mut self, now: Now, out: &mut Output) -> bool {
        let Role::Candidate(election) = &self.role else { return false };
        if self.is_won(election) {
            // Our own vote counts when it is on disk.
            if self.gate.writing > 0 {
                return false;
            }
            // Meanwhile this node may have heard of a log that has more than its own, which it may have forgotten.
            if !self.remembers_enough((self.log.last_epoch(), self.log.end())) {
                let until = self.election_deadline(now);
                self.become_role(Role::Unattached(until), out);
                return true;
            }
            let granted = election.granted.iter().copied().collect();
            self.lead(now, granted, out);
            return true;
        }
        if election.until <= now.mono {
            self.become_prospective(now, out);
            return true;
        }
        if !self.is_lost(election) {
            self.ask_for_votes(now, false, out);
        }
        false
    }

    fn is_won(&self, election: &Election) -> bool {
        let voters = self.voters();
        election.granted.iter().filter(|id| voters.get(**id).is_some()).count() >= voters.majority()
    }

    fn is_lost(&self, election: &Election) -> bool {
        let voters = self.voters();
        let rejected = election.rejected.iter().filter(|id| voters.get(**id).is_some()).count();
        voters.len() - rejected < voters.majority()
    }

    fn ask_for_votes(&mut self, now: Now, pre: bool, out: &mut Output) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &self.role else { return };
        let kind = Kind::Vote { pre };
        let is_due = |voter: &&Voter| {
            !election.granted.contains(&voter.id)
                && !election.rejected.contains(&voter.id)
                && self.calls.is_ready(voter.id, now.mono)
                && !self.calls.is_asking(voter.id, kind)
        };
        let due: Vec<Voter> = self.voters().iter().filter(is_due).cloned().collect();
        let end = (self.log.last_epoch(), self.log.end());
        for voter in due {
            let Some(to) = voter.endpoint(&self.setup.listener) else { continue };
            let request = messages::vote_request(&self.setup, &voter, self.epoch, end, pre);
            self.call(to, kind, RequestBody::Vote(request), out);
        }
    }

    /// A node without a leader asks whoever it knows for one, by fetching.
    pub(crate) fn discover(&mut self, now: Now, out: &mut Output) {
        if self.calls.is_fetching() || !self.log.is_idle() {
            return;
        }
        let known = self.voters().iter().filter(|voter| voter.id != self.setup.node);
        let known = known.filter_map(|voter| voter.endpoint(&self.setup.listener));
        let mut candidates: Vec<Endpoint> = known.chain(self.setup.bootstrap()).collect();
        candidates.retain(|to| self.calls.is_ready(to.node, now.mono));
        if candidates.is_empty() {
            return;
        }
        let index = self.random.below(candidates.len() as u64) as usize;
        let request = self.fetch_request();
        self.call(candidates.swap_remove(index), Kind::Fetch, RequestBody::Fetch(request), out);
    }

    /// Follows the leader of an epoch.
    pub(crate) fn follow(&mut self, now: Now, epoch: LeaderEpoch, leader: Endpoint, out: &mut Output) {
        let voted = if epoch == self.epoch { self.voted } else { None };
        if epoch > self.epoch {
            self.suspicions = 0;
        }
        self.remember(epoch, voted, Some(leader.node), out);
        let until = now.mono.plus_ms(self.setup.fetch_timeout_ms);
        let follower =
            Follower { leader, until, is_content: false, wish_at: until, has_told_leader: false, snapshot: None };
        self.become_role(Role::Follower(follower), out);
    }

    /// Enters an epoch without knowing who leads it.
    pub(crate) fn detach(&mut self, now: Now, epoch: LeaderEpoch, out: &mut Output) {
        // What was waited for is still waited for: else whoever stands often keeps the others from standing.
        let until = match &self.role {
            Role::Unattached(until) => Some(*until),
            Role::Prospective(election) | Role::Candidate(election) => Some(election.until),
            Role::Follower(follower) => Some(follower.until),
            _ => None,
        };
        let until = match until.filter(|until| *until > now.mono) {
            Some(until) => until,
            None => self.election_deadline(now),
        };
        self.remember(epoch, None, None, out);
        self.become_role(Role::Unattached(until), out);
    }

    /// What another node's answer says of the epoch and its leader. True if nothing else in it matters.
    pub(crate) fn learn(&mut self, now: Now, from: NodeId, heard: Heard, out: &mut Output) -> bool {
        let Heard { error, epoch, leader, address } = heard;
        if leader == Some(self.setup.node) && epoch >= self.epoch && !matches!(self.role, Role::Leader(_)) {
            self.note_named(now, from);
        }
        let leader = leader.filter(|id| *id != self.setup.node).and_then(|id| self.endpoint_of(id, address));
        if epoch < self.epoch || error == ErrorCode::UnknownLeaderEpoch {
            return true;
        }
        let is_stale = matches!(error, ErrorCode::FencedLeaderEpoch | ErrorCode::NotLeaderOrFollower);
        let has_changed = self.enter(now, epoch, leader, out);
        is_stale || (has_changed && error != ErrorCode::None)
    }

    /// Enters a later epoch, or follows the leader of this one if it was not known. True if so.
    fn enter(&mut self, now: Now, epoch: LeaderEpoch, leader: Option<Endpoint>, out: &mut Output) -> bool {
        let knows_leader = match &self.role {
            Role::Leader(_) | Role::Follower(_) => true,
            Role::Prospective(election) => election.leader.is_some(),
            _ => false,
        };
        match leader {
            Some(leader) if epoch > self.epoch || !knows_leader => self.follow(now, epoch, leader, out),
            None if epoch > self.epoch => self.detach(now, epoch, out),
            _ => return false,
        }
        true
    }

    pub(crate) fn endpoint_of(&self, id: NodeId, address: Option<(Str, u16)>) -> Option<Endpoint> {
        match address {
            Some((host, port)) => Some(Endpoint { node: id, host, port }),
            None => self.voters().get(id).and_then(|voter| voter.endpoint(&self.setup.listener)),
        }
    }

    /// A call has no answer. If it was the leader's, and its connection broke, its process is likely to be gone: asking for
    /// an election early is harmless, because those who still hear of it refuse (KIP-996).
    pub(crate) fn suspect(&mut self, now: Now, call: InFlight, why: NoAnswer) {
        let Role::Follower(follower) = &self.role else { return };
        let is_evidence = why == NoAnswer::Broken && matches!(call.kind, Kind::Fetch | Kind::Snapshot);
        if !is_evidence || call.to != follower.leader.node {
            return;
        }
        let patience = SUSPICION_MS << self.suspicions.min(10);
        self.suspicions += 1;
        let until = self.within(now, patience.min(self.setup.fetch_timeout_ms));
        if let Role::Follower(follower) = &mut self.role {
            follower.is_content = false;
            follower.until = follower.until.min(until);
        }
    }

    pub(crate) fn voted_on(&mut self, now: Now, call: InFlight, pre: bool, granted: bool) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &mut self.role else { return };
        let side = if granted { &mut election.granted } else { &mut election.rejected };
        side.insert(call.to);
        // Lost: stand again soon, at another moment than whoever has won no majority either (KIP-595).
        let backoff = self.within(now, self.setup.election_backoff_max_ms);
        let is_lost = matches!(&self.role, Role::Candidate(election) if self.is_lost(election));
        if let Role::Candidate(election) = &mut self.role
            && is_lost
            && !pre
        {
            election.until = election.until.min(backoff);
        }
    }

    pub(crate) fn handle_vote(&mut self, now: Now, token: u64, version: i16, request: &VoteRequest, out: &mut Output) {
        if let Some(error) = self.refuse(&request.cluster_id) {
            let response = protocol::messages::VoteResponse { error_code: error.code(), ..Default::default() };
            return self.reply(token, response, out);
        }
        let Some(partition) = only_vote(request) else {
            let error_code = ErrorCode::InvalidRequest.code();
            return self.reply(token, protocol::messages::VoteResponse { error_code, ..Default::default() }, out);
        };
        let outcome = self.decide_vote(now, request.voter_id, partition, out);
        let (error, granted) = outcome.map_or_else(|error| (error, false), |granted| (ErrorCode::None, granted));
        let response = messages::vote_response(version, &self.regime(), error, granted);
        self.reply(token, response, out);
    }

    fn decide_vote(
        &mut self,
        now: Now,
        voter_id: i32,
        it: &vote_request::PartitionData,
        out: &mut Output,
    ) -> Result<bool, ErrorCode> {
        let epoch = LeaderEpoch(it.replica_epoch);
        let is_illegal = if it.pre_vote { it.last_offset_epoch > epoch.0 } else { it.last_offset_epoch >= epoch.0 };
        if it.last_offset < 0 || it.last_offset_epoch < 0 || is_illegal {
            return Err(ErrorCode::InvalidRequest);
        }
        self.check_epoch(it.replica_id, epoch)?;
        if epoch > self.epoch {
            self.detach(now, epoch, out);
        }
        if !self.is_addressed(voter_id, it.voter_directory_id) {
            return Err(ErrorCode::InvalidVoterKey);
        }
        let candidate = ReplicaKey { id: NodeId(it.replica_id), directory_id: it.replica_directory_id };
        let end = (LeaderEpoch(it.last_offset_epoch), Offset(it.last_offset));
        let is_of_voter = self.voters().contains(candidate);
        if let Some(heard) = self.amnesia.as_mut().filter(|_| is_of_voter) {
            heard.insert(candidate.id, end);
        }
        let is_up_to_date = end >= (self.log.last_epoch(), self.log.end()) && self.remembers_enough(end);
        let granted = self.would_vote(candidate, is_up_to_date, it.pre_vote);
        if granted && !it.pre_vote && self.voted.is_none() {
            self.remember(epoch, Some(candidate), None, out);
            // The candidate's chance is at least as good as ours.
            let until = self.election_deadline(now);
            self.become_role(Role::Unattached(until), out);
        }
        Ok(granted)
    }

    /// Whether this node's vote may make a leader whose log ends there. A voter that may have lost its disk has acknowledged
    /// what it does not have: of the majority that committed it, only others can tell. So all of them must have been heard of,
    /// and none may have more; but empty logs, as of a new cluster, elect one of themselves at once, unless somebody was heard
    /// of whose log is not, or this node's own was not: then it is no new cluster, but one that has lost most of its disks.
    fn remembers_enough(&self, end: (LeaderEpoch, Offset)) -> bool {
        let Some(heard) = &self.amnesia else { return true };
        let is_empty = end.1 == Offset(0);
        self.voters().iter().all(|voter| match heard.get(&voter.id) {
            Some(known) => *known <= end,
            None => is_empty || voter.id == self.setup.node,
        })
    }

    /// Whether this node gives its vote, or would.
    fn would_vote(&self, candidate: ReplicaKey, is_up_to_date: bool, pre: bool) -> bool {
        match &self.role {
            // A log that is being read or cut cannot be compared.
            Role::Starting | Role::Replaying(_) | Role::Failed | Role::Leader(_) => false,
            _ if self.log.is_cutting() => false,
            Role::Follower(follower) => pre && is_up_to_date && !follower.is_content,
            Role::Candidate(_) | Role::Resigned(_) => pre && is_up_to_date,
            Role::Unattached(_) | Role::Prospective(_) if pre => is_up_to_date,
            Role::Unattached(_) | Role::Prospective(_) => match self.voted {
                Some(voted) => {
                    voted.id == candidate.id
                        && (voted.directory_id.is_zero() || voted.directory_id == candidate.directory_id)
                }
                None => self.leader_id.is_none() && is_up_to_date,
            },
        }
    }

    pub(crate) fn handle_begin_epoch(
        &mut self,
        now: Now,
        token: u64,
        version: i16,
        request: &BeginQuorumEpochRequest,
        out: &mut Output,
    ) {
        let refusal = |error: ErrorCode| protocol::messages::BeginQuorumEpochResponse {
            error_code: error.code(),
            ..Default::default()
        };
        if let Some(error) = self.refuse(&request.cluster_id) {
            return self.reply(token, refusal(error), out);
        }
        let Some(it) = only_begin(request) else {
            return self.reply(token, refusal(ErrorCode::InvalidRequest), out);
        };
        let endpoints = request.leader_endpoints.iter().map(|at| (&at.name, &at.host, at.port));
        let mut outcome = self.hear_of_leader(now, (it.leader_id, it.leader_epoch), endpoints, out);
        if outcome.is_ok() && !self.is_addressed(request.voter_id, it.voter_directory_id) {
            outcome = Err(ErrorCode::InvalidVoterKey);
        }
        let response = messages::begin_response(version, &self.regime(), outcome.err().unwrap_or_default());
        self.reply(token, response, out);
    }

    pub(crate) fn handle_end_epoch(
        &mut self,
        now: Now,
        token: u64,
        version: i16,
        request: &EndQuorumEpochRequest,
        out: &mut Output,
    ) {
        let refusal = |error: ErrorCode| protocol::messages::EndQuorumEpochResponse {
            error_code: error.code(),
            ..Default::default()
        };
        if let Some(error) = self.refuse(&request.cluster_id) {
            return self.reply(token, refusal(error), out);
        }
        let Some(it) = only_end(request) else {
            return self.reply(token, refusal(ErrorCode::InvalidRequest), out);
        };
        let endpoints = request.leader_endpoints.iter().map(|at| (&at.name, &at.host, at.port));
        let outcome = self.hear_of_leader(now, (it.leader_id, it.leader_epoch), endpoints, out);
        if outcome.is_ok() {
            let patience = self.patience_after(it);
            if let Role::Follower(follower) = &mut self.role
                && follower.leader.node == NodeId(it.leader_id)
            {
                follower.is_content = false;
                follower.until = now.mono.plus_ms(patience);
            }
        }
        let response = messages::end_response(version, &self.regime(), outcome.err().unwrap_or_default());
        self.reply(token, response, out);
    }

    /// How long this node leaves an election to those whom the leader named before it.
    fn patience_after(&self, it: &end_quorum_epoch_request::PartitionData) -> i64 {
        let own = self.setup.key();
        let (place, count) = if it.preferred_candidates.is_empty() {
            let place = it.preferred_successors.iter().position(|id| *id == own.id.0);
            (place, it.preferred_successors.len())
        } else {
            let is_own = |candidate: &end_quorum_epoch_request::ReplicaInfo| {
                candidate.candidate_id == own.id.0
                    && (candidate.candidate_directory_id.is_zero()
                        || candidate.candidate_directory_id == own.directory_id)
            };
            (it.preferred_candidates.iter().position(is_own), it.preferred_candidates.len())
        };
        let longest = self.setup.election_backoff_max_ms;
        match place {
            Some(0) => 0,
            Some(place) => {
                let least = longest >> (count - 1).min(62);
                least.saturating_mul(1 << (place - 1).min(62)).min(longest)
            }
            None => longest,
        }
    }

    /// A leader says that it leads an epoch.
    fn hear_of_leader<'a>(
        &mut self,
        now: Now,
        (leader_id, epoch): (i32, i32),
        mut endpoints: impl Iterator<Item = (&'a Str, &'a Str, u16)>,
        out: &mut Output,
    ) -> Result<(), ErrorCode> {
        let epoch = LeaderEpoch(epoch);
        self.check_epoch(leader_id, epoch)?;
        let id = NodeId(leader_id);
        if id == self.setup.node {
            return Err(ErrorCode::InvalidRequest);
        }
        let address = endpoints.find(|(name, ..)| **name == self.setup.listener);
        let address = address.map(|(_, host, port)| (host.clone(), port));
        let Some(leader) = self.endpoint_of(id, address) else { return Err(ErrorCode::InvalidRequest) };
        self.enter(now, epoch, leader.into(), out);
        Ok(())
    }

    /// What is wrong with a request of the quorum before it is looked at.
    pub(crate) fn refuse(&self, cluster_id: &Option<Str>) -> Option<ErrorCode> {
        if matches!(self.role, Role::Starting | Role::Replaying(_) | Role::Failed) {
            return Some(ErrorCode::BrokerNotAvailable);
        }
        cluster_id.as_ref().filter(|id| **id != self.setup.cluster_id).map(|_| ErrorCode::InconsistentClusterId)
    }

    fn check_epoch(&self, replica_id: i32, epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if replica_id < 0 { Err(ErrorCode::InvalidRequest) } else { Ok(()) }
    }

    /// True if a request names this node, or nobody.
    fn is_addressed(&self, voter_id: i32, directory_id: protocol::Uuid) -> bool {
        let own = self.setup.key();
        voter_id < 0 || (voter_id == own.id.0 && (directory_id.is_zero() || directory_id == own.directory_id))
    }
}

fn only_vote(request: &VoteRequest) -> Option<&vote_request::PartitionData> {
    match request.topics.as_slice() {
        [topic] if topic.topic_name == *TOPIC => match topic.partitions.as_slice() {
            [partition] if partition.partition_index == 0 => Some(partition),
            _ => None,
        },
        _ => None,
    }
}

fn only_begin(request: &BeginQuorumEpochRequest) -> Option<&begin_quorum_epoch_request::PartitionData> {
    match request.topics.as_slice() {
        [topic] if topic.topic_name == *TOPIC => match topic.partitions.as_slice() {
            [partition] if partition.partition_index == 0 => Some(partition),
            _ => None,
        },
        _ => None,
    }
}

fn only_end(request: &EndQuorumEpochRequest) -> Option<&end_quorum_epoch_request::PartitionData> {
    match request.topics.as_slice() {
        [topic] if topic.topic_name == *TOPIC => match topic.partitions.as_slice() {
            [partition] if partition.partition_index == 0 => Some(partition),
            _ => None,
        },
        _ => None,
    }
}
