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
const PASSES: [&str; 12] = [
    "body.rs",
    "classes.rs",
    "glue.rs",
    "linked.rs",
    "locals.rs",
    "main.rs",
    "order.rs",
    "pack.rs",
    "parts.rs",
    "same.rs",
    "together.js",
    "trim.rs",
];
/// The module without what a visitor does not need, and where it is bound and packed.
const TRIMMED: &str = "target/wasm/trimmed.wasm";
const BOUND: &str = "target/wasm/bound";
/// What is served: the JavaScript, and the module's parts, which it loads from beside it. And the types, for those who write
/// programs with it.
const SCRIPT: &str = "vivarium.js";
const PARTS: &str = "vivarium.parts";
const TYPES: &str = "vivarium.d.ts";

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
    let served = [SCRIPT, PARTS].map(|it| dist.join(it));
    let fresh = fs::read_to_string(&stamp_file).is_ok_and(|it| it == stamp)
        && served.iter().all(|it| it.exists() && twins(it).iter().all(|it| it.exists()))
        && dist.join(TYPES).exists();
    if !fresh {
        let (trimmed, bound) = (root.join(TRIMMED), root.join(BOUND));
        rewrite("trim", &[&compiled, &trimmed])?;
        bind(&trimmed, &bound)?;
        // wasm-opt would make it larger: -Oz takes a tenth of its bytes away and so much of what is alike in the rest that
        // gzip leaves an eighth more. It inlines.
        let [script, parts, types] = [SCRIPT, PARTS, TYPES].map(|it| bound.join(it));
        rewrite("pack", &[&bound.join("vivarium_bg.wasm"), &script, &types, &parts])?;
        // A build that ends here must not leave a mixture that the last one's stamp calls fresh.
        fs::write(&stamp_file, "")?;
        publish(&[(&served[0], read(&script)?), (&served[1], read(&parts)?)])?;
        fs::copy(&types, dist.join(TYPES)).with_context(|| format!("write {TYPES}"))?;
        fs::write(&stamp_file, stamp)?;
    }
    // Of builds before the module was served in parts: nobody loads it, and it is twice as much.
    for entry in fs::read_dir(&dist)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("vivarium_bg.wasm")) {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }

    let version = version(&String::from_utf8(read(&served[0])?)?)?;
    for (from, to) in STATIC {
        let text = fs::read_to_string(root.join(from)).with_context(|| format!("read {from}"))?;
        let served = match Path::new(from).extension().and_then(|it| it.to_str()) {
            Some("css") => minify::css(&text),
            Some("html") => addressed(&minify::html(&text), &version),
            _ => text,
        };
        put(&dist.join(to), served.as_bytes())?;
    }
    Ok(())
}

/// What the JavaScript adds to the parts' address: `?v=` and the version, which is that of both files.
fn version(script: &str) -> Result<String> {
    let (_, after) =
        script.split_once(&format!("{PARTS}?v=")).context("the JavaScript names no version of the parts")?;
    let digits: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    ensure!(!digits.is_empty(), "the JavaScript's version of the parts has no digits");
    Ok(format!("?v={digits}"))
}

/// A page that loads this version of the engine's files: one that a cache has of another version is not taken for it.
fn addressed(page: &str, version: &str) -> String {
    [SCRIPT, PARTS]
        .iter()
        .fold(page.to_owned(), |page, it| page.replace(&format!("{it}\""), &format!("{it}{version}\"")))
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
    publish(&[(path, bytes.to_vec())])
}

/// Puts files and their compressed twins where they are served from, each whole at every moment: all are written beside their
/// places and then take them at once. A file comes after its twins: where it is new, they are.
fn publish(files: &[(&Path, Vec<u8>)]) -> Result<()> {
    let mut all = Vec::new();
    for (path, bytes) in files {
        let [gzipped, brotli] = twins(path);
        all.extend([(gzipped, by_gzip(bytes)?), (brotli, by_brotli(bytes)?), (path.to_path_buf(), bytes.clone())]);
    }
    let beside = |place: &Path| {
        let mut name = place.as_os_str().to_owned();
        name.push(".new");
        PathBuf::from(name)
    };
    for (place, bytes) in &all {
        fs::write(beside(place), bytes).with_context(|| format!("write {}", place.display()))?;
    }
    for (place, _) in &all {
        fs::rename(beside(place), place).with_context(|| format!("write {}", place.display()))?;
    }
    Ok(())
}

/// What every browser takes.
fn by_gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    // More rounds take seconds each, for 0.3 %. A module's parts are of so many kinds that more than the usual 15 blocks with
    // frequencies of their own pay: 2 %. (Without a bound it makes too many.)
    let options = zopfli::Options { iteration_count: NonZeroU64::MIN, maximum_block_splits: 100, ..Default::default() };
    let mut out = Vec::new();
    zopfli::compress(options, zopfli::Format::Gzip, bytes, &mut out)?;
    Ok(out)
}

/// What those take that trust where the page comes from.
fn by_brotli(mut bytes: &[u8]) -> Result<Vec<u8>> {
    // As large a window as every decoder has.
    let options =
        brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, size_hint: bytes.len(), ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut bytes, &mut out, &options)?;
    Ok(out)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// `page.html` → `page.html.gz` and `page.html.br`.
pub(crate) fn twins(path: &Path) -> [PathBuf; 2] {
    [".gz", ".br"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_the_version_that_was_built_with_it() {
        let version = version("let a = new URL('vivarium.parts?v=00c0ffee', import.meta.url);").unwrap();
        assert_eq!(version, "?v=00c0ffee");
        assert!(super::version("new URL('vivarium.parts', import.meta.url)").is_err());
        let page = addressed("<link href=\"vivarium.parts\">import(\"./vivarium.js\"); // not style.css\"", &version);
        let expected =
            "<link href=\"vivarium.parts?v=00c0ffee\">import(\"./vivarium.js?v=00c0ffee\"); // not style.css\"";
        assert_eq!(page, expected);
    }

    #[test]
    fn a_file_is_published_with_its_twins_and_nothing_else_is_left() {
        let folder = std::env::temp_dir().join(format!("vivarium-bundle-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let page = folder.join("page.html");
        for text in ["old", "new"] {
            put(&page, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&page).unwrap(), text);
            let [gzipped, brotli] = twins(&page).map(|it| fs::read(it).unwrap());
            assert_eq!((gzipped, brotli), (by_gzip(text.as_bytes()).unwrap(), by_brotli(text.as_bytes()).unwrap()));
        }
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["page.html", "page.html.br", "page.html.gz"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
