//! librdkafka's sources, as the crate `rdkafka-sys` carries them: cargo fetches and checks them. What is built of them
//! lives in the cache; none of it is in this project.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{apt, paths, process};

const CRATE: &str = "rdkafka-sys";
const VERSION: &str = "4.10.0+2.12.1";

/// One way to build librdkafka.
pub(crate) struct Build {
    /// The folder's name in the cache.
    pub(crate) name: &'static str,
    /// What is made, for people.
    pub(crate) what: &'static str,
    /// Debian's packages that it needs beside a compiler.
    pub(crate) packages: &'static [&'static str],
    /// What `configure` is told.
    pub(crate) configure: &'static str,
    /// How it is made.
    pub(crate) make: &'static str,
}

impl Build {
    /// The folder of a finished build, made on first use.
    pub(crate) fn set_up(&self) -> Result<PathBuf> {
        let cache = paths::cache("librdkafka")?.join(VERSION);
        let done = cache.join(self.name);
        if done.exists() {
            return Ok(done);
        }
        apt::install(&[&["make", "g++", "python3"], self.packages].concat(), "building librdkafka")?;
        process::step(&format!("building librdkafka's {} (2 min, once)", self.what), || {
            let sources = sources(&cache)?;
            // A build that was interrupted must not pass for a finished one.
            let partial = cache.join(format!("{}.partial", self.name));
            if partial.exists() {
                fs::remove_dir_all(&partial)?;
            }
            process::output(Command::new("cp").arg("-r").arg(&sources).arg(&partial))?;
            let script = format!(
                "chmod +x configure lds-gen.py mklove/modules/* && ./configure {} && {}",
                self.configure, self.make
            );
            process::output(Command::new("sh").args(["-c", &script]).current_dir(&partial))?;
            Ok(fs::rename(&partial, &done)?)
        })?;
        Ok(done)
    }
}

/// Has cargo fetch the crate; the package around it is never built.
fn sources(folder: &std::path::Path) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{CRATE} = \"={VERSION}\"\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let vendored = folder.join("vendor");
    process::output(process::cargo().current_dir(folder).args(["vendor", "--versioned-dirs"]).arg(&vendored))?;
    Ok(vendored.join(format!("{CRATE}-{VERSION}")).join("librdkafka"))
}
