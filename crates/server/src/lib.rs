//! A node's host: sockets, files and threads around the core. No broker logic.
//!
//! One thread runs the core, its sockets ([`reactor`]) and its calls to other nodes ([`calls`]), one writes the files ([`lane`]), two read what is no longer in
//! memory ([`reader`]). [`Server::start`] binds, opens and
//! locks the data directory, boots the node and returns when it serves; [`Server::stop`] is a controlled shutdown.

mod address_limits;
mod aligned;
mod calls;
mod cleaner;
mod closer;
mod codecs;
mod compressors;
mod connection;
mod connection_quotas;
mod connection_rate;
mod copier;
mod datadir;
mod dial;
mod disk;
mod file;
mod flusher;
mod held;
mod hostname;
mod identity;
mod kind;
mod lane;
mod mounts;
mod own_calls;
mod patterns;
mod re2;
mod reactor;
mod reader;
mod start;
mod telling;

pub use compressors::NativeCompressors;
pub use datadir::{DataDir, DataDirError};
pub use disk::NativeDisk;
pub use file::NativeFile;
pub use identity::{random_id, read as read_meta};
pub use patterns::check_pattern;
pub use reactor::Ended;
pub use start::{Server, StartError, Stop, Stopper};
