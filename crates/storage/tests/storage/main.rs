//! The log on a disk that misbehaves: one program, so that what they share is built and linked once.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod clean;
mod common;
mod copying;
mod damage;
mod faults;
mod files;
mod graves;
mod model;
mod points;
mod producers;
mod recovery;
mod shape;
