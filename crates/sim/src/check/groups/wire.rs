//! Commits of whoever is no consumer: what it is told of them is heard on the wire.

use protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use protocol::{ErrorCode, TopicPartition};

use super::{GroupLedger, Held};
use crate::check::Checks;
use crate::queue::Pid;

impl Checks {
    /// Somebody who is no consumer commits, in this of its requests.
    pub(crate) fn wire_commits(&mut self, pid: Pid, number: i32, request: OffsetCommitRequest) {
        self.each_of(&request, |held, _, offset| held.doubt(pid, offset));
        self.wire_commits.push((pid, number, request));
    }

    /// It has its answer.
    pub(crate) fn wire_committed(&mut self, pid: Pid, number: i32, answer: &OffsetCommitResponse) {
        let asked = self.wire_commits.iter().position(|it| (it.0, it.1) == (pid, number));
        let Some((.., request)) = asked.map(|it| self.wire_commits.remove(it)) else { return };
        let answers =
            || answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |it| (&topic.name, it)));
        self.each_of(&request, |held, at, offset| {
            let told = answers().find(|it| *it.0 == at.topic && it.1.partition_index == at.partition);
            match told.map(|it| ErrorCode::from_code(it.1.error_code)) {
                Some(ErrorCode::None) => held.commit(pid, offset),
                // A coordinator that waited in vain for its followers says that others are to be asked: they may have it.
                Some(error) => held.failed(pid, offset, !error.is_retriable()),
                None => held.failed(pid, offset, false),
            }
        });
    }

    /// Nobody answers it any more: its connection is gone.
    pub(crate) fn wire_lost(&mut self, pid: Pid) {
        let all = std::mem::take(&mut self.wire_commits).into_iter();
        let (lost, kept): (Vec<_>, Vec<_>) = all.partition(|it| it.0 == pid);
        self.wire_commits = kept;
        for (.., request) in lost {
            self.each_of(&request, |held, _, offset| held.failed(pid, offset, false));
        }
    }

    fn each_of(&mut self, request: &OffsetCommitRequest, mut each: impl FnMut(&mut Held, &TopicPartition, i64)) {
        let ledger = self.groups.entry(request.group_id.clone()).or_insert_with(GroupLedger::unheard);
        for topic in &request.topics {
            for partition in &topic.partitions {
                let at = TopicPartition { topic: topic.name.clone(), partition: partition.partition_index };
                each(ledger.partitions.entry(at.clone()).or_default(), &at, partition.committed_offset);
            }
        }
    }
}
