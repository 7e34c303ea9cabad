//! What the core may not have: a clock, a file, a socket, a thread, not even through a dependency. Clippy bans the names
//! in our code; this looks at what else is linked. That it can be had for wasm32 the page and its tests show.

use anyhow::{Result, ensure};

use crate::process;

/// The core, and the world that it is simulated in.
const PURE: [&str; 7] = ["ordered", "protocol", "storage", "quorum", "node", "client", "sim"];

/// Crates that do I/O, read clocks, draw randomness or start threads.
const BANNED: [&str; 20] = [
    "async-std",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "getrandom",
    "mio",
    "nix",
    "parking_lot",
    "rand",
    "rayon",
    "rustix",
    "rustls",
    "signal-hook",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tracing",
    "windows-sys",
];

/// No crate of the core reaches a banned one.
pub(crate) fn dependencies() -> Result<()> {
    let mut tree = process::cargo();
    tree.arg("tree").args(process::locked());
    tree.args(["--edges", "normal", "--target", "all", "--prefix", "none", "--format", "{p}"]);
    for name in PURE {
        tree.args(["--package", name]);
    }
    let tree = process::output(&mut tree)?;
    let found: Vec<&str> =
        tree.lines().filter_map(|it| it.split_whitespace().next()).filter(|it| BANNED.contains(it)).collect();
    ensure!(tree.contains("protocol"), "`cargo tree` did not list the core");
    ensure!(
        found.is_empty(),
        "the core links {}; `cargo tree --invert {} --package sim` says through what",
        found.join(", "),
        found[0]
    );
    Ok(())
}
