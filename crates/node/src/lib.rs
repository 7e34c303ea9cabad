//! A Kafka node as one deterministic state machine.

pub mod event;
pub mod input;
pub mod outbox;
