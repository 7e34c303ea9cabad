//! The client and Kafka's tools against scripted clusters.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod admin;
mod consumer;
mod group;
mod listener;
mod members;
mod pattern;
mod producer;
mod stage;
mod tools;
