//! The server over real sockets and files: one program, so that what they share is built and linked once.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod cluster;
mod common;
mod compatibility;
mod connections;
mod conversation;
mod crash;
mod directories;
#[path = "../../../protocol/tests/protocol/common.rs"]
mod filler;
mod found;
mod hostile;
mod large;
mod start;
