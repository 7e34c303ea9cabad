//! The page: `web` as wasm with its JavaScript, the static files beside it, everything compressed twice, in web/dist.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::wasm::{self, Toolchain};
use crate::{minify, paths, process};
use anyhow::{Context, Result, ensure};

/// Files that are served almost as they are: (in the project, as served).
const STATIC: [(&str, &str); 5] = [
    ("index.html", "index.html"),
    ("web/api.html", "api.html"),
    ("web/style.css", "style.css"),
    ("web/icon.svg", "icon.svg"),
    ("web/manifest.webmanifest", "manifest.webmanifest"),
];
const STAMP: &str = "target/wasm/bundle.stamp";
/// What [`rewrite`] runs.
const PASSES: [&str; 11] = [
    "body.rs",
    "classes.rs",
    "glue.rs",
    "linked.rs",
    "locals.rs",
    "order.rs",
    "pack.rs",
    "parts.rs",
    "same.rs",
    "together.js",
    "trim.rs",
];
/// The module without what a visitor does not need, and what the page is served: its parts.
const TRIMMED: &str = "target/wasm/trimmed.wasm";
const PARTS: &str = "vivarium.parts";

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

    let root = paths::root();
    let stamp = stamp(&compiled, toolchain)?;
    let stamp_file = root.join(STAMP);
    let fresh = fs::read_to_string(&stamp_file).is_ok_and(|it| it == stamp)
        && twins(&dist.join(PARTS)).iter().all(|it| it.exists());
    if !fresh {
        let (trimmed, bound) = (root.join(TRIMMED), dist.join("vivarium_bg.wasm"));
        rewrite("trim", &[&compiled, &trimmed])?;
        bind(&trimmed, &dist)?;
        // wasm-opt would make it larger: -Oz takes a tenth of its bytes away and so much of what is alike in the rest that
        // gzip leaves an eighth more. It inlines.
        rewrite("pack", &[&bound, &dist.join("vivarium.js"), &dist.join(PARTS)])?;
        for name in ["vivarium.js", PARTS] {
            compress(&dist.join(name))?;
        }
        // The module itself is not served.
        for twin in twins(&bound) {
            if twin.exists() {
                fs::remove_file(&twin).with_context(|| format!("remove {}", twin.display()))?;
            }
        }
        fs::write(&stamp_file, stamp)?;
    }

    for (from, to) in STATIC {
        let text = fs::read_to_string(root.join(from)).with_context(|| format!("read {from}"))?;
        let served = match Path::new(from).extension().and_then(|it| it.to_str()) {
            Some("css") => minify::css(&text),
            Some("html") => minify::html(&text),
            _ => text,
        };
        put(&dist.join(to), served.as_bytes())?;
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
    build.args(["rustc", "--package", "web", "--lib", "--profile", "web", "--target", wasm::TARGET]);
    // The linker's account of what refers to what: the passes below leave out what nothing refers to.
    // (Without the rlib beside it, cargo would optimize across crates: that inlines what is alike, for a tenth more gzipped.)
    build.args(["--", "-Clink-arg=--emit-relocs"]);
    process::run(&mut build)?;
    Ok(paths::wasm_target().join(wasm::TARGET).join("web/web.wasm"))
}

/// What the bound wasm and JavaScript depend on.
fn stamp(compiled: &Path, toolchain: Toolchain) -> Result<String> {
    let file = fs::metadata(compiled).with_context(|| format!("read {}", compiled.display()))?;
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let bindgen = lock.split("[[package]]").find(|it| it.contains("name = \"wasm-bindgen-cli\"")).unwrap_or_default();
    let bindgen = bindgen.lines().find(|it| it.starts_with("version")).unwrap_or_default();
    let (len, modified, version) = (file.len(), file.modified()?, toolchain.version()?);
    let mut stamp = format!("{len} {modified:?}\n{version}{bindgen}\n");
    for source in PASSES {
        let path = paths::root().join("xtask/wasm/src").join(source);
        stamp.push_str(&fs::read_to_string(path).with_context(|| format!("read {source}"))?);
    }
    Ok(stamp)
}

fn bind(compiled: &Path, dist: &Path) -> Result<()> {
    let mut bind = Command::new(wasm::tool()?);
    bind.args(["bindgen", "--target", "web", "--out-name", "vivarium"]);
    // Functions' names are a third of the download, and only a debugger reads them.
    bind.args(["--remove-name-section", "--remove-producers-section", "--out-dir"]).arg(dist).arg(compiled);
    process::step("binding the wasm to JavaScript", || process::run(&mut bind))
}

/// Makes the wasm smaller to download: see the pass in xtask/wasm/src, and what its files are.
fn rewrite(pass: &str, files: &[&Path]) -> Result<()> {
    let mut rewrite = Command::new(wasm::tool()?);
    rewrite.arg(pass).args(files);
    process::step(&format!("making the wasm smaller: {pass}"), || process::run(&mut rewrite))
}

/// Writes a file and its compressed twins unless they are there already.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|it| it == bytes) && twins(path).iter().all(|it| it.exists()) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    compress(path)
}

/// By gzip, which every browser takes, and by Brotli, which those take that trust where the page comes from.
fn compress(path: &Path) -> Result<()> {
    // More rounds take seconds each, for 0.3 %. A module's parts are of so many kinds that more than the usual 15 blocks with
    // frequencies of their own pay: 2 %. (Without a bound it makes too many.)
    let options = zopfli::Options { iteration_count: NonZeroU64::MIN, maximum_block_splits: 100, ..Default::default() };
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let [gzipped, brotli] = twins(path);
    let mut out = Vec::new();
    zopfli::compress(options, zopfli::Format::Gzip, bytes.as_slice(), &mut out)?;
    fs::write(&gzipped, out).with_context(|| format!("write {}", gzipped.display()))?;
    // As large a window as every decoder has.
    let options =
        brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, size_hint: bytes.len(), ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut out, &options)?;
    fs::write(&brotli, out).with_context(|| format!("write {}", brotli.display()))
}

/// `page.html` → `page.html.gz` and `page.html.br`.
pub(crate) fn twins(path: &Path) -> [PathBuf; 2] {
    [".gz", ".br"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}
