//! Where things are: the project, and the cache outside it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// The page as it is served.
pub(crate) fn dist() -> PathBuf {
    root().join("web/dist")
}

/// Where the native build writes.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |it| root().join(it))
}

/// Where the wasm build writes: a folder apart, so that it never waits for the native build's lock, and because its
/// compiler may be another one.
pub(crate) fn wasm_target() -> PathBuf {
    target().join("wasm")
}

/// A folder for downloads and tools, made if need be.
pub(crate) fn cache(name: &str) -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|it| !it.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    let folder = base.join("vivarium").join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// The first executable of that name on PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|it| it.is_file())
}
