//! `cargo xtask oracle`: Apache Kafka, the reference for behaviour.

use anyhow::{Result, bail};

/// Says what it can't do.
pub(crate) fn run(_args: &[String]) -> Result<()> {
    bail!("`cargo xtask oracle` can't start Apache Kafka yet")
}
