//! A Kafka node as one deterministic state machine.
//!
//! A [`Node`] is broker and controller in one. Its host boots it, hands it inputs one at a time and carries out what it
//! says; it never reads a clock, a file, a socket or a random device itself, so the same inputs give the same outputs on
//! every machine:
//!
//! ```text
//! let mut node = Node::boot(config, seed);
//! loop {
//!     let input = /* the earliest of: a socket, a finished store operation, node.wake_at() */;
//!     node.handle(now, input, &mut out);
//!     /* carry out `out`: store operations in order within a log, replies in order within a connection */
//! }
//! ```
//!
//! **Invariant:** nothing the node says runs ahead of what its store has confirmed.

mod cleaner;
pub mod config;
pub mod controller;
mod coordinator;
mod deferred;
pub mod event;
mod fetcher;
pub mod gateway;
pub mod image;
pub mod input;
mod isr;
mod kraft;
mod lifecycle;
mod limits;
mod membership;
mod moves;
mod node;
mod observe;
mod ops;
pub mod outbox;
mod partition;
mod peers;
pub mod refusal;
#[cfg(test)]
mod replicas;
mod replication;
mod sweeps;
mod term;
mod throttle;
mod timers;
pub mod view;
mod watch;

pub use config::Config;
pub use coordinator::{Assignor, NoPatterns, TopicPatterns};
pub use deferred::RequestId;
pub use event::Event;
pub use gateway::check_answer;
pub use input::{ConnId, Input, Peer, PeerHost};
pub use kraft::voters_checkpoint;
pub use lifecycle::Phase;
pub use node::Node;
pub use observe::{Coordinated, CoordinatedMember, GroupTold};
pub use outbox::{Call, CallError, CallId, Credit, Lane, Outbox, Reply};
pub use protocol::Random;
pub use quorum::{bootstrap_checkpoint, check_bootstrap};
pub use timers::WakeReason;
pub use view::{Scope, View};
