//! `cargo xtask size`: what a visitor downloads, against its goal and a limit.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::{bundle, paths};

/// What all files of the page are to weigh, gzipped. Not reached: docs/benchmarks.md says where the rest is.
const GOAL: u64 = 450 * 1024;
/// What they may weigh with everything that the lab is to have. What is added to the page is to be taken away elsewhere.
const LIMIT: u64 = 700 * 1024;

/// Builds the page, prints its sizes, and fails over the limit.
pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "`size` takes no arguments");
    bundle::page()?;
    check()
}

/// Prints the sizes of what web/dist holds, and fails over the limit.
pub(crate) fn check() -> Result<()> {
    let mut files = Vec::new();
    served(&paths::dist(), &mut files)?;
    files.sort();
    let (mut raw, mut gzipped, mut brotli) = (0, 0, 0);
    println!("{:>10} {:>10} {:>10}", "raw", "gzipped", "brotli");
    for name in &files {
        let path = Path::new(name);
        let [by_gzip, by_brotli] = bundle::twins(path);
        let sizes = (fs::metadata(path)?.len(), fs::metadata(by_gzip)?.len(), fs::metadata(by_brotli)?.len());
        let shown = path.strip_prefix(paths::dist()).unwrap_or(path);
        println!("{:>10} {:>10} {:>10}  {}", sizes.0, sizes.1, sizes.2, shown.display());
        raw += sizes.0;
        gzipped += sizes.1;
        brotli += sizes.2;
    }
    println!("{raw:>10} {gzipped:>10} {brotli:>10}  in all; the limit is {LIMIT} gzipped");
    if gzipped > GOAL {
        println!("the goal of {GOAL} is missed by {} bytes: docs/benchmarks.md says where they are", gzipped - GOAL);
    }
    ensure!(gzipped <= LIMIT, "the page is {} bytes over its limit", gzipped - LIMIT);
    Ok(())
}

/// Files with a gzipped twin: those that are served.
fn served(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            served(&path, found)?;
        } else if bundle::twins(&path)[0].exists() {
            found.push(path);
        }
    }
    Ok(())
}
