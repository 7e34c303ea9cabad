//! Groups as others see them: DescribeGroups and ListGroups.

use ordered::Set;
use protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use protocol::messages::list_groups_response::ListedGroup;
use protocol::{ErrorCode, LeaderEpoch, Str};

use super::classic::{CONSUMER, ClassicGroup, GroupState, Member};
use super::shard::{Group, Kind, Shard};
use crate::image::Image;
use crate::observe::{Coordinated, CoordinatedMember};
use crate::refusal::message;

impl Shard {
    /// One group. Since version 6 one that is not there is an error, before it is a dead one.
    pub(crate) fn describe(&self, id: &Str, version: i16) -> DescribedGroup {
        let visible = self.group(id).filter(|it| it.since <= self.high_watermark);
        let why = match visible.and_then(|it| it.kind.as_ref()) {
            Some(Kind::Classic(group)) => return describe(group),
            Some(Kind::Consumer { .. } | Kind::Other) => format!("Group {id} is not a classic group."),
            None => format!("Group {id} not found."),
        };
        let mut described =
            DescribedGroup { group_id: id.clone(), group_state: Str::from_static("Dead"), ..Default::default() };
        if version >= 6 {
            described.error_code = ErrorCode::GroupIdNotFound.code();
            described.error_message = Some(message(why));
        }
        described
    }

    /// Who is in a group: `client.id` and member id.
    pub(crate) fn members_of(&self, id: &Str) -> Vec<(Str, Str)> {
        match self.group(id).and_then(|it| it.kind.as_ref()) {
            Some(Kind::Classic(group)) => {
                group.members.iter().map(|(id, it)| (it.client_id.clone(), id.clone())).collect()
            }
            Some(Kind::Consumer { group, .. }) => {
                group.members.iter().map(|(id, it)| (it.wants.client_id.clone(), id.clone())).collect()
            }
            Some(Kind::Other) | None => Vec::new(),
        }
    }

    /// The epoch in which its partition is led here.
    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// A group as it is decided about.
    pub(crate) fn coordinated(&self, id: &Str, image: &Image) -> Option<Coordinated> {
        match self.group(id)?.kind.as_ref()? {
            Kind::Classic(group) => Some(Coordinated {
                epoch: group.generation,
                is_classic: true,
                members: group.members.iter().map(|(id, it)| it.coordinated(id, group.generation)).collect(),
                ..Coordinated::default()
            }),
            Kind::Consumer { group, .. } => Some(group.coordinated(image)),
            Kind::Other => None,
        }
    }

    /// Those in one of the states and of one of the types, in lower case; an empty set asks for all.
    pub(crate) fn list(&self, states: &Set<Str>, types: &Set<Str>, listed: &mut Vec<ListedGroup>) {
        for (id, group) in self.groups.iter() {
            let Group { kind, since, .. } = &**group;
            let (state, group_type, protocol_type) = match kind {
                Some(Kind::Classic(group)) => {
                    (group.state.name(), "classic", group.protocol_type.clone().unwrap_or_default())
                }
                Some(Kind::Consumer { group, .. }) => (group.state().name(), "consumer", Str::from_static(CONSUMER)),
                // Of a group of another protocol its state is not known.
                Some(Kind::Other) | None => continue,
            };
            let is_in_state = states.is_empty() || states.contains(state.to_ascii_lowercase().as_str());
            let is_of_type = types.is_empty() || types.contains(group_type);
            if is_in_state && is_of_type && *since <= self.high_watermark {
                listed.push(ListedGroup {
                    group_id: id.clone(),
                    protocol_type,
                    group_state: Str::from_static(state),
                    group_type: Str::from_static(group_type),
                });
            }
        }
    }
}

impl Member {
    fn coordinated(&self, id: &Str, generation: i32) -> CoordinatedMember {
        CoordinatedMember { id: id.clone(), generation: self.instance.as_ref().map(|_| generation) }
    }
}

fn describe(group: &ClassicGroup) -> DescribedGroup {
    let protocol = group.protocol_name.clone().filter(|_| group.state == GroupState::Stable);
    let members = group.members.iter().map(|(id, member)| DescribedGroupMember {
        member_id: id.clone(),
        group_instance_id: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: protocol.as_ref().map(|it| member.metadata(it)).unwrap_or_default(),
        member_assignment: member.assignment.clone(),
    });
    DescribedGroup {
        group_id: group.id.clone(),
        group_state: Str::from_static(group.state.name()),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        members: members.collect(),
        protocol_data: protocol.clone().unwrap_or_default(),
        ..DescribedGroup::default()
    }
}
