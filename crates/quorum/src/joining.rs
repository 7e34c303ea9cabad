//! What a follower has the leader change about the voters (KIP-853): where this voter listens and what it can, and, with
//! `controller.quorum.auto.join.enable`, that it votes at all.

use protocol::{ErrorCode, Now, RequestBody};

use crate::calls::{InFlight, Kind};
use crate::messages::{self, Heard};
use crate::role::{Follower, Role};
use crate::{Output, Quorum};

impl Quorum {
    /// What the leader has to be asked for, if anything.
    fn wish(&self, follower: &Follower) -> Option<Kind> {
        if !self.setup.is_controller {
            return None;
        }
        let is_static = self.log.history.has_static_voters();
        let known = self.voters().get(self.setup.node);
        if self.is_voter() {
            // A leader keeps what the log of static voters cannot say, so each new one is told.
            let is_due = match is_static {
                true => !follower.has_told_leader,
                false => known.is_some_and(|it| *it != self.setup.voter()),
            };
            return is_due.then_some(Kind::UpdateVoter);
        }
        if is_static || !self.setup.auto_join {
            return None;
        }
        // A voter of this number and another directory is this node before it lost its disk.
        Some(if known.is_some() { Kind::RemoveVoter } else { Kind::AddVoter })
    }

    /// When the leader may be asked next.
    pub(crate) fn wish_at(&self, follower: &Follower) -> Option<protocol::Instant> {
        self.wish(follower).map(|_| follower.wish_at)
    }

    /// Asks the leader for what is wished.
    pub(crate) fn tell_wish(&mut self, now: Now, out: &mut Output) {
        let Role::Follower(follower) = &self.role else { return };
        if now.mono < follower.wish_at {
            return;
        }
        let to = follower.leader.clone();
        let Some(kind) = self.wish(follower) else { return };
        if !self.calls.is_ready(to.node, now.mono) || self.calls.is_asking(to.node, kind) {
            return;
        }
        let body = match kind {
            Kind::AddVoter => RequestBody::AddRaftVoter(messages::add_voter_request(&self.setup)),
            Kind::RemoveVoter => {
                let old = self.voters().get(self.setup.node).map(|voter| voter.key()).unwrap_or(self.setup.key());
                RequestBody::RemoveRaftVoter(messages::remove_voter_request(&self.setup, old))
            }
            _ => RequestBody::UpdateRaftVoter(messages::update_voter_request(&self.setup, self.epoch)),
        };
        self.call(to, kind, body, out);
        self.wish_later(now);
    }

    fn wish_later(&mut self, now: Now) {
        let wish_at = now.mono.plus_ms(self.setup.fetch_timeout_ms);
        if let Role::Follower(follower) = &mut self.role {
            follower.wish_at = wish_at;
        }
    }

    /// The leader has answered a wish. False if it is left alone for a moment.
    pub(crate) fn wish_answered(&mut self, now: Now, call: InFlight, error: ErrorCode) -> bool {
        let is_settled = match call.kind {
            // In either case there is nothing to be asked for again at once.
            Kind::AddVoter => matches!(error, ErrorCode::None | ErrorCode::RequestTimedOut | ErrorCode::DuplicateVoter),
            _ => matches!(error, ErrorCode::None | ErrorCode::RequestTimedOut | ErrorCode::VoterNotFound),
        };
        if is_settled {
            self.wish_later(now);
        }
        is_settled
    }

    /// As [`Quorum::wish_answered`], of this voter's own entry.
    pub(crate) fn voter_updated(&mut self, now: Now, call: InFlight, heard: Heard, out: &mut Output) -> bool {
        let error = heard.error;
        if self.learn(now, call.to, heard, out) {
            return true;
        }
        // A leader before kraft.version 1 does not know the request.
        if !matches!(error, ErrorCode::None | ErrorCode::UnsupportedVersion) {
            return false;
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.has_told_leader = true;
        }
        self.heard_from_leader(now);
        true
    }
}
