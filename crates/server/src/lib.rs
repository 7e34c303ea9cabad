//! Sockets, files and threads around a node.
