//! Kafka's clients as one deterministic state machine: producer, consumer by assignment or as a member of a group, admin, and the logic of Kafka's
//! command-line tools.
//!
//! # The run loop
//!
//! A [`Client`] does no I/O and reads no clock. A driver feeds it [`Input`]s, one at a time, and carries out what the
//! [`Outbox`] says:
//!
//! 1. `client.handle(now, input, &mut out)`.
//! 2. Open what `out.connect` names and answer each with `Connected` or `ConnectFailed`; write `out.send`, in order within
//!    each connection; close `out.close`; hand `out.outcomes` to the application.
//! 3. Wait for bytes, for the application, or for `client.wake_at()`, whichever comes first; go to 1.
//!
//! A request's answer carries its correlation id; [`wire::Answers`] keeps what a driver must know to decode answers.
//! The simulator is such a driver over a virtual network, the `vivarium` command one over sockets.
//!
//! As in Kafka's own client library, one `Client` is one object with its own connections and its own view of the cluster.
//! It can produce, consume and administrate; who wants these not to wait for each other on one connection boots several.

pub mod admin;
mod backoff;
mod client;
mod config;
mod consumer;
mod event;
mod group;
mod input;
mod metadata;
mod murmur2;
mod network;
mod outbox;
mod pattern;
mod producer;
mod random;
pub mod tools;
mod view;
pub mod wire;

pub use client::Client;
pub use config::{
    Acks, ClientConfig, ConfigError, GroupProtocol, IsolationLevel, Known, ResetPolicy, bootstrap_servers,
};
pub use event::{Event, GroupEvent, PartitionChoice};
pub use group::Assignor;
pub use input::{ConnId, Input, OpId, Operation, ProducerRecord, SeekTo};
pub use murmur2::{murmur2, partition_of_key};
pub use outbox::{
    Answer, Cause, Connect, ConsumerRecord, Failure, Outbox, Outcome, PartitionInfo, Position, Rebalance,
    RecordMetadata,
};
pub use pattern::TopicPattern;
pub use view::{
    BatchView, ConnectionState, ConnectionView, FetchView, GroupView, InFlightView, MemberState, PendingState,
    PendingView, ProducerPartitionView, ProducerView, View,
};
