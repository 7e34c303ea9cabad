//! What a node hears.

use std::net::IpAddr;

use protocol::{NodeId, Request, ResponseBody, Str};
use storage::{Done, LogId, OpId, StoreError};

use crate::outbox::{CallError, CallId};

/// A connection that someone opened to this node. Never used twice within one run of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The listener that accepted it, by name (`PLAINTEXT`, `CONTROLLER` …).
    pub listener: Str,
    /// Where it comes from, for logs and quotas.
    pub host: PeerHost,
}

/// The far end's address: an IP natively, a name in a simulated world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerHost {
    /// A real address.
    Ip(IpAddr),
    /// A process of a simulated world.
    Named(Str),
    /// A node calling itself.
    Node(NodeId),
}

/// One input. Inputs are handled one at a time, in the order in which the driver delivers them.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The moment of `wake_at` has come (or any other: a spurious wake is harmless).
    Wake,
    /// Begins a controlled shutdown; the node says through [`crate::Outbox::stopped`] when it is done.
    Stop,
    /// A connection was accepted.
    Opened(ConnId, Peer),
    /// A decoded request. Its records are checked ([`protocol::records::check`]) by the driver where it costs per byte, or left as bytes.
    Request(ConnId, Request),
    /// The connection is gone; nothing more is sent there.
    Closed(ConnId),
    /// A call of ours was answered or failed.
    Answered(CallId, Result<ResponseBody, CallError>),
    /// A store operation is done or has failed.
    Stored(OpId, Result<Done, StoreError>),
    /// Bytes of a log that an answer names could not be read when it was sent. The connection is closed, or about to be.
    Unreadable(LogId, StoreError),
}
