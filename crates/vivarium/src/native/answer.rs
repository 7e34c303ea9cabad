//! What a scenario can ask of processes, in the words in which the simulator answers.

use bytes::Bytes;
use ordered::{Map, Set};
use protocol::{NodeId, Offset, Str, TopicPartition};
use sim::check::Check;
use sim::script::{Query, Step};

use super::actor::Told;
use super::ask::{self, Batches};
use super::machine::Machine;
use super::{Stage, place_of};

impl Stage {
    /// Answers a question; `Err` says why it cannot.
    pub(super) fn answer(&mut self, query: &Query) -> Result<Vec<String>, String> {
        match query {
            Query::Log(partition, broker) => {
                let log = self.log(partition, broker.as_ref())?;
                Ok(log.iter().flat_map(|(_, records)| records).map(|it| value_word(it.value.as_ref())).collect())
            }
            Query::Start(partition, broker) => {
                let log = self.log(partition, broker.as_ref())?;
                Ok(vec![log.first().map_or(Offset(0), |(head, _)| head.base_offset).to_string()])
            }
            Query::End(partition, broker) => Ok(vec![ask::end(&self.log(partition, broker.as_ref())?).to_string()]),
            Query::HighWatermark(partition, broker) => {
                let machine = self.machine_of(partition, broker.as_ref())?;
                Ok(vec![ask::high_watermark(machine, partition)?.to_string()])
            }
            Query::Epochs(partition, broker) => {
                let log = self.log(partition, Some(broker))?;
                Ok(log.iter().flat_map(|(head, it)| it.iter().map(|_| head.leader_epoch.to_string())).collect())
            }
            Query::Leader(partition) => {
                self.look();
                let leader = ask::partition(&self.image, partition)?.leader;
                Ok(vec![leader.map_or("none".to_owned(), |id| self.name_of(id))])
            }
            Query::LeaderEpoch(partition) => {
                self.look();
                Ok(vec![ask::partition(&self.image, partition)?.leader_epoch.to_string()])
            }
            Query::Isr(partition) => {
                self.look();
                Ok(self.names_of(&ask::partition(&self.image, partition)?.isr))
            }
            Query::Elr(partition) => {
                self.look();
                Ok(self.names_of(&ask::partition(&self.image, partition)?.elr))
            }
            Query::Replicas(partition) => {
                self.look();
                let found = ask::partition(&self.image, partition)?;
                let word = |id: &NodeId| {
                    let sign = match (found.adding_replicas.contains(id), found.removing_replicas.contains(id)) {
                        (true, _) => "+",
                        (_, true) => "-",
                        _ => "",
                    };
                    format!("{sign}{}", self.name_of(*id))
                };
                Ok(found.replicas.iter().map(word).collect())
            }
            Query::Controller => {
                let active = ask::active_controller(&self.machines);
                Ok(vec![active.map_or("none".to_owned(), |(machine, _)| machine.name.to_string())])
            }
            Query::Voters => {
                let voters = ask::voters(&self.machines).ok_or("nobody leads the quorum")?;
                let run = self.machines.iter().filter(|it| it.is_up() && voters.contains(&it.id));
                Ok(run.map(|it| it.name.to_string()).collect())
            }
            Query::Fenced(broker) => {
                self.look();
                let id = NodeId(self.machine(broker)?.id);
                let found = self.image.broker(id).ok_or(format!("{broker} is not registered"))?;
                Ok(vec![if found.fenced { "fenced" } else { "unfenced" }.to_owned()])
            }
            Query::Behind => Ok(self.behind()),
            Query::Outcome(name, number) => self.outcome(name, *number),
            Query::Appended(name, number) => self.appended(name, *number),
            Query::Consumed(name) => {
                Ok(self.actor(name)?.books().consumed.iter().map(|it| value_word(it.as_ref())).collect())
            }
            Query::Answer(name, number) => self.wire_answer(name, *number),
            Query::Check(Check::LogMatching) => Ok(vec![if self.logs_match() { "holds" } else { "broken" }.to_owned()]),
            Query::Lost | Query::Allowed => Ok(vec![self.missing().to_string()]),
            other => Err(format!("{other} is not asked of processes")),
        }
    }

    /// True of what can be looked at from outside: that logs match, and that nothing was lost, repeated or reordered. How
    /// often something was that may be is counted by the simulator alone.
    pub(super) fn can_check(&self, step: &Step) -> bool {
        match step {
            Step::Expect(Query::Check(check), _) => *check == Check::LogMatching,
            Step::Expect(Query::Lost | Query::Allowed, words) => words.iter().map(|it| &**it).eq(["0"]),
            _ => true,
        }
    }

    /// Learns what is committed, if there is somebody who tells.
    pub(super) fn look(&mut self) {
        if let Some(image) = ask::image(&self.machines) {
            self.image = image;
        }
    }

    fn name_of(&self, id: NodeId) -> String {
        ask::by_id(&self.machines, id).map_or_else(|| id.to_string(), |it| it.name.to_string())
    }

    /// In the order of their ids.
    fn names_of(&self, ids: &[NodeId]) -> Vec<String> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.into_iter().map(|id| self.name_of(id)).collect()
    }

    /// A broker, or a partition's leader.
    fn machine_of(&mut self, partition: &TopicPartition, broker: Option<&Str>) -> Result<&Machine, String> {
        if let Some(broker) = broker {
            return self.machine(broker).map(|it| &*it);
        }
        self.look();
        let leader = ask::partition(&self.image, partition)?.leader.ok_or(format!("nobody leads {partition}"))?;
        ask::by_id(&self.machines, leader).ok_or(format!("there is no broker {leader}"))
    }

    fn log(&mut self, partition: &TopicPartition, broker: Option<&Str>) -> Result<Batches, String> {
        let machine = self.machine_of(partition, broker)?;
        if !machine.is_up() {
            return Err(format!("{} does not run", machine.name));
        }
        ask::log(machine, partition)
    }

    /// Partitions that are not as they should be once all is well.
    fn behind(&mut self) -> Vec<String> {
        self.look();
        let mut behind = Vec::new();
        for topic in self.image.topics() {
            for (number, partition) in topic.partitions.iter() {
                let place = place_of(&topic.name, *number);
                let (mut isr, mut replicas) = (partition.isr.clone(), partition.replicas.clone());
                isr.sort_unstable();
                replicas.sort_unstable();
                let machines = replicas.iter().filter_map(|id| ask::by_id(&self.machines, *id)).filter(|it| it.is_up());
                let logs: Vec<(Offset, Offset)> = machines
                    .filter_map(|it| {
                        Some((ask::end(&ask::log(it, &place).ok()?), ask::high_watermark(it, &place).ok()?))
                    })
                    .collect();
                let end = logs.iter().map(|it| it.0).max();
                let is_even = logs.len() == replicas.len() && logs.iter().all(|it| Some(it.0) == end && it.0 == it.1);
                if isr != replicas || partition.leader.is_none() || !is_even {
                    behind.push(place.to_string());
                }
            }
        }
        behind
    }

    fn outcome(&self, name: &Str, number: u64) -> Result<Vec<String>, String> {
        let books = self.actor(name)?.books();
        let sent = usize::try_from(number).ok().and_then(|it| books.sent.get(it));
        let sent = sent.ok_or(format!("{name} has sent no record {number}"))?;
        let word = match sent.told {
            Told::Pending => "pending",
            Told::Ok => "ok",
            Told::Failed => "failed",
            Told::Unknown => "unknown",
        };
        let offset = sent.offset.filter(|_| sent.told == Told::Ok);
        Ok(std::iter::once(word.to_owned()).chain(offset.map(|it| it.to_string())).collect())
    }

    fn appended(&mut self, name: &Str, number: u64) -> Result<Vec<String>, String> {
        let books = self.actor(name)?.books();
        let sent = usize::try_from(number).ok().and_then(|it| books.sent.get(it)).cloned();
        drop(books);
        let sent = sent.ok_or(format!("{name} has sent no record {number}"))?;
        let place = sent.place.unwrap_or_else(|| place_of(&sent.topic, 0));
        let log = self.log(&place, None)?;
        let count = log.iter().flat_map(|(_, records)| records).filter(|it| it.value == sent.value).count();
        Ok(vec![count.to_string()])
    }

    fn wire_answer(&self, name: &Str, number: u64) -> Result<Vec<String>, String> {
        let wire = self.wires.get(name).ok_or(format!("{name} is not a wire client"))?;
        let answers = wire.answers();
        let answer = usize::try_from(number).ok().and_then(|it| answers.get(it));
        let answer = answer.ok_or(format!("{name} has no answer {number}"))?;
        Ok(sim::ask::words(answer, &|id| self.name_of(id)))
    }

    /// Every two replicas hold the same at the same offset and epoch.
    fn logs_match(&mut self) -> bool {
        self.look();
        let places = self.image.topics().flat_map(|topic| {
            topic.partitions.iter().map(|(number, it)| (place_of(&topic.name, *number), it.replicas.clone()))
        });
        places.collect::<Vec<_>>().into_iter().all(|(place, replicas)| {
            let machines = replicas.iter().filter_map(|id| ask::by_id(&self.machines, *id));
            let logs: Vec<_> = machines.filter_map(|it| ask::log(it, &place).ok()).map(entries).collect();
            logs.iter().all(|a| {
                logs.iter().all(|b| a.iter().zip(b.iter()).all(|(a, b)| (a.0, a.1) != (b.0, b.1) || a.2 == b.2))
            })
        })
    }

    /// How many acknowledged records are not in their leader's log, or more than once although their producer is idempotent, or
    /// before one that it sent earlier.
    fn missing(&mut self) -> usize {
        let mut wrong = 0;
        let actors: Vec<(bool, Vec<super::actor::Sent>)> =
            self.actors.values().map(|it| (it.is_idempotent, it.books().sent.clone())).collect();
        for (is_idempotent, sent) in actors {
            let mut offsets: Map<TopicPartition, Map<Option<Bytes>, Vec<i64>>> = Map::new();
            for place in sent.iter().filter_map(|it| it.place.clone()).collect::<Set<_>>() {
                let log = self.log(&place, None).unwrap_or_default();
                let of_place = offsets.entry(place).or_default();
                for it in log.into_iter().flat_map(|(_, records)| records) {
                    of_place.entry(it.value).or_default().push(it.offset.0);
                }
            }
            let mut last: Map<&TopicPartition, i64> = Map::new();
            for it in sent.iter().filter(|it| it.told == Told::Ok) {
                let Some(place) = &it.place else { continue };
                let found =
                    offsets.get(place).and_then(|of_place| of_place.get(&it.value)).map_or(&[][..], Vec::as_slice);
                let is_late = last.get(place).is_some_and(|offset| found.first() < Some(offset));
                wrong += usize::from(found.is_empty() || (is_idempotent && found.len() > 1) || is_late);
                if let Some(offset) = found.last() {
                    last.insert(place, *offset);
                }
            }
        }
        wrong
    }
}

fn entries(log: Batches) -> Vec<(Offset, i32, Option<Bytes>)> {
    let records = log
        .into_iter()
        .flat_map(|(head, records)| records.into_iter().map(move |it| (it.offset, head.leader_epoch.0, it.value)));
    records.collect()
}

fn value_word(value: Option<&Bytes>) -> String {
    value.map_or("null".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}
