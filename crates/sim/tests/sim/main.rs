//! What the simulator plays, checks and tells: one program, linked once.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod checks;
mod exports;
mod failover;
mod followers;
mod hashes;
mod history;
mod ledger;
mod listener;
mod museum;
mod power;
mod refused;
mod rescue;
mod scenarios;
mod script;
mod swarm;
mod timers;
mod view;
