//! What goes wrong in a world: crashes, cuts, lost disks, voters that change, and the planted bugs.

use super::*;

impl World {
    /// Ends a voter and loses its disk, if the others that vote are still a majority without it.
    pub(super) fn lose_disk(&mut self, node: usize) {
        let Some(leader) = self.leader().and_then(|it| self.quorum(it)) else { return };
        // Else it is not known whose majority is meant.
        let agrees = |it: usize| self.quorum(it).is_some_and(|it| it.voters() == leader.voters());
        let is_settled = leader.high_watermark() == leader.log_end() && (0..self.members.len()).all(agrees);
        if is_settled && self.has_majority_without(leader, node) {
            self.wipe(node);
        }
    }

    /// True if most of the voters besides the node have their disks, so that they can go on without it.
    pub(super) fn has_majority_without(&self, leader: &Quorum, node: usize) -> bool {
        let has_disk = |voter: &&Voter| {
            let at = voter.id.0 as usize - 1;
            at != node && self.directory(at) == voter.directory_id
        };
        let voters = leader.voters();
        voters.iter().filter(has_disk).count() > voters.len() / 2
    }

    /// Asks whoever leads to make somebody a voter, or none any more.
    pub(super) fn change_voters(&mut self, node: usize) {
        let Some(leader) = self.leader() else { return };
        let now = self.now();
        let voter = self.voter(node);
        let known = self.quorum(leader).expect("it leads");
        let is_voter = known.voters().contains(voter.key());
        if is_voter && !self.has_majority_without(known, node) {
            return;
        }
        let body = if is_voter {
            RequestBody::RemoveRaftVoter(RemoveRaftVoterRequest {
                cluster_id: Some("cluster".into()),
                voter_id: voter.id.0,
                voter_directory_id: voter.directory_id,
            })
        } else {
            let listener = |(name, host, port): &(protocol::Str, protocol::Str, u16)| {
                add_raft_voter_request::Listener { name: name.clone(), host: host.clone(), port: *port }
            };
            RequestBody::AddRaftVoter(AddRaftVoterRequest {
                cluster_id: Some("cluster".into()),
                timeout_ms: 1_000,
                voter_id: voter.id.0,
                voter_directory_id: voter.directory_id,
                listeners: voter.endpoints.iter().map(listener).collect(),
                ack_when_committed: true,
            })
        };
        self.stats.changes += 1;
        let token = self.next_token;
        self.next_token += 1;
        // Nobody waits: an answer is counted in passing.
        self.changes.insert((leader, token));
        self.act(leader, |quorum, out| quorum.request(now, token, VERSIONS(&body), body, out));
    }

    /// What a voter asks for says what it has.
    pub(super) fn boast(&self, from: usize, to: usize, mut body: RequestBody) -> RequestBody {
        if self.bug == Bug::BoastfulVoters
            && let RequestBody::Fetch(fetch) = &mut body
            && let Some(leader) = self.quorum(to).filter(|it| it.role() == RoleKind::Leader)
            && leader.voters().get(self.members[from].id).is_some()
        {
            for it in fetch.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                it.fetch_offset = leader.log_end().0;
                it.last_fetched_epoch = leader.leader_epoch().0;
            }
        }
        body
    }

    pub(super) fn tamper(&mut self, body: &mut ResponseBody) {
        match (body, self.bug) {
            (ResponseBody::Vote(response), Bug::GenerousVoters) => {
                for it in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    it.vote_granted = true;
                    it.error_code = 0;
                }
            }
            (ResponseBody::Fetch(response), Bug::HastyWatermark) => {
                for it in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    it.high_watermark = if it.error_code == 0 { 1 << 40 } else { it.high_watermark };
                }
            }
            (ResponseBody::Fetch(response), Bug::NoDivergence) => {
                for it in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    it.diverging_epoch = Default::default();
                }
            }
            _ => {}
        }
    }

    pub(super) fn fault(&mut self) {
        self.stats.faults += 1;
        let node = self.random.below(self.members.len() as u64) as usize;
        let other = self.random.below(self.members.len() as u64) as usize;
        match self.random.below(if self.is_dynamic { 18 } else { 10 }) {
            10..=12 => self.lose_disk(node),
            13..=17 => self.change_voters(node),
            0..=2 => self.stop(node, true),
            3 => self.stop(node, false),
            4 | 5 if node != other => self.cut(node, other),
            6 => {
                for to in 0..self.members.len() {
                    self.cut.extend([(node, to), (to, node)]);
                }
            }
            _ => self.heal(),
        }
        if self.members[node].quorum.is_none() {
            let down = self.random.below(3_000_000);
            self.push(down, Event::Restart { node });
        }
        let next = 200_000 + self.random.below(2_000_000);
        self.push(next, Event::Fault);
    }
}
