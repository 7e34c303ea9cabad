//! `cargo xtask bench`: speed beside Apache Kafka on the same machine.

use anyhow::{Result, bail};

/// Says what it can't do.
pub(crate) fn run(_args: &[String]) -> Result<()> {
    bail!("`cargo xtask bench` measures nothing yet")
}
