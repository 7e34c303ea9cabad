//! `cargo xtask conformance`: test suites that others wrote, against our broker.

use anyhow::{Result, bail};

/// Says what it can't do.
pub(crate) fn run(_args: &[String]) -> Result<()> {
    bail!("`cargo xtask conformance` runs no suite yet")
}
