//! Calls to peers that the test plays.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream as Blocking};

use mio::{Events, Poll};
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, BrokerHeartbeatRequest, RequestBody};
use protocol::{ErrorCode, Response};

use super::*;

/// Far longer than any of this takes.
const PATIENT_MS: i64 = 30_000;

struct Rig {
    poll: Poll,
    calls: Calls,
}

impl Rig {
    fn new() -> Rig {
        let poll = Poll::new().unwrap();
        let waker = std::sync::Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        let wake = move || waker.wake().unwrap();
        let setup = Setup { first_ms: 10_000, most_ms: 30_000 };
        let dialling = Dialling::new(setup, None);
        let calls = Calls::new(NodeId(1), poll.registry().try_clone().unwrap(), dialling, wake);
        Rig { poll, calls }
    }

    fn ask(&mut self, id: u64, host: &str, port: u16, timeout_ms: i64) {
        let body = RequestBody::BrokerHeartbeat(BrokerHeartbeatRequest::default());
        let (id, host, to) = (CallId(id), Str::from(host), NodeId(2));
        self.calls.call(Instant::now(), Call { id, to, host, port, version: 1, body, timeout_ms });
    }

    /// Runs until a call has come to its end.
    fn next(&mut self) -> Finished {
        let mut events = Events::with_capacity(16);
        loop {
            if let Some(finished) = self.calls.finished() {
                return finished;
            }
            let patience = self.calls.due().map(|it| it.saturating_duration_since(Instant::now()));
            self.poll.poll(&mut events, patience).unwrap();
            for event in &events {
                self.calls.event(event.token().0, Instant::now());
            }
            self.calls.turn(Instant::now());
        }
    }
}

fn peer() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Takes the next request; tells its correlation id.
fn take(stream: &mut Blocking) -> i32 {
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut frame).unwrap();
    let request = frame::decode_request(frame.into()).unwrap();
    assert_eq!(request.client_id.as_deref(), Some("1"));
    request.correlation_id
}

fn answer(stream: &mut Blocking, correlation_id: i32) {
    let mut body = ResponseBody::empty(ApiKey::BrokerHeartbeat).unwrap();
    if let ResponseBody::BrokerHeartbeat(it) = &mut body {
        it.error_code = ErrorCode::StaleBrokerEpoch.code();
    }
    let mut response = Response { version: 1, correlation_id, body };
    let frame = frame::encode_response(&mut response).unwrap();
    stream.write_all(&frame.bytes().unwrap()).unwrap();
}

/// A peer that answers one call, and keeps the connection until it is joined.
fn answers_one(listener: TcpListener) -> std::thread::JoinHandle<Blocking> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let id = take(&mut stream);
        answer(&mut stream, id);
        stream
    })
}

fn is_answer(finished: &Finished, id: u64) -> bool {
    finished.0 == CallId(id)
        && matches!(&finished.1, Ok(ResponseBody::BrokerHeartbeat(it)) if it.error_code == ErrorCode::StaleBrokerEpoch.code())
}

#[test]
fn calls_to_a_peer_share_a_connection_and_are_answered_in_order() {
    let (listener, port) = peer();
    let far = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let ids: Vec<i32> = (0..3).map(|_| take(&mut stream)).collect();
        ids.into_iter().for_each(|id| answer(&mut stream, id));
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "one connection is enough");
        stream
    });
    let mut rig = Rig::new();
    (0..3).for_each(|id| rig.ask(id, "127.0.0.1", port, PATIENT_MS));
    for id in 0..3 {
        let finished = rig.next();
        assert!(is_answer(&finished, id), "{finished:?}");
    }
    drop(far.join().unwrap());
}

#[test]
fn a_name_is_resolved_beside_the_core_and_one_that_is_none_says_nothing_of_the_process() {
    let (listener, port) = peer();
    let far = answers_one(listener);
    let mut rig = Rig::new();
    rig.ask(1, "localhost", port, PATIENT_MS);
    let finished = rig.next();
    assert!(is_answer(&finished, 1), "{finished:?}");
    drop(far.join().unwrap());
    rig.ask(2, "no-such-host.invalid", 9092, PATIENT_MS);
    assert_eq!(rig.next(), (CallId(2), Err(CallError::TimedOut)));
}

/// A firewall refuses in the name of who lives: only a door that has let us in once can tell that its process is gone.
#[test]
fn nobody_there_is_a_refusal_if_somebody_was_and_later_calls_dial_again() {
    // Nobody else may come to listen there meanwhile.
    let reserved = ports::ReservedPort::any().unwrap();
    let port = reserved.number();
    let mut rig = Rig::new();
    rig.ask(1, "127.0.0.1", port, PATIENT_MS);
    assert_eq!(rig.next(), (CallId(1), Err(CallError::TimedOut)));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let far = answers_one(listener);
    rig.ask(2, "127.0.0.1", port, PATIENT_MS);
    let finished = rig.next();
    assert!(is_answer(&finished, 2), "{finished:?}");
    drop(far.join().unwrap());
    // The first may still find the old connection, which has just broken.
    let mut errors = Vec::new();
    for id in 3..5 {
        rig.ask(id, "127.0.0.1", port, PATIENT_MS);
        errors.push(rig.next().1.expect_err("nobody is there"));
    }
    assert_eq!(errors[1], CallError::Refused, "{errors:?}");
}

#[test]
fn a_connection_that_breaks_half_way_in_a_frame_resets_what_was_sent() {
    let (listener, port) = peer();
    let far = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        take(&mut stream);
        take(&mut stream);
        stream.write_all(&[0, 0, 0, 100, 1, 2, 3]).unwrap();
    });
    let mut rig = Rig::new();
    rig.ask(1, "127.0.0.1", port, PATIENT_MS);
    rig.ask(2, "127.0.0.1", port, PATIENT_MS);
    assert_eq!(rig.next(), (CallId(1), Err(CallError::Reset)));
    assert_eq!(rig.next(), (CallId(2), Err(CallError::Reset)));
    far.join().unwrap();
}

#[test]
fn garbage_ends_the_connection() {
    let mut other =
        Response { version: 0, correlation_id: 7, body: ResponseBody::ApiVersions(ApiVersionsResponse::default()) };
    let wrong_id = frame::encode_response(&mut other).unwrap().bytes().unwrap();
    for garbage in [&[0xff; 8][..], &[0, 0, 0, 2, 9, 9], &[0, 0, 0, 0], &wrong_id] {
        let (listener, port) = peer();
        let garbage = garbage.to_vec();
        let far = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            take(&mut stream);
            take(&mut stream);
            stream.write_all(&garbage).unwrap();
            // The other end closes: with all read in order, or at once because there was more to read.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).map(|_| ()).or_else(|error| match error.kind() {
                io::ErrorKind::ConnectionReset => Ok(()),
                _ => Err(error),
            })
        });
        let mut rig = Rig::new();
        rig.ask(1, "127.0.0.1", port, PATIENT_MS);
        rig.ask(2, "127.0.0.1", port, PATIENT_MS);
        assert_eq!(rig.next(), (CallId(1), Err(CallError::Malformed)));
        assert_eq!(rig.next(), (CallId(2), Err(CallError::Reset)));
        far.join().unwrap().unwrap();
    }
}

/// Counts the warnings of this thread.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Who answers nonsense is asked again and again, for it may be one that is being replaced.
#[test]
fn garbage_is_told_of_once_until_there_was_a_real_answer() {
    let (listener, port) = peer();
    let script = [None, None, Some(4_u32), None, Some(u32::MAX), None];
    let far = std::thread::spawn(move || {
        for garbage in script {
            let (mut stream, _) = listener.accept().unwrap();
            let id = take(&mut stream);
            match garbage {
                // A frame too short to be an answer, or none at all.
                Some(size) => stream.write_all(&[&size.to_be_bytes()[..], &id.to_be_bytes()].concat()).unwrap(),
                None => stream.write_all(&[0, 0, 0, 2, 9, 9]).unwrap(),
            }
        }
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..2 {
            let id = take(&mut stream);
            answer(&mut stream, id);
        }
        take(&mut stream);
        stream.write_all(&[0, 0, 0, 2, 9, 9]).unwrap();
    });
    let warnings = Warnings::default();
    let told = || warnings.0.load(std::sync::atomic::Ordering::Relaxed);
    tracing::subscriber::with_default(warnings.clone(), || {
        let mut rig = Rig::new();
        let mut ask = |id: u64| {
            rig.ask(id, "127.0.0.1", port, PATIENT_MS);
            rig.next().1
        };
        for id in 0..6 {
            assert_eq!(ask(id), Err(CallError::Malformed), "{id}");
        }
        assert_eq!(told(), 1);
        assert!(ask(6).is_ok() && ask(7).is_ok());
        assert_eq!(ask(8), Err(CallError::Malformed));
        assert_eq!(told(), 2, "that is news");
    });
    far.join().unwrap();
}

#[test]
fn a_peer_that_says_nothing_is_given_up_and_the_next_call_takes_a_new_connection() {
    let (listener, port) = peer();
    let mut rig = Rig::new();
    rig.ask(1, "127.0.0.1", port, 50);
    assert_eq!(rig.next(), (CallId(1), Err(CallError::TimedOut)));
    let silent = listener.accept().unwrap();
    let far = answers_one(listener);
    rig.ask(2, "127.0.0.1", port, PATIENT_MS);
    let finished = rig.next();
    assert!(is_answer(&finished, 2), "{finished:?}");
    drop((silent, far.join().unwrap()));
}

#[test]
fn a_call_that_is_given_up_before_it_is_sent_holds_up_no_other() {
    let reserved = ports::ReservedPort::any().unwrap();
    let port = reserved.number();
    let (mut rig, before) = (Rig::new(), Instant::now());
    rig.ask(1, "127.0.0.1", port, PATIENT_MS);
    assert_eq!(rig.next(), (CallId(1), Err(CallError::TimedOut)));
    // Nobody is dialled so soon after that: it waits.
    let (to, host) = (NodeId(2), Str::from_static("127.0.0.1"));
    let body = RequestBody::BrokerHeartbeat(BrokerHeartbeatRequest::default());
    let call = Call { id: CallId(2), to, host, port, version: 1, body, timeout_ms: PATIENT_MS };
    rig.calls.call(before, call);
    rig.calls.give_up(CallId(2));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let far = answers_one(listener);
    rig.ask(3, "127.0.0.1", port, PATIENT_MS);
    let finished = rig.next();
    assert!(is_answer(&finished, 3), "{finished:?}");
    drop(far.join().unwrap());
}

#[test]
fn who_does_not_accept_has_twice_as_long_the_next_time() {
    let setup = Setup { first_ms: 10, most_ms: 50 };
    let patience = |failures| Dialling::new(setup, None).patience(failures).as_millis();
    assert_eq!([0, 1, 2, 3, 40].map(patience), [10, 20, 40, 50, 50]);
    assert_eq!(Dialling::new(Setup { first_ms: 70, ..setup }, None).patience(0).as_millis(), 50);
}

#[test]
fn a_bootstrap_server_has_no_number_for_people() {
    assert_eq!([whom(NodeId(-2)), whom(NodeId(0))], ["the controller", "node 0"]);
}

/// A peer that moves on from port to port leaves one line behind, not one a port.
#[test]
fn lines_that_nobody_uses_make_room() {
    let mut rig = Rig::new();
    let body = || RequestBody::BrokerHeartbeat(BrokerHeartbeatRequest::default());
    let mut now = Instant::now();
    for id in 0..5 {
        let reserved = ports::ReservedPort::any().unwrap();
        let port = reserved.number();
        let (to, host) = (NodeId(2), Str::from_static("127.0.0.1"));
        let timeout_ms = 1_000_000;
        rig.calls.call(now, Call { id: CallId(id), to, host, port, version: 1, body: body(), timeout_ms });
        assert_eq!(rig.next(), (CallId(id), Err(CallError::TimedOut)));
        now += 2 * FORGOTTEN_AFTER;
    }
    assert_eq!((rig.calls.lines.len(), rig.calls.by_peer.len(), rig.calls.told.len()), (1, 1, 1));
}

#[test]
fn a_call_that_cannot_be_encoded_fails_alone() {
    let (listener, port) = peer();
    let mut rig = Rig::new();
    let body = RequestBody::ApiVersions(ApiVersionsRequest::default());
    let host = Str::from_static("127.0.0.1");
    rig.calls.call(
        Instant::now(),
        Call { id: CallId(1), to: NodeId(2), host, port, version: 99, body, timeout_ms: PATIENT_MS },
    );
    assert_eq!(rig.next(), (CallId(1), Err(CallError::Malformed)));
    drop(listener);
}
