//! What a process has used, from the kernel's accounts.

use anyhow::{Context, Result};

/// CPU seconds (user and system) of a process so far.
pub(crate) fn cpu_seconds(id: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).context("read the server's CPU time")?;
    // The name in parentheses may hold spaces; fields 14 and 15 follow it at 11 and 12.
    let (_, fields) = text.rsplit_once(')').context("a stat line has a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks =
        |at: usize| -> Result<f64> { Ok(fields.get(at).context("a stat line is long")?.parse::<u64>()? as f64) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Resident memory in megabytes.
pub(crate) fn resident_megabytes(id: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).context("read the server's memory")?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:")).context("a status has VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes as f64 / 1024.0)
}
