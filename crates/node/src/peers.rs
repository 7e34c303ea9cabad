//! Calls to other nodes, and to ourselves: what each was for, so that its answer finds its way back.

use ordered::Map;

use protocol::{ApiKey, NodeId, RequestBody, Str, support};

use crate::deferred::RequestId;
use crate::membership::Asked;
use crate::outbox::{Call, CallId, Outbox};
use crate::replication::EndQuery;

/// What a call was for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// The quorum's; it knows what for.
    Quorum(u64),
    /// The records of partitions that this node leads.
    Fetcher(NodeId),
    /// Where a leader's log begins or ends.
    LogEnd(EndQuery),
    /// Changes of in-sync replicas.
    Isr,
    /// What a broker or controller asks about itself.
    Lifecycle(Asked),
    /// A client's request that only the controller decides.
    Forward(RequestId),
    /// Whether a broker of this epoch still listens.
    Knock(NodeId, i64),
}

/// Where a node listens for its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) node: NodeId,
    pub(crate) host: Str,
    pub(crate) port: u16,
}

/// All calls in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    next: u64,
    in_flight: Map<CallId, Purpose>,
}

impl Peers {
    /// Numbers a call and hands it to the driver, in the newest version of its API.
    pub(crate) fn call(
        &mut self,
        purpose: Purpose,
        to: &Endpoint,
        body: RequestBody,
        timeout_ms: i64,
        out: &mut Outbox,
    ) -> CallId {
        self.call_in(newest(body.api_key()), purpose, to, body, timeout_ms, out)
    }

    /// As [`Peers::call`], in a version that somebody else has chosen.
    pub(crate) fn call_in(
        &mut self,
        version: i16,
        purpose: Purpose,
        to: &Endpoint,
        body: RequestBody,
        timeout_ms: i64,
        out: &mut Outbox,
    ) -> CallId {
        let id = CallId(self.next);
        self.next += 1;
        self.in_flight.insert(id, purpose);
        let (host, port) = (to.host.clone(), to.port);
        out.calls.push(Call { id, to: to.node, host, port, version, body, timeout_ms });
        id
    }

    /// What the answered call was for; `None` if it was answered or given up before.
    pub(crate) fn finish(&mut self, id: CallId) -> Option<Purpose> {
        self.in_flight.remove(&id)
    }

    /// As [`Peers::give_up`], of all calls to the active controller about this node itself; answers with what they were for.
    pub(crate) fn give_up_lifecycle(&mut self, out: &mut Outbox) -> Vec<Asked> {
        let asked = |purpose: &Purpose| match purpose {
            Purpose::Lifecycle(asked) => Some(*asked),
            _ => None,
        };
        let given_up = self.in_flight.values().filter_map(asked).collect();
        self.give_up(|it| asked(it).is_some(), out);
        given_up
    }

    /// The answers to calls of this kind are dropped when they come.
    pub(crate) fn give_up(&mut self, is_moot: impl Fn(&Purpose) -> bool, out: &mut Outbox) {
        self.in_flight.retain(|id, purpose| {
            let is_moot = is_moot(purpose);
            if is_moot {
                out.calls.retain(|call| call.id != *id);
                out.given_up.push(*id);
            }
            !is_moot
        });
    }
}

/// The newest version that nodes of this release speak among each other.
fn newest(api: ApiKey) -> i16 {
    support::kafka_range(api).map_or_else(|| *api.versions().end(), |range| *range.end())
}
