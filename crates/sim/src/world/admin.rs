//! The admin: a client like any other, which carries out what is asked of the cluster.

use client::admin::{AdminCall, AlterConfigOp, ConfigChange, ConfigResource, NewPartitions, ResourceType};
use client::{ClientConfig, OpId, Operation, Outcome};
use protocol::{Offset, Str, TopicPartition};

use super::actor::OTHER;
use super::{ADMIN, ActionError, World};
use crate::action::CreateTopic;
use crate::queue::Pid;
use crate::setup::Setting;

impl World {
    pub(super) fn add_admin(&mut self) -> Result<(), ActionError> {
        self.add_client(&Str::from_static(ADMIN), &[])
    }

    fn call(&mut self, call: AdminCall) -> Result<(), ActionError> {
        let pid = self.admin();
        self.ask_client(pid, Operation::Admin(call));
        Ok(())
    }

    pub(super) fn admin(&self) -> Pid {
        self.names[ADMIN]
    }

    /// The number of what the admin was asked for last.
    pub fn admin_asked(&self) -> OpId {
        OpId(self.process(self.admin()).actor().map_or(OTHER, |actor| actor.next_other - 1))
    }

    /// A client's configuration; nothing of a wire client, which has none.
    pub fn client_config(&self, name: &str) -> Option<&ClientConfig> {
        self.process(self.pid(name).ok()?).actor().map(|it| &it.config)
    }

    /// What the admin was told in the last event, and of which operation.
    pub fn admin_told(&self) -> impl Iterator<Item = (OpId, &Outcome)> {
        let outcomes = &self.last.outcomes;
        let is_admins = !outcomes.is_empty() && self.last.process == self.admin();
        let told = outcomes.iter().filter(move |_| is_admins);
        told.filter_map(|(op, _)| Some((*op, self.answer_to(self.last.process, *op)?)))
    }

    /// What came of an operation of a client that is no send, as long as that is remembered.
    pub(crate) fn answer_to(&self, pid: Pid, op: OpId) -> Option<&Outcome> {
        let answers = &self.process(pid).actor()?.answers;
        answers.iter().rev().find(|it| it.0 == op.0).map(|it| &it.1)
    }

    /// True when the admin has been answered.
    pub fn admin_is_idle(&self) -> bool {
        self.process(self.admin()).actor().is_none_or(|actor| actor.others_open == 0)
    }

    pub(super) fn create_topic(&mut self, it: &CreateTopic) -> Result<(), ActionError> {
        let mut assignments = Vec::new();
        for (partition, names) in (0..).zip(&it.replicas) {
            let ids = names.iter().map(|name| self.broker_pid(name).map(|pid| self.node_id(pid)));
            assignments.push((partition, ids.collect::<Result<Vec<_>, _>>()?));
        }
        let brokers = self.setup.brokers.iter().filter(|it| it.is_broker()).count();
        self.checks.topic_asked(&it.name, &it.settings);
        let topic = it.new_topic(brokers, assignments);
        self.call(AdminCall::CreateTopics { topics: vec![topic], validate_only: false })
    }

    pub(super) fn alter_topic(&mut self, name: &Str, settings: &[Setting]) -> Result<(), ActionError> {
        self.checks.topic_altered(name, settings);
        self.alter(ConfigResource { kind: ResourceType::Topic, name: name.clone() }, settings)
    }

    pub(super) fn alter_broker(&mut self, name: &Str, settings: &[Setting]) -> Result<(), ActionError> {
        let id = self.broker_pid(name).map(|pid| self.node_id(pid))?;
        self.alter(ConfigResource { kind: ResourceType::Broker, name: Str::from(id.to_string()) }, settings)
    }

    fn alter(&mut self, resource: ConfigResource, settings: &[Setting]) -> Result<(), ActionError> {
        let ops = settings
            .iter()
            .map(|(key, value)| AlterConfigOp { name: key.clone(), change: ConfigChange::Set(value.clone()) });
        self.call(AdminCall::IncrementalAlterConfigs {
            resources: vec![(resource, ops.collect())],
            validate_only: false,
        })
    }

    pub(super) fn grow_topic(&mut self, name: &Str, total_count: i32) -> Result<(), ActionError> {
        let topic = NewPartitions { topic: name.clone(), total_count, assignments: None };
        self.call(AdminCall::CreatePartitions { topics: vec![topic], validate_only: false })
    }

    pub(super) fn delete_topic(&mut self, name: &Str) -> Result<(), ActionError> {
        self.call(AdminCall::DeleteTopics { topics: vec![name.clone()] })
    }

    pub(super) fn delete_records(&mut self, partition: &TopicPartition, before: Offset) -> Result<(), ActionError> {
        self.call(AdminCall::DeleteRecords { partitions: vec![(partition.clone(), before)] })
    }
}
