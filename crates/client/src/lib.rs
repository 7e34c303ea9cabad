//! Kafka producer, consumer and admin as deterministic state machines, and the logic of Kafka's tools.
