//! Kafka's admin: creates, deletes, describes and alters.
//!
//! A call is a list of items (topics, partitions, resources), or one whole. Items without a result are routed (to the
//! controller, to a leader, to a broker by name, to anyone), asked for together, and asked for again when their answer says
//! that another try may help, until `default.api.timeout.ms` or `retries` are used up.

mod answer;
mod call;
mod request;

use ordered::Map;

use protocol::{Instant, NodeId, Str};

pub use self::call::*;
use crate::backoff::exponential_ms;
use crate::client::{Context, Ticket};
use crate::input::OpId;
use crate::network::Lost;
use crate::outbox::{Cause, Failure, Outcome};
use crate::view::{PendingState, PendingView};
use crate::wire::{ApiKey, ResponseBody};

/// The admin's side of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admin {
    calls: Map<u64, Call>,
    next: u64,
}

/// A request of a call, and the items in it.
#[derive(Clone, Debug)]
pub(crate) struct AdminTicket {
    call: u64,
    items: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Call {
    op: OpId,
    call: AdminCall,
    deadline: Instant,
    /// By item; a call that is one whole has one.
    items: Vec<Progress>,
    /// Of a question to a group's coordinator, once that is found.
    coordinator: Option<NodeId>,
    /// Where a description of topics that comes in pages goes on.
    cursor: Option<(Str, i32)>,
    /// What earlier pages told of topics that go on.
    pages: Map<usize, TopicDescription>,
    attempts: u32,
    retry_at: Instant,
    /// A request may have been carried out without an answer.
    in_doubt: bool,
}

#[derive(Clone, Debug)]
enum Progress {
    Todo,
    Asked,
    Done(Item),
}

/// What came of an item.
#[derive(Clone, Debug)]
enum Item {
    Created(Result<CreatedTopic, Failure>),
    Unit(Result<(), Failure>),
    Offset(Result<protocol::Offset, Failure>),
    Listed(Result<ListedOffset, Failure>),
    Entries(Result<Vec<ConfigEntry>, Failure>),
    Described(Result<TopicDescription, Failure>),
    /// Of a call that is one whole.
    Whole(Result<AdminAnswer, Failure>),
}

/// Who can answer for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Anyone,
    Controller,
    Node(NodeId),
    /// Metadata must tell first.
    Unknown,
}

impl Admin {
    pub(crate) fn start(&mut self, op: OpId, call: AdminCall, context: &mut Context<'_>) {
        for topic in call.topics_by_leader() {
            context.metadata.want(topic, false);
        }
        let id = self.next;
        self.next += 1;
        let call = Call {
            op,
            items: vec![Progress::Todo; call.item_count()],
            call,
            deadline: context.now.mono.plus_ms(context.config.default_api_timeout_ms),
            coordinator: None,
            cursor: None,
            pages: Map::new(),
            attempts: 0,
            retry_at: context.now.mono,
            in_doubt: false,
        };
        self.calls.insert(id, call);
    }

    /// Does whatever can be done now.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        let mut finished = Vec::new();
        for (id, call) in &mut self.calls {
            call.ask(*id, context);
            if let Some(outcome) = call.outcome(context.now.mono) {
                finished.push((*id, outcome));
            }
        }
        for (id, outcome) in finished {
            if let Some(call) = self.calls.remove(&id) {
                context.out.outcomes.push((call.op, outcome));
            }
        }
    }

    /// The answer to a request, or that none came.
    pub(crate) fn handle(
        &mut self,
        ticket: AdminTicket,
        node: NodeId,
        answer: Result<ResponseBody, Lost>,
        context: &mut Context<'_>,
    ) {
        let Some(call) = self.calls.get_mut(&ticket.call) else { return };
        match answer {
            Ok(body) => call.take_answer(&ticket.items, body, node, context),
            Err(_) => {
                call.in_doubt |= call.call.changes();
                call.coordinator = None;
                call.again(&ticket.items, context);
            }
        }
    }

    /// Gives up all that waits.
    pub(crate) fn abort(&mut self, context: &mut Context<'_>) {
        for call in std::mem::take(&mut self.calls).into_values() {
            context.out.failed(call.op, Failure::new(Cause::Illegal, "The AdminClient thread has exited."));
        }
    }

    /// When something here is due.
    pub(crate) fn wake_at(&self, context: &Context<'_>) -> Option<Instant> {
        let retry = |call: &Call| Some(call.retry_at).filter(|at| *at > context.now.mono && call.has_todo());
        self.calls.values().flat_map(|call| [Some(call.deadline), retry(call)]).flatten().min()
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = PendingView> {
        self.calls.values().map(|call| PendingView { op: call.op, state: PendingState::Waiting })
    }
}

impl Call {
    fn has_todo(&self) -> bool {
        self.items.iter().any(|it| matches!(it, Progress::Todo))
    }

    /// Sends requests for what is to be done, one a broker.
    fn ask(&mut self, id: u64, context: &mut Context<'_>) {
        if self.retry_at > context.now.mono || !self.has_todo() {
            return;
        }
        if self.coordinator.is_some_and(|it| context.network.has_failed(it)) {
            self.coordinator = None;
        }
        let seeks = self.sought_group().cloned();
        let mut groups: Map<Target, Vec<usize>> = Map::new();
        for (index, item) in self.items.iter().enumerate() {
            if matches!(item, Progress::Todo) {
                let target = self.coordinator.map_or_else(|| self.call.target(index, context), Target::Node);
                groups.entry(target).or_default().push(index);
            }
        }
        let mut asked = false;
        for (target, items) in groups {
            let node = match target {
                Target::Anyone => context.least_loaded_ready(),
                Target::Controller => context.metadata.controller().filter(|it| context.ready(*it)),
                Target::Node(node) => Some(node).filter(|it| context.ready(*it)),
                Target::Unknown => None,
            };
            if target == Target::Unknown || (target == Target::Controller && context.metadata.controller().is_none()) {
                context.metadata.request_update();
            }
            let Some(node) = node else { continue };
            let api = if seeks.is_some() { ApiKey::FindCoordinator } else { self.call.api() };
            let Some(version) = context.network.version(node, api) else {
                let why = format!("The node does not support {}", api.name());
                self.fail(&items, &Failure::new(Cause::UnsupportedVersion, why));
                continue;
            };
            let version = if let AdminCall::Ask { latest, .. } = &self.call { version.min(*latest) } else { version };
            let body = match &seeks {
                Some(group) => request::coordinator(group, version),
                None => request::build(&self.call, &items, self.cursor.as_ref(), version, context.config),
            };
            for index in &items {
                self.items[*index] = Progress::Asked;
            }
            asked = true;
            context.send(node, version, body, Ticket::Admin(AdminTicket { call: id, items }));
        }
        self.attempts += u32::from(asked);
    }

    /// The group whose coordinator has to be found first.
    fn sought_group(&self) -> Option<&Str> {
        match &self.call {
            AdminCall::Ask { of: Asked::Coordinator(group), .. } if self.coordinator.is_none() => Some(group),
            _ => None,
        }
    }

    /// These items are asked for again after a while.
    fn again(&mut self, items: &[usize], context: &mut Context<'_>) {
        for index in items {
            if matches!(self.items[*index], Progress::Asked) {
                self.items[*index] = Progress::Todo;
            }
        }
        let wait = exponential_ms(
            context.config.retry_backoff_ms,
            context.config.retry_backoff_max_ms,
            self.attempts.saturating_sub(1),
            context.random,
        );
        self.retry_at = context.now.mono.plus_ms(wait);
        context.metadata.request_update();
        if self.attempts > context.config.retries {
            let why = format!("Call {} failed after {} attempt(s)", self.call.name(), self.attempts);
            self.fail(items, &Failure::new(Cause::Disconnected, why));
        }
    }

    fn fail(&mut self, items: &[usize], failure: &Failure) {
        for index in items {
            self.items[*index] = Progress::Done(self.call.failed_item(failure.clone()));
        }
    }

    /// What came of the call, if it is over.
    fn outcome(&mut self, now: Instant) -> Option<Outcome> {
        if self.items.iter().all(|it| matches!(it, Progress::Done(_))) {
            let items = std::mem::take(&mut self.items).into_iter().filter_map(|it| match it {
                Progress::Done(item) => Some(item),
                Progress::Todo | Progress::Asked => None,
            });
            return Some(self.call.collect(items.collect()));
        }
        if now < self.deadline {
            return None;
        }
        let name = self.call.name();
        let why = match self.attempts {
            0 => format!("Timed out waiting for a node assignment. Call: {name}"),
            attempts => format!("Call(callName={name}) timed out after {attempts} attempt(s)"),
        };
        let failure = Failure::new(Cause::TimedOut, why);
        let under_way = self.call.changes() && self.items.iter().any(|it| matches!(it, Progress::Asked));
        Some(if self.in_doubt || under_way { Outcome::Unknown(failure) } else { Outcome::Failed(failure) })
    }
}
