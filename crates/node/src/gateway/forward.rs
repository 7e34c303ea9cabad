//! What only the active controller can decide, asked of a broker that is not it: the request goes on in an Envelope
//! (KIP-590) and the answer comes back as the controller gave it. While there is no controller, or another one, it is asked
//! again until `request.timeout.ms` is over. What only the broker itself can tell of its own settings it refuses before that.

use bytes::Bytes;
use protocol::frame::{self, Request};
use protocol::message::encode_versioned;
use protocol::messages::{DefaultPrincipalData, EnvelopeRequest, ErrorCode};
use protocol::{ApiKey, Instant, Now, RequestBody, ResponseBody, Str};

use super::configs::{RefusedHere, put_refused, take_refused};
use super::controller::decide;
use super::refusals::refuse;
use super::{Context, Step};
use crate::controller::Controller;
use crate::deferred::{Pending, RequestId, Waiter};
use crate::input::{Peer, PeerHost};
use crate::node::Node;
use crate::outbox::{CallError, Outbox};
use crate::peers::Purpose;
use crate::timers::WakeReason;

/// What failed is asked again after so long.
const RETRY_MS: i64 = 50;
/// Kafka's name for who did not say who it is.
const ANONYMOUS: &str = "ANONYMOUS";

/// A request that was passed on.
#[derive(Clone, Debug)]
pub(crate) struct PendingForward {
    pub(crate) waiter: Waiter,
    api: ApiKey,
    /// As it was sent, without its size.
    request: Bytes,
    /// What the controller is asked of it.
    pub(crate) passed: Bytes,
    refused: Vec<RefusedHere>,
    address: Bytes,
    deadline: Instant,
}

impl Node {
    /// Passes a request on. Its answer goes to the waiter.
    pub(crate) fn forward(&mut self, now: Now, waiter: Waiter, peer: &Peer, mut request: Request, out: &mut Outbox) {
        let api = request.body.api_key();
        let Some(bytes) = self.encoded(waiter, &mut request, out) else { return };
        let refused = take_refused(&self.config, &self.image, &mut request.body);
        let mut passed = bytes.clone();
        if !refused.is_empty() {
            if is_void(&request.body)
                && let Some(mut answer) = ResponseBody::empty(api)
            {
                put_refused(&mut answer, refused);
                return self.answer(waiter, answer, out);
            }
            match self.encoded(waiter, &mut request, out) {
                Some(rest) => passed = rest,
                None => return,
            }
        }
        let deadline = now.mono.plus_ms(i64::from(self.config.request_timeout_ms));
        let address = address_of(&peer.host);
        let id = self.deferred.number();
        let pending = PendingForward { waiter, api, request: bytes, passed, refused, address, deadline };
        self.deferred.hold(id, Pending::Forward(pending));
        self.send_forward(now, id, out);
    }

    fn encoded(&mut self, waiter: Waiter, request: &mut Request, out: &mut Outbox) -> Option<Bytes> {
        let why = match frame::encode_request(request).map(|frame| frame.bytes()) {
            Ok(Some(bytes)) => return Some(bytes.slice(4..)),
            Ok(None) => String::new(),
            Err(error) => format!(": {error}"),
        };
        self.close(waiter.conn, format!("{} cannot be passed on{why}", request.body.api_key().name()), out);
        None
    }

    /// Sends a request that waits for the controller, or gives it up.
    pub(crate) fn send_forward(&mut self, now: Now, id: RequestId, out: &mut Outbox) {
        let to = self.active_controller();
        let is_majority_lost = self.quorum.missing(now).is_some();
        let Some(Pending::Forward(pending)) = self.deferred.pending_mut(id) else { return };
        let (waiter, deadline) = (pending.waiter, pending.deadline);
        if deadline <= now.mono {
            return self.give_forward_up(now, id, out);
        }
        // There is no leader to describe the quorum, and there will be none soon: this node says what it knows.
        let is_told_here = is_majority_lost && pending.api == ApiKey::DescribeQuorum;
        if is_told_here || to.as_ref().is_some_and(|it| it.node == self.config.node_id) {
            // Or this node became the controller meanwhile.
            let request = pending.request.clone();
            self.deferred.take(id);
            match frame::decode_request(request) {
                Ok(request) if is_told_here => self.ask_quorum(now, waiter, request.body, out),
                Ok(request) => self.dispatch_again(now, waiter, request, out),
                Err(error) => self.close(waiter.conn, format!("a request that was kept: {error}"), out),
            }
            return;
        }
        let Some(to) = to else { return self.forward_later(now, id, deadline) };
        let left_ms = (deadline.since(now.mono).as_millis() as i64).max(1);
        // The quorum answers for itself, whoever asks.
        if pending.api == ApiKey::DescribeQuorum
            && let Ok(request) = frame::decode_request(pending.request.clone())
        {
            self.peers.call_in(waiter.version, Purpose::Forward(id), &to, request.body, left_ms, out);
            return;
        }
        let body = RequestBody::Envelope(EnvelopeRequest {
            request_data: pending.passed.clone(),
            request_principal: Some(anonymous()),
            client_host_address: pending.address.clone(),
        });
        self.peers.call(Purpose::Forward(id), &to, body, left_ms, out);
    }

    fn forward_later(&mut self, now: Now, id: RequestId, deadline: Instant) {
        self.timers.arm(WakeReason::Forward(id), now.mono.plus_ms(RETRY_MS).min(deadline));
    }

    /// The controller's answer, or that there is none.
    pub(crate) fn forwarded(
        &mut self,
        now: Now,
        id: RequestId,
        result: Result<ResponseBody, CallError>,
        out: &mut Outbox,
    ) {
        let Some(Pending::Forward(pending)) = self.deferred.pending_mut(id) else { return };
        let (waiter, api, deadline) = (pending.waiter, pending.api, pending.deadline);
        let response = match result {
            Ok(ResponseBody::Envelope(response)) => response,
            Ok(body @ ResponseBody::DescribeQuorum(_)) => {
                self.deferred.take(id);
                return self.answer(waiter, body, out);
            }
            _ => return self.forward_later(now, id, deadline),
        };
        match (ErrorCode::from_code(response.error_code), response.response_data) {
            (ErrorCode::None, Some(data)) => {
                let Some(Pending::Forward(pending)) = self.deferred.take(id) else { return };
                match frame::decode_response(api, waiter.version, data) {
                    Ok(mut response) => {
                        put_refused(&mut response.body, pending.refused);
                        self.answer(waiter, response.body, out);
                    }
                    Err(error) => {
                        self.close(waiter.conn, format!("the controller's answer to {}: {error}", api.name()), out);
                    }
                }
            }
            (ErrorCode::NotController, _) => self.forward_later(now, id, deadline),
            (error, _) => {
                self.deferred.take(id);
                let what = format!("the controller refused to be passed {}: {}", api.name(), error.name());
                self.close(waiter.conn, what, out);
            }
        }
    }

    /// There is another controller: what waits for one is sent to it.
    pub(crate) fn forward_all(&mut self, now: Now, out: &mut Outbox) {
        let waiting = self.deferred.pending().filter_map(|(id, it)| matches!(it, Pending::Forward(_)).then_some(id));
        for id in waiting.collect::<Vec<_>>() {
            self.peers.give_up(|purpose| *purpose == Purpose::Forward(id), out);
            self.timers.disarm(WakeReason::Forward(id));
            self.send_forward(now, id, out);
        }
    }

    /// Its time is over: it is refused in the words of its own API.
    fn give_forward_up(&mut self, now: Now, id: RequestId, out: &mut Outbox) {
        let Some(Pending::Forward(pending)) = self.deferred.take(id) else { return };
        let waiter = pending.waiter;
        let Some(peer) = self.connections.get(&waiter.conn).cloned() else { return };
        // A controller that does not lead refuses each part of a request, which is the shape that is needed.
        let nobody = Controller::new(&self.config);
        let mut context = Context {
            now,
            config: &self.config,
            image: &self.image,
            controller: &nobody,
            random: &mut self.random,
            quorum: &self.quorum,
            peer: &peer,
            version: waiter.version,
        };
        let refused = frame::decode_request(pending.passed).ok().and_then(|it| decide(&mut context, it.body));
        match refused {
            Some(Step::Answer(mut body)) => {
                refuse(&mut body, ErrorCode::RequestTimedOut);
                put_refused(&mut body, pending.refused);
                self.answer(waiter, body, out);
            }
            _ => self.close(waiter.conn, format!("{}: no controller in time", pending.api.name()), out),
        }
    }
}

/// Whether nothing is left in a request that had something refused.
fn is_void(body: &RequestBody) -> bool {
    match body {
        RequestBody::AlterConfigs(it) => it.resources.is_empty(),
        RequestBody::IncrementalAlterConfigs(it) => it.resources.is_empty(),
        _ => false,
    }
}

/// A client's address as Envelope has it: four or sixteen bytes.
fn address_of(host: &PeerHost) -> Bytes {
    match host {
        PeerHost::Ip(std::net::IpAddr::V4(it)) => Bytes::copy_from_slice(&it.octets()),
        PeerHost::Ip(std::net::IpAddr::V6(it)) => Bytes::copy_from_slice(&it.octets()),
        // A simulated process has a name only.
        PeerHost::Named(_) | PeerHost::Node(_) => Bytes::from_static(&[127, 0, 0, 1]),
    }
}

/// The principal of every client while there is no authentication, as Kafka's default builder writes it.
fn anonymous() -> Bytes {
    let mut data = DefaultPrincipalData {
        r#type: Str::from_static("User"),
        name: Str::from_static(ANONYMOUS),
        ..DefaultPrincipalData::default()
    };
    encode_versioned(&mut data, 0).expect("a principal of two short words can be written")
}
