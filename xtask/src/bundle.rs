//! The page: `web` as wasm with its JavaScript, the static files beside it, everything gzipped, in web/dist.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::args::Args;
use crate::wasm::{self, Toolchain};
use crate::{paths, process};

/// Files that are served as they are: (in the project, as served).
const STATIC: [(&str, &str); 4] = [
    ("web/api.html", "api.html"),
    ("web/style.css", "style.css"),
    ("web/icon.svg", "icon.svg"),
    ("web/manifest.webmanifest", "manifest.webmanifest"),
];
const STAMP: &str = "target/wasm/bundle.stamp";

/// `cargo xtask build`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    // Trunk's hook wants the page alone.
    let mut args = Args::new(args);
    let page_only = args.switch("--page");
    ensure!(args.rest()?.is_empty(), "`build` takes --page, for the page alone, and nothing else");
    page()?;
    if !page_only {
        binary()?;
    }
    Ok(())
}

/// Builds the page into web/dist. Quick when nothing has changed.
pub(crate) fn page() -> Result<()> {
    let toolchain = Toolchain::set_up()?;
    let compiled = compile(toolchain)?;
    let dist = paths::dist();
    fs::create_dir_all(&dist)?;

    let optimizer = optimizer();
    let stamp = stamp(&compiled, toolchain, optimizer.as_deref())?;
    let stamp_file = paths::root().join(STAMP);
    let fresh =
        fs::read_to_string(&stamp_file).is_ok_and(|it| it == stamp) && dist.join("vivarium_bg.wasm.gz").exists();
    if !fresh {
        bind(&compiled, &dist)?;
        if let Some(optimizer) = optimizer {
            optimize(&optimizer, &dist.join("vivarium_bg.wasm"))?;
        }
        for name in ["vivarium.js", "vivarium_bg.wasm"] {
            gzip(&dist.join(name))?;
        }
        fs::write(&stamp_file, stamp)?;
    }

    let root = paths::root();
    let html = fs::read_to_string(root.join("index.html")).context("read index.html")?;
    // What only Trunk reads is not served.
    let html: String = html.lines().filter(|it| !it.contains("data-trunk")).flat_map(|it| [it, "\n"]).collect();
    put(&dist.join("index.html"), html.as_bytes())?;
    for (from, to) in STATIC {
        let bytes = fs::read(root.join(from)).with_context(|| format!("read {from}"))?;
        put(&dist.join(to), &bytes)?;
    }
    Ok(())
}

/// Builds the `vivarium` binary and returns its path.
pub(crate) fn binary() -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["build", "--release", "--package", "vivarium"]);
    process::run(&mut build)?;
    Ok(paths::target().join("release/vivarium"))
}

fn compile(toolchain: Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo();
    build.args(["build", "--package", "web", "--lib", "--profile", "web", "--target", wasm::TARGET]);
    process::run(&mut build)?;
    Ok(paths::wasm_target().join(wasm::TARGET).join("web/web.wasm"))
}

/// What the bound wasm and JavaScript depend on.
fn stamp(compiled: &Path, toolchain: Toolchain, optimizer: Option<&Path>) -> Result<String> {
    let file = fs::metadata(compiled).with_context(|| format!("read {}", compiled.display()))?;
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let bindgen = lock.split("[[package]]").find(|it| it.contains("name = \"wasm-bindgen-cli\"")).unwrap_or_default();
    let bindgen = bindgen.lines().find(|it| it.starts_with("version")).unwrap_or_default();
    let (len, modified, version) = (file.len(), file.modified()?, toolchain.version()?);
    Ok(format!("{len} {modified:?}\n{version}{bindgen}\n{optimizer:?}\n"))
}

fn bind(compiled: &Path, dist: &Path) -> Result<()> {
    let mut bind = Command::new(wasm::tool()?);
    bind.args(["bindgen", "--target", "web", "--out-name", "vivarium"]);
    // Functions' names are a third of the download, and only a debugger reads them.
    bind.args(["--remove-name-section", "--remove-producers-section", "--out-dir"]).arg(dist).arg(compiled);
    process::step("binding the wasm to JavaScript", || process::run(&mut bind))
}

/// wasm-opt, if a recent one is installed. Debian 12's 108 writes modules that trap when they are instantiated: it mixes up
/// the table of functions with that of JavaScript's values.
fn optimizer() -> Option<PathBuf> {
    const OLDEST: u32 = 118;
    let found = paths::which("wasm-opt")?;
    let text = process::output(Command::new(&found).arg("--version")).ok()?;
    let version: u32 = text.split_whitespace().find_map(|it| it.parse().ok())?;
    (version >= OLDEST).then_some(found)
}

/// Shrinks the wasm. A wasm-opt that does not know a feature of the module leaves it alone.
fn optimize(optimizer: &Path, module: &Path) -> Result<()> {
    let small = module.with_extension("small");
    let mut command = Command::new(optimizer);
    for feature in
        ["bulk-memory", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext", "multivalue"]
    {
        command.arg(format!("--enable-{feature}"));
    }
    command.arg("-Oz").arg(module).arg("-o").arg(&small);
    match process::step("shrinking the wasm with wasm-opt", || process::output(&mut command)) {
        Ok(_) => fs::rename(&small, module).context("replace the wasm by its smaller form")?,
        Err(error) => println!("  left as it is: {}", format!("{error:#}").lines().next().unwrap_or_default()),
    }
    Ok(())
}

/// Writes a file and its gzipped twin unless it is there already.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|it| it == bytes) && twin(path).exists() {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    gzip(path)
}

fn gzip(path: &Path) -> Result<()> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(&fs::read(path)?)?;
    fs::write(twin(path), out.finish()?).with_context(|| format!("write {}", twin(path).display()))
}

/// `page.html` → `page.html.gz`.
pub(crate) fn twin(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}
