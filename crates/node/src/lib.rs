//! A Kafka node as one deterministic state machine.
