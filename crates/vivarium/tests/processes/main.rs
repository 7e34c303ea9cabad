//! The binary as people run it: clusters and quorums of processes, and the tools that talk to them.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

mod cluster;
mod consumer_groups;
mod quorum;
mod running;
mod tools;
