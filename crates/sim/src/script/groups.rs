//! What a script can ask of consumer groups.

use client::{Client, GroupView, MemberState};
use protocol::{Str, TopicPartition};

use super::query::Query;
use super::quote::Duration;
use crate::groups::{Group, Member, Partition};
use crate::world::World;

impl World {
    pub(super) fn ask_group(&self, query: &Query) -> Result<Vec<String>, String> {
        match query {
            Query::Group(id) => Ok(vec![self.group(id)?.state.map_or("none".to_owned(), |it| it.to_string())]),
            Query::Members(id) => {
                let members = self.group(id)?.members.into_iter().filter(|it| it.is_counted);
                Ok(members.map(|it| it.client.to_string()).collect())
            }
            Query::Unsettled(id) => Ok(self.unsettled(&self.group(id)?)),
            Query::Paused(id) => Ok(vec![Duration(self.group(id)?.paused_us).to_string()]),
            Query::Owned(client) => Ok(self
                .member(client)?
                .map_or(Vec::new(), |it| it.owned.iter().map(TopicPartition::to_string).collect())),
            Query::Epoch(client) => Ok(vec![self.member(client)?.map_or(-1, |it| it.epoch).to_string()]),
            Query::Committed(partition, id) => {
                let committed = self.partition_of(partition, id)?.committed;
                Ok(vec![committed.map_or("none".to_owned(), |it| it.to_string())])
            }
            Query::Lag(partition, id) => {
                let lag = self.partition_of(partition, id)?.lag();
                Ok(vec![lag.map_or("-".to_owned(), |it| it.to_string())])
            }
            other => Err(format!("{other} is no question about groups")),
        }
    }

    fn group(&self, id: &Str) -> Result<Group, String> {
        self.groups().into_iter().find(|it| it.id == *id).ok_or(format!("no consumer names a group {id}"))
    }

    /// `None` while its process does not run.
    fn member(&self, client: &Str) -> Result<Option<GroupView>, String> {
        let pid = self.pid(client).map_err(|error| error.0)?;
        let actor = self.process(pid).actor().filter(|it| it.config.group_id.is_some());
        let actor = actor.ok_or(format!("{client} is a consumer of no group"))?;
        Ok(actor.client.as_ref().and_then(Client::group))
    }

    fn partition_of(&self, partition: &TopicPartition, id: &Str) -> Result<Partition, String> {
        let partitions = self.group(id)?.partitions;
        let found = partitions.into_iter().find(|it| it.partition == *partition);
        found.ok_or(format!("nobody in {id} subscribed to the topic of {partition}"))
    }

    fn unsettled(&self, group: &Group) -> Vec<String> {
        let lives = |it: &&Member| it.power.is_up() && !it.paused && !self.is_closed(&it.client);
        let on_its_way = |it: &&Member| it.state != MemberState::Member || it.epoch != group.epoch;
        let members = group.members.iter().filter(lives).filter(on_its_way).map(|it| it.client.to_string());
        let partitions = group.partitions.iter().filter(|it| it.owners.len() != 1);
        members.chain(partitions.map(|it| it.partition.to_string())).collect()
    }

    /// A consumer that ended in good order, though its process runs on.
    fn is_closed(&self, client: &Str) -> bool {
        let actor = self.pid(client).ok().and_then(|pid| self.process(pid).actor());
        actor.and_then(|it| it.client.as_ref()).is_some_and(Client::is_closed)
    }
}
