//! The node against scripted peers, clients and disks: one program, so that what they share is built and linked once.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod bounded;
mod brokers;
mod cleaning;
mod cluster;
mod common;
mod consumer_groups;
mod consumers;
mod controller;
mod cordons;
mod damage;
mod directories;
mod doubt;
mod envelope;
mod fetch;
mod flush;
mod groups;
mod hostile;
mod large_groups;
mod leaders;
mod life;
mod loading;
mod members;
mod moves;
mod offsets;
mod produce;
mod reassignment;
mod sweeps;
mod term;
mod told;
