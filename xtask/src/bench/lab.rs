//! The page's figures, in a real Chromium: work a frame, times to get about, and the engine's speed beside the native one.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{bundle, paths, process, site, test};

/// What `vivarium sim bench` plays unless it is told otherwise.
const SEED: &str = "1";
const EVENTS: &str = "1000000";

/// Events of the run in which seeks and branches are measured.
const LONG_RUN: &str = "100000";

/// Main-thread work a frame while a thousand records a second play, in the first room and in a crowded one; how fast another moment is
/// there; how soon the page is.
pub(super) fn page() -> Result<()> {
    println!("\nlab, 1,000 records/s playing: {}", in_browser(&["frames"])?);
    println!("lab, the same in a crowd: {}", in_browser(&["crowded"])?);
    println!("lab, {}", in_browser(&["travel", LONG_RUN])?);
    println!("lab, opened: {}", in_browser(&["start"])?.replace('\n', "; "));
    Ok(())
}

/// The engine in the page's own module, and natively: the same events, the same hash.
pub(super) fn engine() -> Result<()> {
    let in_page = in_browser(&["engine", SEED, EVENTS])?;
    let mut native = Command::new(bundle::binary()?);
    native.args(["sim", "bench", "--seed", SEED, "--events", EVENTS]);
    let native = process::output(&mut native)?;
    let native = native.lines().next().context("`vivarium sim bench` says something")?;
    println!("\nengine, in the page: {in_page}\nengine, natively:    {native}");
    let hash = |line: &str| line.split("hash ").nth(1).map(str::to_owned);
    ensure!(
        hash(&in_page).is_some() && hash(&in_page) == hash(native),
        "the same run ends in another hash in the page"
    );
    println!("engine, in the page: {}", in_browser(&["clock"])?);
    Ok(())
}

fn in_browser(args: &[&str]) -> Result<String> {
    bundle::page()?;
    let address = site::serve(site::bind(0)?, paths::dist())?;
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package", "e2e", "--bin", "lab-bench", "--"]).args(args);
    test::in_chromium(&mut command, &format!("http://{address}/"))?;
    Ok(process::output(&mut command)?.trim().to_owned())
}
