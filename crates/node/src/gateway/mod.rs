//! One file per API family: what a request means, headed by versions, KIPs and gaps.
//!
//! A handler sees committed state and answers at once ([`Step::Answer`]) or has the controller decide
//! ([`Step::Decided`]): then the records are appended to the metadata log, applied to the controller's image, and the
//! reply is parked until the metadata high watermark passes them. Every file of the control plane has
//! `pub fn handle(context: &mut Context<'_>, request: XRequest) -> Step` (`configs` has one such function per API).

use protocol::Now;
use protocol::message::ResponseBody;

use crate::config::Config;
use crate::controller::{Controller, Outcome};
use crate::image::Image;
use crate::input::Peer;
use crate::random::Random;

/// What a handler may look at.
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// The node's settings.
    pub config: &'a Config,
    /// The committed metadata.
    pub image: &'a Image,
    /// Decides over the speculative metadata. Active on this node or it refuses with NOT_CONTROLLER.
    pub controller: &'a Controller,
    /// For topic ids and the placement of replicas.
    pub random: &'a mut Random,
    /// Who asks.
    pub peer: &'a Peer,
    /// The request's version.
    pub version: i16,
}

/// What becomes of a request.
pub enum Step {
    /// The reply depends on committed state only.
    Answer(ResponseBody),
    /// Records first; the reply waits until they (and all before them) are committed.
    Decided(Outcome),
}
