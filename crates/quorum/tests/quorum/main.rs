//! The quorum, its messages, votes and safety: one program, so that what they share is built and linked once.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod cluster;
mod messages;
mod quorum;
mod rig;
mod safety;
mod votes;
