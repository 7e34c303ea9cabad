//! A Kafka log: its shape, and its bytes over a disk.
