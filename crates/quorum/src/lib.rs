//! KRaft: the replicated metadata log.
