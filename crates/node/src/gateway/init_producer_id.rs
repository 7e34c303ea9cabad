//! InitProducerId, versions 0 to 6: ids for idempotent producers (KIP-98, KIP-360).
//!
//! - Ids come in blocks of 1000 from the controller (`ProducerIdsRecord`), as on every broker, so that an id is never
//!   handed out twice, restarts included. Requests wait while a block is on its way.
//! - Gap: transactions. A transactional id gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED, on which producers give up, as from
//!   FindCoordinator, which the usual ones ask before.

use std::collections::VecDeque;

use protocol::messages::{AllocateProducerIdsResponse, InitProducerIdRequest, InitProducerIdResponse};
use protocol::{ErrorCode, ResponseBody};

use crate::deferred::Waiter;
use crate::event::Event;
use crate::node::Node;
use crate::outbox::Outbox;

/// The block of ids this broker hands out. Ids that a restart leaves over are never used.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerIds {
    next: i64,
    end: i64,
    /// Those who wait for the next block. Not empty exactly while one is asked for.
    waiting: VecDeque<Waiter>,
}

impl Node {
    pub(crate) fn handle_init_producer_id(
        &mut self,
        waiter: Waiter,
        request: &InitProducerIdRequest,
        out: &mut Outbox,
    ) {
        if let Some(error) = refusal(request) {
            out.emit(|| Event::Refused { conn: waiter.conn, what: format!("InitProducerId: {}", error.name()) });
            return self.answer(waiter, refused(error), out);
        }
        if self.producer_ids.next < self.producer_ids.end {
            let id = self.producer_ids.next;
            self.producer_ids.next += 1;
            return self.answer(waiter, granted(id), out);
        }
        self.producer_ids.waiting.push_back(waiter);
        if self.producer_ids.waiting.len() > 1 {
            return;
        }
        self.ask_for_producer_ids(out);
    }

    /// The controller has answered with a block, and the block is committed.
    pub(crate) fn producer_ids_allocated(&mut self, response: &AllocateProducerIdsResponse, out: &mut Outbox) {
        if response.error_code == ErrorCode::None.code() {
            self.producer_ids.next = response.producer_id_start;
            self.producer_ids.end = response.producer_id_start.saturating_add(i64::from(response.producer_id_len));
        }
        for waiter in std::mem::take(&mut self.producer_ids.waiting) {
            let body = if self.producer_ids.next < self.producer_ids.end {
                let id = self.producer_ids.next;
                self.producer_ids.next += 1;
                granted(id)
            } else {
                // Retriable: the next request asks for a block again.
                refused(ErrorCode::CoordinatorLoadInProgress)
            };
            self.answer(waiter, body, out);
        }
    }
}

fn refusal(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    match &request.transactional_id {
        // Kafka: an empty transactional id is nobody's.
        Some(id) if id.is_empty() => Some(ErrorCode::InvalidRequest),
        Some(_) => Some(ErrorCode::TransactionalIdAuthorizationFailed),
        // Id and epoch come together (KIP-360). Without a transactional id Kafka then hands out a new id.
        None if (request.producer_id == -1) != (request.producer_epoch == -1) => Some(ErrorCode::InvalidRequest),
        None => None,
    }
}

fn granted(producer_id: i64) -> ResponseBody {
    ResponseBody::InitProducerId(InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() })
}

fn refused(error: ErrorCode) -> ResponseBody {
    ResponseBody::InitProducerId(InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    })
}
