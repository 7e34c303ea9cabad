//! A Rust toolchain that builds for wasm32-unknown-unknown.
//!
//! In order: the toolchain in use, if it has the target; Debian's compiler of an earlier set-up; `rustup target add`; and
//! where rustup's server can't be reached, Debian's `rustc-web` with a std that is built here once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{apt, paths, process};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_LIB: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";
const DEBIAN_PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];
/// As in the workspace's Cargo.toml.
const RUST_VERSION: (u32, u32) = (1, 95);

/// Which cargo builds for wasm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one that runs us.
    Current,
    /// /usr/bin/cargo and /usr/bin/rustc.
    Debian,
}

impl Toolchain {
    /// Finds one or sets one up.
    pub(crate) fn set_up() -> Result<Toolchain> {
        if current_has_target() {
            return Ok(Toolchain::Current);
        }
        if debian_is_ready() {
            return Ok(Toolchain::Debian);
        }
        let Err(rustup) = rustup_target_add() else { return Ok(Toolchain::Current) };
        set_up_debian().with_context(|| {
            format!("no Rust toolchain here builds for {TARGET}, and rustup could not add it ({rustup:#})")
        })?;
        Ok(Toolchain::Debian)
    }

    /// A cargo that may be given `--target wasm32-unknown-unknown`, in the project's folder.
    pub(crate) fn cargo(self) -> Command {
        let mut command = match self {
            Toolchain::Current => process::cargo(),
            Toolchain::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                command.current_dir(paths::root());
                debian_environment(&mut command);
                command
            }
        };
        command.env("CARGO_TARGET_DIR", paths::wasm_target());
        command
    }

    /// What identifies its compiler, for stamps.
    pub(crate) fn version(self) -> Result<String> {
        match self {
            Toolchain::Current => process::output(rustc().arg("--version")),
            Toolchain::Debian => process::output(Command::new("/usr/bin/rustc").arg("--version")),
        }
    }
}

fn rustc() -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(paths::root());
    command
}

/// Makes a command use Debian's compiler even where rustup, having started us, points elsewhere.
fn debian_environment(command: &mut Command) {
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTDOC", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command.env("RUSTC", "/usr/bin/rustc");
}

fn current_has_target() -> bool {
    let mut query = rustc();
    query.args(["--print", "target-libdir", "--target", TARGET]);
    process::output(&mut query).is_ok_and(|it| has_std(Path::new(it.trim())))
}

fn debian_is_ready() -> bool {
    has_std(Path::new(DEBIAN_LIB)) && Path::new("/usr/bin/cargo").exists() && debian_version().is_ok()
}

fn has_std(folder: &Path) -> bool {
    rlibs(folder).is_ok_and(|it| it.iter().any(|it| file_name(it).starts_with("libstd-")))
}

fn rlibs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "rlib") {
            found.push(path);
        }
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn rustup_target_add() -> Result<()> {
    ensure!(paths::which("rustup").is_some(), "there is no rustup");
    process::step(&format!("rustup target add {TARGET}"), || {
        process::output(Command::new("rustup").args(["target", "add", TARGET]).current_dir(paths::root()))
    })?;
    ensure!(current_has_target(), "rustup added {TARGET} to another toolchain than the one that runs cargo");
    Ok(())
}

fn set_up_debian() -> Result<()> {
    ensure!(paths::which("apt-get").is_some(), "add the target {TARGET} to this machine's Rust toolchain");
    apt::install_recent(&DEBIAN_PACKAGES, "building for the browser")?;
    debian_version()?;
    process::step("building Rust's standard library for wasm, once", build_std)
}

/// Fails if Debian's compiler is older than ours may be.
fn debian_version() -> Result<()> {
    let text = process::output(Command::new("/usr/bin/rustc").arg("--version"))?;
    let mut numbers = text.split_whitespace().nth(1).unwrap_or_default().split('.').map(|it| it.parse::<u32>().ok());
    let found = numbers.next().flatten().zip(numbers.next().flatten());
    if found.is_none_or(|it| it < RUST_VERSION) {
        bail!("/usr/bin/rustc is {}, the project needs {}.{}", text.trim(), RUST_VERSION.0, RUST_VERSION.1);
    }
    Ok(())
}

/// Builds std for wasm with Debian's compiler and puts it where that compiler looks. With bitcode, or a build with LTO
/// can't use it.
fn build_std() -> Result<()> {
    let folder = paths::cache("wasm-std")?;
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = "[package]\nname = \"std-for-wasm\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let mut build = Command::new("/usr/bin/cargo");
    debian_environment(&mut build);
    build.current_dir(&folder).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Cembed-bitcode=yes");
    build.env("CARGO_TARGET_DIR", folder.join("target"));
    build.args([
        "build",
        "--quiet",
        "--release",
        "--target",
        TARGET,
        "-Z",
        "build-std=std,panic_abort,test,proc_macro",
    ]);
    process::run(&mut build)?;

    let lib = Path::new(DEBIAN_LIB);
    fs::create_dir_all(lib).with_context(|| format!("make {DEBIAN_LIB}"))?;
    // A second copy beside the first is an error to the compiler: multiple candidates for `core`.
    for old in rlibs(lib)? {
        fs::remove_file(old)?;
    }
    let built = rlibs(&folder.join("target").join(TARGET).join("release/deps"))?;
    // std last: its presence says that the folder is complete.
    let (std, others): (Vec<_>, Vec<_>) = built.iter().partition(|it| file_name(it).starts_with("libstd-"));
    for rlib in others.into_iter().chain(std) {
        if !file_name(rlib).starts_with("libstd_for_wasm-") {
            fs::copy(rlib, lib.join(file_name(rlib)))?;
        }
    }
    fs::remove_dir_all(folder.join("target"))?;
    ensure!(has_std(lib), "{DEBIAN_LIB} holds no std");
    Ok(())
}

/// wasm-bindgen and its test runner in the version of Cargo.lock, built when first needed. See `xtask/wasm`.
pub(crate) fn tool() -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["build", "--quiet", "--profile", "tool", "--package", "xtask-wasm"]);
    let binary = paths::target().join("tool/xtask-wasm");
    if binary.exists() {
        process::run(&mut build)?;
    } else {
        process::step("building wasm-bindgen, once", || process::run(&mut build))?;
    }
    Ok(binary)
}
