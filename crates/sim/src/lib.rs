//! A simulated world around nodes and clients: network, disks, clocks, faults, checks, history.
//!
//! A [`World`] is made from a [`Setup`] and moved by [`World::step`]; people and scripts [`World::act`] on it. The same
//! setup and actions give the same events and the same hash on every host. A [`History`] remembers a run so that any
//! moment can be visited and changed; a [`script::Scenario`] is a run as text.

pub mod action;
pub mod ask;
pub mod check;
mod chunked;
mod digest;
pub mod exhibit;
pub mod export;
pub mod files;
pub mod groups;
pub mod history;
mod link;
pub mod metadata;
pub mod narration;
pub mod operations;
mod queue;
pub mod random;
pub mod rescue;
pub mod script;
pub mod setup;
pub mod swarm;
pub mod view;
pub mod world;
pub mod zookeeper;

pub use action::Action;
pub use check::Checks;
pub use history::History;
pub use link::LinkId;
pub use queue::Pid;
pub use setup::Setup;
pub use world::{ActionError, World};
