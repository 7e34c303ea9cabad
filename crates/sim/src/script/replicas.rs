//! What a script can ask of replicas, leaders and controllers.

use node::image::{Image, PartitionImage, TopicImage};
use node::view::{LogView, PartitionView};
use node::{Node, Scope, View};
use protocol::records::{self, PureCompressors};
use protocol::{NodeId, Offset, Str, TopicPartition};

use crate::queue::Pid;
use crate::world::{Power, World};

impl World {
    fn pids(&self) -> impl Iterator<Item = Pid> {
        (0..self.processes.len()).map(|index| Pid(index as u16))
    }

    /// What a node that runs says of itself.
    fn node_view(&self, pid: Pid, scope: &Scope) -> Option<View> {
        Some(self.process(pid).broker()?.node.as_ref()?.view(scope))
    }

    /// The node that knows most of the metadata, as it sees it.
    fn best_view(&self, scope: &Scope) -> Option<View> {
        let mut best: Option<View> = None;
        for pid in self.pids() {
            let Some(view) = self.node_view(pid, scope) else { continue };
            let knows = |it: &View| it.metadata.high_watermark;
            if best.as_ref().is_none_or(|best| knows(&view) > knows(best)) {
                best = Some(view);
            }
        }
        best
    }

    /// A partition as committed, as far as any node knows.
    pub(super) fn partition_view(&self, partition: &TopicPartition) -> Result<PartitionView, String> {
        let view = self.best_view(&Scope::Topic(partition.topic.clone()));
        let topics = view.map(|it| it.topics).unwrap_or_default();
        let found = topics.into_iter().filter(|it| it.name == partition.topic).flat_map(|it| it.partitions);
        found.into_iter().find(|it| it.partition == partition.partition).ok_or(format!("no node knows {partition}"))
    }

    /// A broker's log of a partition, if it runs and has one that is ready.
    pub(super) fn log_view(&self, pid: Pid, partition: &TopicPartition) -> Option<LogView> {
        let view = self.node_view(pid, &Scope::Topic(partition.topic.clone()))?;
        let topic = view.topics.into_iter().find(|it| it.name == partition.topic)?;
        topic.partitions.into_iter().find(|it| it.partition == partition.partition)?.log
    }

    pub(super) fn replica(&self, partition: &TopicPartition, broker: &Str) -> Result<LogView, String> {
        let pid = self.broker_pid(broker).map_err(|error| error.0)?;
        self.log_view(pid, partition).ok_or(format!("{broker} has no log of {partition}, or does not run"))
    }

    /// Who has a node id.
    pub(crate) fn pid_of(&self, id: NodeId) -> Option<Pid> {
        self.pids().find(|pid| self.process(*pid).broker().is_some_and(|it| it.config.node_id == id))
    }

    pub(crate) fn broker_name(&self, id: NodeId) -> String {
        self.pid_of(id).map_or_else(|| id.to_string(), |pid| self.name(pid).to_string())
    }

    /// In the order of their ids.
    pub(super) fn names_of(&self, mut ids: Vec<NodeId>) -> Vec<String> {
        ordered::sort(&mut ids);
        ids.into_iter().map(|id| self.broker_name(id)).collect()
    }

    /// Who leads the metadata quorum: of several that believe it, the one of the newest epoch.
    pub(crate) fn active_controller(&self) -> Option<Pid> {
        let mut best = None;
        for pid in self.pids().filter(|pid| self.process(*pid).power.is_up()) {
            let Some(metadata) = self.node_view(pid, &Scope::Node).map(|it| it.metadata) else { continue };
            if metadata.is_leader && best.is_none_or(|(epoch, _)| metadata.leader_epoch > epoch) {
                best = Some((metadata.leader_epoch, pid));
            }
        }
        best.map(|(_, pid)| pid)
    }

    pub(super) fn voters(&self) -> Vec<String> {
        let votes = |pid: &Pid| self.node_view(*pid, &Scope::Node).is_some_and(|it| it.metadata.is_voter);
        self.pids()
            .filter(|pid| self.process(*pid).power.is_up())
            .filter(votes)
            .map(|pid| self.name(pid).to_string())
            .collect()
    }

    pub(super) fn fenced(&self, broker: &Str) -> Result<Vec<String>, String> {
        let pid = self.broker_pid(broker).map_err(|error| error.0)?;
        let id = self.process(pid).broker().map(|it| it.config.node_id);
        let brokers = self.best_view(&Scope::Node).map(|it| it.brokers).unwrap_or_default();
        let found = brokers.into_iter().find(|it| Some(it.id) == id).ok_or(format!("{broker} is not registered"))?;
        Ok(vec![if found.fenced { "fenced" } else { "unfenced" }.to_owned()])
    }

    /// The epochs of a broker's records, one word a record.
    pub(super) fn epochs(&self, partition: &TopicPartition, broker: &Str) -> Result<Vec<String>, String> {
        let pid = self.broker_pid(broker).map_err(|error| error.0)?;
        let pieces = self.bytes_on(pid, partition, Offset(0), u32::MAX)?;
        let mut words = Vec::new();
        for bytes in pieces.ok_or(format!("{broker} has no {partition}"))? {
            for batch in records::read(&bytes, &PureCompressors) {
                let (head, batch) = batch.map_err(|error| format!("{partition}: {error}"))?;
                words.extend(batch.iter().map(|_| head.leader_epoch.to_string()));
            }
        }
        Ok(words)
    }

    /// The committed metadata of the node that has most of it.
    pub(crate) fn best_image(&self) -> Option<&Image> {
        let running = |pid: Pid| self.process(pid).broker().and_then(|it| it.node.as_ref());
        let mut best: Option<&Image> = None;
        for image in self.pids().filter_map(running).map(Node::image) {
            if best.is_none_or(|best| image.next_offset() > best.next_offset()) {
                best = Some(image);
            }
        }
        best
    }

    /// Who has a copy as far as is committed, and what a reassignment makes of them.
    pub(super) fn replicas(&self, partition: &TopicPartition) -> Result<Vec<String>, String> {
        let topic = self.best_image().and_then(|image| image.topic(&partition.topic));
        let found = topic.and_then(|topic| topic.partitions.get(&partition.partition));
        let found = found.ok_or(format!("no node knows {partition}"))?;
        let word = |id: &NodeId| {
            let sign = match (found.adding_replicas.contains(id), found.removing_replicas.contains(id)) {
                (true, _) => "+",
                (_, true) => "-",
                _ => "",
            };
            format!("{sign}{}", self.broker_name(*id))
        };
        Ok(found.replicas.iter().map(word).collect())
    }

    /// Partitions that are not as they should be once all is well: all replicas in sync and with the same log, all of it
    /// committed, as every broker knows.
    pub(super) fn behind(&self) -> Vec<String> {
        let Some(best) = self.best_image() else { return vec!["nobody runs".to_owned()] };
        self.behind_in(best, |_| true).map(|(topic, index)| format!("{}-{index}", topic.name)).collect()
    }

    /// The same of this metadata; while records come to a topic, only who leads and is in sync can be as it should. It is asked
    /// after each event, so nothing is put together for it.
    pub(crate) fn behind_in<'a>(
        &'a self,
        image: &'a Image,
        at_rest: impl Fn(&TopicImage) -> bool,
    ) -> impl Iterator<Item = (&'a TopicImage, i32)> {
        let partitions = image.topics().flat_map(|topic| topic.partitions.iter().map(move |it| (topic, it)));
        let is_behind = move |(topic, (index, partition)): &(&TopicImage, (&i32, &PartitionImage))| {
            let in_sync = |id: &NodeId| partition.isr.contains(id);
            let all_in_sync = partition.isr.len() == partition.replicas.len() && partition.replicas.iter().all(in_sync);
            let (at_rest, mut all_at) = (at_rest(topic), None);
            let has_all = |id: &NodeId| {
                let Some(pid) = self.pid_of(*id).filter(|pid| self.process(*pid).power == Power::Up) else {
                    return false;
                };
                let node = self.process(pid).broker().and_then(|it| it.node.as_ref());
                let Some((written, high_watermark)) = node.and_then(|it| it.replica_ends(topic.id, **index)) else {
                    return false;
                };
                !at_rest || (written == high_watermark && *all_at.get_or_insert(written) == written)
            };
            !all_in_sync || partition.leader.is_none() || !partition.replicas.iter().all(has_all)
        };
        partitions.filter(is_behind).map(|(topic, (index, _))| (topic, *index))
    }
}
