//! Changes of the voters, as the leader makes them (KIP-853): one at a time, each a record that counts as soon as it is in the
//! log. Checks, their order and their words are Apache Kafka's.

use protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, ApiVersionsRequest, ApiVersionsResponse, RemoveRaftVoterRequest,
    RemoveRaftVoterResponse, UpdateRaftVoterRequest,
};
use protocol::{ErrorCode, Instant, NodeId, Now, Offset, RequestBody, Str};

use crate::calls::{InFlight, Kind};
use crate::messages;
use crate::role::Role;
use crate::setup::Endpoint;
use crate::voters::{ReplicaKey, Voter, VoterSet};
use crate::{KRAFT_VERSION, Output, Quorum, batch};

/// Who has reached the log's end within this time is not far behind, as in Kafka.
const CAUGHT_UP_MS: i64 = 3_600_000;

/// A change that has begun: the next one waits for its end.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    kind: ChangeKind,
    /// Who gets the answer; nobody any more who has it.
    token: Option<u64>,
    /// It is given up then. What is in the log stays there.
    until: Instant,
    stage: Stage,
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// This call asks the voter what it can do. What another change asked of it decides nothing here.
    Asked(u64),
    /// Its record is there.
    Appended(Offset),
}

#[derive(Clone, Debug)]
enum ChangeKind {
    /// Whoever asked may wait until it is committed, or not.
    Add(Voter, bool),
    Remove,
    Update(Voter),
}

impl Change {
    pub(crate) fn until(&self) -> Instant {
        self.until
    }
}

/// An error code, and what is said with it.
type Refusal = (ErrorCode, String);

impl Quorum {
    pub(crate) fn handle_add_voter(&mut self, now: Now, token: u64, request: &AddRaftVoterRequest, out: &mut Output) {
        if let Err((error, what)) = self.begin_add(now, token, request, out) {
            self.answer_change(&ChangeKind::Add(Voter::default(), false), token, error, what, out);
        }
    }

    fn begin_add(
        &mut self,
        now: Now,
        token: u64,
        request: &AddRaftVoterRequest,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        self.check_leading(&request.cluster_id)?;
        let voter = Voter {
            id: NodeId(request.voter_id),
            directory_id: request.voter_directory_id,
            endpoints: request.listeners.iter().map(|it| (it.name.clone(), it.host.clone(), it.port)).collect(),
            kraft_versions: (0, 0),
        };
        if voter.id < NodeId(0) || voter.directory_id.is_zero() {
            return Err((ErrorCode::InvalidRequest, "Add voter request didn't include a valid voter".into()));
        }
        let Some(to) = voter.endpoint_at(&self.setup.listener) else {
            let (listeners, listener) = (voter.listeners(), &self.setup.listener);
            let what = format!(
                "Add voter request didn't include the endpoint ({listeners}) for the default listener {listener}"
            );
            return Err((ErrorCode::InvalidRequest, what));
        };
        let voters = self.check_changeable(now, "adding", out)?;
        if voters.get(voter.id).is_some() {
            let (key, keys) = (voter.key(), voters.keys());
            let what = format!("The voter id for {key} is already part of the set of voters {keys}.");
            return Err((ErrorCode::DuplicateVoter, what));
        }
        if !self.calls.is_ready(to.node, now.mono) {
            let what = format!("New voter {} is not ready to receive requests", voter.key());
            return Err((ErrorCode::RequestTimedOut, what));
        }
        let asked = self.ask_what_it_can(to, out);
        self.begin_change(now, ChangeKind::Add(voter, request.ack_when_committed), token, Stage::Asked(asked));
        Ok(())
    }

    pub(crate) fn handle_remove_voter(
        &mut self,
        now: Now,
        token: u64,
        request: &RemoveRaftVoterRequest,
        out: &mut Output,
    ) {
        if let Err((error, what)) = self.begin_remove(now, token, request, out) {
            self.answer_change(&ChangeKind::Remove, token, error, what, out);
        }
    }

    fn begin_remove(
        &mut self,
        now: Now,
        token: u64,
        request: &RemoveRaftVoterRequest,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        self.check_leading(&request.cluster_id)?;
        let key = ReplicaKey { id: NodeId(request.voter_id), directory_id: request.voter_directory_id };
        if key.id < NodeId(0) || key.directory_id.is_zero() {
            return Err((ErrorCode::InvalidRequest, "Remove voter request didn't include a valid voter".into()));
        }
        let voters = self.check_changeable(now, "removing", out)?;
        let Some(rest) = voters.without(key) else {
            let what = format!("Cannot remove voter {key} from the set of voters {}", voters.keys());
            return Err((ErrorCode::VoterNotFound, what));
        };
        let at = self.append_voters(now, rest, out);
        self.begin_change(now, ChangeKind::Remove, token, Stage::Appended(at));
        Ok(())
    }

    pub(crate) fn handle_update_voter(
        &mut self,
        now: Now,
        token: u64,
        request: &UpdateRaftVoterRequest,
        out: &mut Output,
    ) {
        if let Err(error) = self.begin_update(now, token, request, out) {
            let response = messages::update_voter_response(&self.regime(), error);
            self.reply(token, response, out);
        }
    }

    fn begin_update(
        &mut self,
        now: Now,
        token: u64,
        request: &UpdateRaftVoterRequest,
        out: &mut Output,
    ) -> Result<(), ErrorCode> {
        if let Some(error) = self.refuse(&request.cluster_id) {
            return Err(error);
        }
        self.check_leader(protocol::LeaderEpoch(request.current_leader_epoch))?;
        let levels = &request.kraft_version_feature;
        let (least, most) = (levels.min_supported_version, levels.max_supported_version);
        let voter = Voter {
            id: NodeId(request.voter_id),
            directory_id: request.voter_directory_id,
            endpoints: request.listeners.iter().map(|it| (it.name.clone(), it.host.clone(), it.port)).collect(),
            kraft_versions: (least, most),
        };
        if voter.id < NodeId(0) || voter.directory_id.is_zero() || least < 0 || most < least {
            return Err(ErrorCode::InvalidRequest);
        }
        self.expire_change(now, out);
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        if leader.change.is_some() || leader.high_watermark.is_none() {
            return Err(ErrorCode::RequestTimedOut);
        }
        let to = voter.endpoint_at(&self.setup.listener).ok_or(ErrorCode::InvalidRequest)?;
        if !self.calls.is_ready(to.node, now.mono) {
            return Err(ErrorCode::RequestTimedOut);
        }
        let asked = self.ask_what_it_can(to, out);
        self.begin_change(now, ChangeKind::Update(voter), token, Stage::Asked(asked));
        Ok(())
    }

    fn check_leading(&self, cluster_id: &Option<Str>) -> Result<(), Refusal> {
        match self.refuse(cluster_id) {
            Some(ErrorCode::InconsistentClusterId) => {
                let (given, own) = (cluster_id.as_deref().unwrap_or_default(), &self.setup.cluster_id);
                let what = format!("The given id \"{given}\" doesn't match the cluster id \"{own}\"");
                Err((ErrorCode::InconsistentClusterId, what))
            }
            Some(error) => Err((error, String::new())),
            None if matches!(self.role, Role::Leader(_)) => Ok(()),
            None => Err((ErrorCode::NotLeaderOrFollower, String::new())),
        }
    }

    /// The voters that the next change begins with, if it may begin.
    fn check_changeable(&mut self, now: Now, doing: &str, out: &mut Output) -> Result<VoterSet, Refusal> {
        self.expire_change(now, out);
        let late = |what: String| Err((ErrorCode::RequestTimedOut, format!("Request timed out waiting for {what}")));
        let Role::Leader(leader) = &self.role else { return Err((ErrorCode::NotLeaderOrFollower, String::new())) };
        if leader.change.is_some() {
            return late("leader to handle previous voter change request".into());
        }
        let Some(mark) = leader.high_watermark else {
            return late("leader to establish HWM and fence previous voter changes".into());
        };
        let level = self.log.history.kraft_version();
        if level == 0 {
            let what = format!("Cluster doesn't support {doing} voter because the {KRAFT_VERSION} feature is {level}");
            return Err((ErrorCode::UnsupportedVersion, what));
        }
        match self.log.history.voters() {
            Some((at, voters)) if *at < mark => Ok(voters.clone()),
            Some((at, _)) => {
                late(format!("voters to commit the latest voter change at Optional[{at}] with HWM {mark}"))
            }
            None => late(format!("voters to commit the latest voter change at Optional.empty with HWM {mark}")),
        }
    }

    fn ask_what_it_can(&mut self, to: Endpoint, out: &mut Output) -> u64 {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("vivarium"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        self.call(to, Kind::Versions, RequestBody::ApiVersions(request), out)
    }

    fn begin_change(&mut self, now: Now, kind: ChangeKind, token: u64, stage: Stage) {
        let until = now.mono.plus_ms(self.setup.request_timeout_ms);
        if let Role::Leader(leader) = &mut self.role {
            leader.change = Some(Change { kind, token: Some(token), until, stage });
        }
    }

    /// A voter to be has said what it can, or nothing. False if it is left alone for a moment.
    pub(crate) fn versions_heard(
        &mut self,
        now: Now,
        call: InFlight,
        answer: Option<&ApiVersionsResponse>,
        out: &mut Output,
    ) -> bool {
        let Role::Leader(leader) = &mut self.role else { return true };
        let Some(change) = leader.change.take_if(|it| it.stage == Stage::Asked(call.token)) else { return true };
        let error = answer.map_or(ErrorCode::NetworkException, |it| ErrorCode::from_code(it.error_code));
        let levels = answer.and_then(|it| it.supported_features.iter().find(|it| it.name == *KRAFT_VERSION));
        let levels = levels.map(|it| (it.min_version, it.max_version));
        let outcome = match &change.kind {
            ChangeKind::Add(voter, _) => self.add(now, voter, error, levels, out),
            ChangeKind::Update(voter) => self.update(now, voter, error, levels, out),
            ChangeKind::Remove => return true,
        };
        match outcome {
            Ok(at) => {
                let mut change = change;
                if !matches!(change.kind, ChangeKind::Add(_, true))
                    && let Some(token) = change.token.take()
                {
                    self.answer_change(&change.kind, token, ErrorCode::None, String::new(), out);
                }
                // Without a record there is nothing to be committed.
                if let (Role::Leader(leader), Some(at)) = (&mut self.role, at) {
                    leader.change = Some(Change { stage: Stage::Appended(at), ..change });
                }
            }
            Err((refusal, what)) => {
                if let Some(token) = change.token {
                    self.answer_change(&change.kind, token, refusal, what, out);
                }
            }
        }
        error == ErrorCode::None
    }

    fn add(
        &mut self,
        now: Now,
        voter: &Voter,
        error: ErrorCode,
        levels: Option<(i16, i16)>,
        out: &mut Output,
    ) -> Result<Option<Offset>, Refusal> {
        let key = voter.key();
        let aborted =
            |code: ErrorCode, why: String| Err((code, format!("Aborted add voter operation for {key} since {why}")));
        if error != ErrorCode::None {
            let why = format!("API_VERSIONS returned an error {}", error.name());
            return aborted(ErrorCode::RequestTimedOut, why);
        }
        let level = self.log.history.kraft_version();
        let (least, most) = levels.unwrap_or((0, 0));
        if levels.is_none() || !(least..=most).contains(&level) {
            let why = format!(
                "the {KRAFT_VERSION} range (min: {least}, max: {most}) doesn't support the finalized version {level}"
            );
            return aborted(ErrorCode::InvalidRequest, why);
        }
        let Role::Leader(leader) = &self.role else { return Ok(None) };
        let is_caught_up = leader.replicas.get(&key).is_some_and(|it| {
            it.last_caught_up > 0 && it.last_fetch > 0 && it.last_fetch > now.wall.0.saturating_sub(CAUGHT_UP_MS)
        });
        if !is_caught_up {
            return aborted(ErrorCode::RequestTimedOut, "it is lagging behind".into());
        }
        let voter = Voter { kraft_versions: (least, most), ..voter.clone() };
        let voters = VoterSet::of(self.voters().iter().cloned().chain([voter]));
        Ok(Some(self.append_voters(now, voters, out)))
    }

    fn update(
        &mut self,
        now: Now,
        voter: &Voter,
        error: ErrorCode,
        levels: Option<(i16, i16)>,
        out: &mut Output,
    ) -> Result<Option<Offset>, Refusal> {
        let refused = |code: ErrorCode| Err((code, String::new()));
        let level = self.log.history.kraft_version();
        let (least, most) = voter.kraft_versions;
        if error != ErrorCode::None {
            return refused(ErrorCode::RequestTimedOut);
        }
        if levels != Some(voter.kraft_versions) || !(least..=most).contains(&level) {
            return refused(ErrorCode::InvalidRequest);
        }
        let Role::Leader(leader) = &mut self.role else { return refused(ErrorCode::NotLeaderOrFollower) };
        let at = if level == 0 {
            // The log cannot say it: it is kept for the day on which it can.
            let Some(known) = &mut leader.updated_voters else { return refused(ErrorCode::RequestTimedOut) };
            if known.get(voter.id).is_none() {
                return refused(ErrorCode::VoterNotFound);
            }
            *known = known.with(voter.clone());
            None
        } else {
            let mark = leader.high_watermark.unwrap_or_default();
            let Some((_, voters)) = self.log.history.voters().filter(|(at, _)| *at < mark) else {
                return refused(ErrorCode::RequestTimedOut);
            };
            if !voters.contains(voter.key()) {
                return refused(ErrorCode::VoterNotFound);
            }
            let voters = voters.with(voter.clone());
            Some(self.append_voters(now, voters, out))
        };
        // Who asks this follows.
        self.note_following(now, voter.id);
        Ok(at)
    }

    /// Appends who votes from here on.
    fn append_voters(&mut self, now: Now, voters: VoterSet, out: &mut Output) -> Offset {
        self.write_held(out);
        let base = self.log.end();
        let batch = batch::voters_change(base, self.epoch, now.wall, &voters);
        self.write(now, batch, out);
        self.log.history.change_voters(base, voters);
        // Those who are the majority now have their time to be heard of: who was alone has waited for nobody.
        let deadline = self.quorum_deadline(now);
        if let Role::Leader(leader) = &mut self.role {
            leader.quorum_until = leader.quorum_until.max(deadline);
        }
        self.log.flush(&mut self.ops, out);
        base
    }

    /// Whether `kraft.version` may become this level, and whether that is a change; else why not.
    pub fn check_kraft_version(&self, level: i16) -> Result<bool, String> {
        let present = self.log.history.kraft_version();
        let invalid = |why: &str| {
            Err(format!(
                "Invalid upgrade of {KRAFT_VERSION} from version KRAFT_VERSION_{present} to KRAFT_VERSION_{level}{why}"
            ))
        };
        if level == present {
            return Ok(false);
        }
        if level < present {
            return invalid(" because the new version is a downgrade");
        }
        let Role::Leader(leader) = &self.role else { return invalid("") };
        let Some(voters) = &leader.updated_voters else { return invalid("") };
        let can = |it: &Voter| (it.kraft_versions.0..=it.kraft_versions.1).contains(&level);
        if !voters.iter().all(|voter| can(voter) && !voter.directory_id.is_zero()) {
            return Err(format!(
                "Invalid upgrade of {KRAFT_VERSION} to KRAFT_VERSION_{level} because not all of the voters support it"
            ));
        }
        Ok(true)
    }

    /// Makes the voters the log's own: `kraft.version` becomes 1. It may, by [`Quorum::check_kraft_version`].
    pub fn upgrade_kraft_version(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(voters) = leader.updated_voters.take() else { return };
        self.write_held(out);
        let base = self.log.end();
        let batch = batch::voters_begin(base, self.epoch, now.wall, &voters);
        self.write(now, batch, out);
        // They were known without their directories.
        leader_knows_directories(&mut self.role, &voters);
        self.log.history.begin(base, voters);
        self.log.flush(&mut self.ops, out);
    }

    /// The high watermark has moved: a change may be done, and this node may vote no more.
    pub(crate) fn finish_change(&mut self, mark: Offset, out: &mut Output) {
        let own = self.setup.key();
        let is_out = self.log.history.voters().is_some_and(|(at, voters)| *at < mark && !voters.contains(own));
        let Role::Leader(leader) = &mut self.role else { return };
        leader.is_out = is_out && !self.log.history.has_static_voters();
        let Some(change) = leader.change.take_if(|it| matches!(it.stage, Stage::Appended(at) if at < mark)) else {
            return;
        };
        if let Some(token) = change.token {
            self.answer_change(&change.kind, token, ErrorCode::None, String::new(), out);
        }
    }

    /// Gives up a change whose time is over.
    pub(crate) fn expire_change(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &mut self.role else { return };
        if let Some(change) = leader.change.take_if(|it| it.until <= now.mono) {
            self.abandon_change(change, ErrorCode::RequestTimedOut, out);
        }
    }

    /// Nobody knows what becomes of it.
    pub(crate) fn abandon_change(&mut self, change: Change, error: ErrorCode, out: &mut Output) {
        if let Some(token) = change.token {
            let what = error.message().to_owned();
            self.answer_change(&change.kind, token, error, what, out);
        }
    }

    fn answer_change(&mut self, kind: &ChangeKind, token: u64, error: ErrorCode, what: String, out: &mut Output) {
        let error_code = error.code();
        let what = if error == ErrorCode::None { Str::from_static("NONE") } else { Str::from(what) };
        let error_message = Some(what);
        match kind {
            ChangeKind::Add(..) => {
                let response = AddRaftVoterResponse { error_code, error_message, ..Default::default() };
                self.reply(token, response, out);
            }
            ChangeKind::Remove => {
                let response = RemoveRaftVoterResponse { error_code, error_message, ..Default::default() };
                self.reply(token, response, out);
            }
            ChangeKind::Update(_) => {
                let response = messages::update_voter_response(&self.regime(), error);
                self.reply(token, response, out);
            }
        }
    }
}

/// Static voters are known by their numbers only; what is known of each goes on under its directory.
fn leader_knows_directories(role: &mut Role, voters: &VoterSet) {
    let Role::Leader(leader) = role else { return };
    for voter in voters.iter() {
        let unnamed = ReplicaKey { id: voter.id, directory_id: protocol::Uuid::ZERO };
        if let Some(progress) = leader.replicas.remove(&unnamed) {
            leader.replicas.insert(voter.key(), progress);
        }
    }
}
