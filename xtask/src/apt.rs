//! Debian's packages, for what cargo can't bring. Other systems get a sentence that says what to install.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::{paths, process};

/// One at a time: apt refuses a second.
static TURN: Mutex<()> = Mutex::new(());

/// Installs what is missing of `packages`. Says what and why; without root it says which line to run.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    install_with(packages, why, &[])
}

/// The same from Debian's security archive too, which carries the compiler that browsers are built with. A minimal
/// Debian does not list that archive, so it is asked through a list of our own; the machine's stay as they are.
pub(crate) fn install_recent(packages: &[&str], why: &str) -> Result<()> {
    let options = security_lists()?;
    install_with(packages, why, &options)
}

fn install_with(packages: &[&str], why: &str, options: &[String]) -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&str> = packages.iter().copied().filter(|it| !installed(it)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if paths::which("apt-get").is_none() {
        bail!("{why} needs {names}; this machine has no apt-get, so install them its way");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("{why} needs {names}; run: sudo apt-get install --no-install-recommends {names}");
    }
    process::step(&format!("installing {names} with apt, for {why}"), || {
        process::output(apt_get(options).arg("update")).context("apt-get update")?;
        let mut install = apt_get(options);
        install.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
        process::output(&mut install).with_context(|| format!("{why} needs {names}"))?;
        Ok(())
    })
}

fn apt_get(options: &[String]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(options);
    command
}

/// True if dpkg has it, which other systems have not.
pub(crate) fn installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    process::output(&mut query).is_ok_and(|it| it == "installed")
}

/// Options that make apt read the machine's sources plus its release's security archive.
fn security_lists() -> Result<Vec<String>> {
    let release = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let field = |name: &str| {
        release
            .lines()
            .find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
            .map(|it| it.trim_matches('"').to_owned())
    };
    let (Some("debian"), Some(codename)) = (field("ID").as_deref(), field("VERSION_CODENAME")) else {
        return Ok(Vec::new());
    };
    let folder = paths::cache("apt")?;
    let parts = folder.join("sources.list.d");
    let lists = folder.join("lists");
    if parts.exists() {
        fs::remove_dir_all(&parts)?;
    }
    fs::create_dir_all(&parts)?;
    fs::create_dir_all(lists.join("partial"))?;
    let theirs = Path::new("/etc/apt/sources.list.d");
    if theirs.is_dir() {
        for entry in fs::read_dir(theirs)? {
            let entry = entry?;
            fs::copy(entry.path(), parts.join(entry.file_name()))?;
        }
    }
    let known = process::output(Command::new("apt-get").args(["indextargets", "--format", "$(CODENAME) $(SUITE)"]))?;
    if !known.contains(&format!("{codename}-security")) {
        let line = format!("deb http://deb.debian.org/debian-security {codename}-security main\n");
        fs::write(parts.join("vivarium-security.list"), line)?;
    }
    Ok(vec![
        "-o".to_owned(),
        format!("Dir::Etc::SourceParts={}", parts.display()),
        "-o".to_owned(),
        format!("Dir::State::Lists={}", lists.display()),
        // The cache of parsed lists belongs to the machine's own lists.
        "-o".to_owned(),
        format!("Dir::Cache::pkgcache={}", folder.join("pkgcache.bin").display()),
        "-o".to_owned(),
        format!("Dir::Cache::srcpkgcache={}", folder.join("srcpkgcache.bin").display()),
    ])
}
