//! Directory ids that name no directory (KIP-858, Kafka's DirectoryId.java).

use protocol::Uuid;

/// Of a replica whose directory is not known, as its broker did not name any.
pub const MIGRATING: Uuid = Uuid::ZERO;
/// Of a replica whose directory its broker is still to choose.
pub const UNASSIGNED: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// Of a replica whose directory is gone, whichever it was.
pub const LOST: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
