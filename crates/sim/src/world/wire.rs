//! A client that says exactly what it is told: for what no well-behaved client would send.

use std::collections::VecDeque;

use client::{Client, ConnId, Connect};
use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::{AlterReplicaLogDirsRequest, InitProducerIdRequest};
use protocol::{Request, RequestBody, Response, ResponseBody, Str, TopicPartition, Uuid};

use super::{ActionError, Kind, Power, Wire, World};
use crate::action::{Election, WireAsk, WireProduce};
use crate::ask;
use crate::link::{LinkId, Packet};
use crate::narration::Heard;
use crate::queue::Pid;
use crate::setup::{CLIENT_PORT, CONTROLLER_PORT};

const INIT_PRODUCER_ID_VERSION: i16 = 4;
const MOVE_VERSION: i16 = 2;

impl World {
    pub(super) fn add_wire(&mut self, name: &Str, broker: &Str) -> Result<(), ActionError> {
        self.broker_pid(broker)?;
        let wire = Wire {
            broker: broker.clone(),
            link: None,
            open: false,
            next_conn: 1,
            queue: VecDeque::new(),
            next_correlation_id: 0,
            answers: Vec::new(),
        };
        let pid = self.add_process(name, |_| Kind::Wire(Box::new(wire)))?;
        self.process_mut(pid).power = Power::Up;
        Ok(())
    }

    pub(super) fn wire_init_producer_id(&mut self, name: &str) -> Result<(), ActionError> {
        let body = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        self.say(name, INIT_PRODUCER_ID_VERSION, RequestBody::InitProducerId(body)).map(drop)
    }

    pub(super) fn wire_elect(
        &mut self,
        name: &str,
        election: Election,
        partition: &TopicPartition,
    ) -> Result<(), ActionError> {
        let (pid, number) = self.say(name, Election::VERSION, election.request(partition))?;
        if election == Election::Unclean {
            self.checks.unclean_asked(pid, number, partition);
        }
        Ok(())
    }

    pub(super) fn wire_reassign(
        &mut self,
        name: &str,
        partition: &TopicPartition,
        replicas: &[Str],
    ) -> Result<(), ActionError> {
        let ids = replicas.iter().map(|name| self.broker_pid(name).map(|pid| self.node_id(pid).0));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        self.say(name, ask::REASSIGNMENT_VERSION, ask::reassignment(partition, ids)).map(drop)
    }

    /// Who is named as a member of a group is known there by an id that the coordinator chose.
    pub(super) fn wire_ask(&mut self, it: &WireAsk) -> Result<(), ActionError> {
        let member = match it.member() {
            "" => Str::new(),
            name => {
                let actor = self.process(self.pid(name)?).actor();
                let group = actor.and_then(|it| it.client.as_ref()).and_then(Client::group);
                group.ok_or_else(|| ActionError(format!("{name} is no member of a group")))?.member_id
            }
        };
        let (version, body) = it.request(member).map_err(ActionError)?;
        let commits = if let RequestBody::OffsetCommit(request) = &body { Some(request.clone()) } else { None };
        let (pid, number) = self.say(&it.client, version, body)?;
        if let Some(request) = commits {
            self.checks.wire_commits(pid, number, request);
        }
        Ok(())
    }

    pub(super) fn wire_move(&mut self, name: &str, partition: &TopicPartition, dir: &Str) -> Result<(), ActionError> {
        let topic = AlterReplicaLogDirTopic { name: partition.topic.clone(), partitions: vec![partition.partition] };
        let dirs = vec![AlterReplicaLogDir { path: dir.clone(), topics: vec![topic] }];
        self.say(name, MOVE_VERSION, RequestBody::AlterReplicaLogDirs(AlterReplicaLogDirsRequest { dirs })).map(drop)
    }

    pub(super) fn wire_add_voter(&mut self, name: &str, node: &str) -> Result<(), ActionError> {
        let body = ask::voter_added(self.voter(node)?, Str::from(node), CONTROLLER_PORT);
        self.say(name, ask::ADD_VOTER_VERSION, body).map(drop)
    }

    pub(super) fn wire_remove_voter(&mut self, name: &str, node: &str) -> Result<(), ActionError> {
        let body = ask::voter_removed(self.voter(node)?);
        self.say(name, ask::REMOVE_VOTER_VERSION, body).map(drop)
    }

    /// A controller's number and the id of the directory that it keeps the metadata in.
    fn voter(&self, node: &str) -> Result<(i32, Uuid), ActionError> {
        let pid = self.broker_pid(node)?;
        let broker = self.process(pid).broker().filter(|it| it.config.roles.controller);
        let config = broker.map(|it| &it.config).ok_or_else(|| ActionError(format!("{node} is not a controller")))?;
        let directory = config.identity.directory_ids.get(usize::from(config.metadata_log_dir)).copied();
        Ok((config.node_id.0, directory.unwrap_or_default()))
    }

    pub(super) fn wire_produce(&mut self, it: &WireProduce) -> Result<(), ActionError> {
        let now = self.pid(&it.client).map(|pid| self.process(pid).now(self.clock))?;
        let body = it.request(now.wall).map_err(ActionError)?;
        self.say(&it.client, WireProduce::VERSION, RequestBody::Produce(body)).map(drop)
    }

    /// Sends a request as soon as there is a connection; tells whose it is, and its number.
    fn say(&mut self, name: &str, version: i16, body: RequestBody) -> Result<(Pid, i32), ActionError> {
        let pid = self.pid(name)?;
        let client_id = Some(self.process(pid).name.clone());
        let Some(wire) = self.process_mut(pid).wire_mut() else {
            return Err(ActionError(format!("{name} is not a wire client")));
        };
        let correlation_id = wire.next_correlation_id;
        wire.next_correlation_id += 1;
        wire.queue.push_back(Request { version, correlation_id, client_id, body });
        if wire.link.is_some() {
            self.send_queued(pid);
            return Ok((pid, correlation_id));
        }
        let connect = Connect { conn: ConnId(wire.next_conn), host: wire.broker.clone(), port: CLIENT_PORT };
        wire.next_conn += 1;
        let link = self.connect(pid, &connect);
        if let Some(wire) = self.process_mut(pid).wire_mut() {
            wire.link = Some(link);
        }
        Ok((pid, correlation_id))
    }

    fn send_queued(&mut self, pid: Pid) {
        let Some(wire) = self.process_mut(pid).wire_mut() else { return };
        let Some(link) = wire.link.filter(|_| wire.open) else { return };
        for request in std::mem::take(&mut wire.queue) {
            self.digest_request(&request);
            self.send_up(link, Packet::Message(request));
        }
    }

    pub(crate) fn wire_connected(&mut self, pid: Pid, link: LinkId, open: bool) {
        self.begin_event(pid, if open { Heard::Connected } else { Heard::ConnectFailed });
        let Some(wire) = self.process_mut(pid).wire_mut() else { return };
        wire.open = open;
        wire.link = open.then_some(link);
        self.send_queued(pid);
    }

    pub(crate) fn wire_answered(&mut self, pid: Pid, response: Response) {
        self.begin_event(pid, Heard::Response(response.body.api_key(), response.correlation_id));
        match &response.body {
            // Of an election whose end was not seen in time somebody may yet hear.
            ResponseBody::ElectLeaders(it) if it.error_code == 0 => {
                self.checks.unclean_answered(pid, response.correlation_id);
            }
            ResponseBody::OffsetCommit(it) => self.checks.wire_committed(pid, response.correlation_id, it),
            _ => {}
        }
        if let Some(wire) = self.process_mut(pid).wire_mut() {
            wire.answers.push(response);
        }
    }

    pub(crate) fn wire_closed(&mut self, pid: Pid) {
        self.begin_event(pid, Heard::Disconnected);
        self.checks.wire_lost(pid);
        if let Some(wire) = self.process_mut(pid).wire_mut() {
            wire.open = false;
            wire.link = None;
        }
    }
}
