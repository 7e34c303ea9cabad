//! The codecs against bytes of others, and against hostile ones: one program, so that what they share is built and linked once.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod codecs;
mod common;
mod explain;
mod golden_messages;
mod hostile;
mod independent;
mod literals;
mod records_check;
mod records_common;
mod records_golden;
mod records_hostile;
mod round_trip;
mod tables;
