//! Finding the broker that coordinates the group, and noticing that it does so no more.

use protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use protocol::{ErrorCode, Instant, NodeId, Str};

use super::{Asked, Group, GroupTicket};
use crate::backoff::exponential_ms;
use crate::client::{Context, Ticket};
use crate::consumer::Consumer;
use crate::event::{Event, GroupEvent};
use crate::wire::{ApiKey, RequestBody};

/// Who coordinates, as far as is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Coordinator {
    pub(super) node: Option<NodeId>,
    asked: bool,
    /// How often it was sought since one last answered.
    failures: u32,
    pub(super) retry_at: Instant,
}

impl Coordinator {
    /// The connection to it, once it can take a request. It is one of its own: a join that waits for others must not hold up
    /// fetches from the same broker.
    pub(super) fn ready(&self, context: &mut Context<'_>) -> Option<NodeId> {
        let link = context.network.coordinator_link(self.node?);
        context.ready(link).then_some(link)
    }

    /// It has answered: there is one.
    pub(super) fn heard(&mut self) {
        self.failures = 0;
    }

    /// It is asked for again after a while.
    pub(super) fn again(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        let wait = exponential_ms(config.retry_backoff_ms, config.retry_backoff_max_ms, self.failures, context.random);
        self.failures = self.failures.saturating_add(1);
        self.asked = false;
        self.retry_at = context.now.mono.plus_ms(wait);
    }
}

impl Group {
    /// Asks who coordinates the group, if that is not known and matters.
    pub(super) fn find(&mut self, context: &mut Context<'_>) {
        if let Some(node) = self.coordinator.node
            && context.network.has_failed(context.network.coordinator_link(node))
        {
            self.coordinator_lost(context);
        }
        let matters = self.is_subscribed() || self.offsets.is_busy();
        let coordinator = &mut self.coordinator;
        let is_known = coordinator.node.is_some() || coordinator.asked;
        if is_known || !matters || coordinator.retry_at > context.now.mono {
            return;
        }
        let Some(node) = context.least_loaded_ready() else { return };
        let Some(version) = context.network.version(node, ApiKey::FindCoordinator) else { return };
        let body = if version >= 4 {
            FindCoordinatorRequest { coordinator_keys: vec![self.id.clone()], ..Default::default() }
        } else {
            FindCoordinatorRequest { key: self.id.clone(), ..Default::default() }
        };
        coordinator.asked = true;
        let ticket = Ticket::Group(GroupTicket { attempt: self.attempt, asked: Asked::Coordinator });
        context.send(node, version, RequestBody::FindCoordinator(body), ticket);
    }

    pub(super) fn found(&mut self, body: FindCoordinatorResponse, consumer: &mut Consumer, context: &mut Context<'_>) {
        self.coordinator.asked = false;
        let (code, message, node, host, port) = match body.coordinators.into_iter().next() {
            Some(it) => (it.error_code, it.error_message, it.node_id, it.host, it.port),
            None => (body.error_code, body.error_message, body.node_id, body.host, body.port),
        };
        match ErrorCode::from_code(code) {
            ErrorCode::None => {
                let node = NodeId(node);
                context.network.add_coordinator(node, &host, u16::try_from(port).unwrap_or(0), context.out);
                self.coordinator.node = Some(node);
                // It could not be heard while nobody knew where.
                self.heartbeat.answered = Some(context.now.mono);
                context.out.emit(|| Event::Group(GroupEvent::Coordinator { node }));
            }
            error if error.is_retriable() => self.coordinator.again(context),
            error => {
                self.coordinator.again(context);
                let why: Option<Str> = message.filter(|it| !it.is_empty());
                self.refused(ApiKey::FindCoordinator, error, why.as_deref(), consumer, context);
            }
        }
    }

    /// It coordinates no more, or cannot be reached. What it may answer yet is not heard: somebody else coordinates by then.
    pub(super) fn coordinator_lost(&mut self, context: &mut Context<'_>) {
        if let Some(node) = self.coordinator.node.take() {
            let link = context.network.coordinator_link(node);
            context.network.part(link, context.now, context.config, context.out);
            self.coordinator.again(context);
            context.metadata.request_update();
        }
    }
}
