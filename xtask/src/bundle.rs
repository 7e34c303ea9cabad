//! The page: `web` as wasm with its JavaScript, the static files beside it, everything compressed twice, in web/dist.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::wasm::{self, Toolchain};
use crate::{minify, paths, process, test};
use anyhow::{Context, Result, ensure};

/// Files that are served almost as they are, from the project's folder `web` but for the first page; what is loaded by others with
/// its version comes before them.
const STATIC: [&str; 10] = [
    "ink.js",
    "share.js",
    "embed.js",
    "vivarium-lab.js",
    "style.css",
    "icon.svg",
    "manifest.webmanifest",
    "index.html",
    "api.html",
    "embed.html",
];
/// Those that are asked for with their version, besides the engine's.
const VERSIONED: [&str; 3] = ["ink.js", "share.js", "embed.js"];
/// What answers without a network, and with which files: those of the lab itself.
const WORKER: &str = "sw.js";
const KEPT: [&str; 9] =
    ["index.html", "style.css", "icon.svg", "manifest.webmanifest", SCRIPT, PARTS, "ink.js", "share.js", "embed.js"];
/// Types for those who write programs; nobody's browser loads them.
const ELEMENT_TYPES: &str = "vivarium-lab.d.ts";
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
    let for_tests = args.switch("--for-tests");
    ensure!(args.rest()?.is_empty(), "`build` takes --page, for the page alone, or --for-tests, and nothing else");
    if for_tests {
        return test::build();
    }
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
    let unpacker = compile_unpacker(toolchain)?;
    let stamp = stamp(&compiled, &unpacker, toolchain)?;
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
        rewrite("pack", &[&bound.join("vivarium_bg.wasm"), &script, &types, &unpacker, &parts])?;
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

    let engine = version(&String::from_utf8(read(&served[0])?)?)?;
    let build = engine.trim_start_matches("?v=").to_owned();
    let mut versions = vec![(SCRIPT, engine.clone()), (PARTS, engine)];
    let source = |name: &str| if name == "index.html" { root.join(name) } else { root.join("web").join(name) };
    for name in STATIC {
        let text = fs::read_to_string(source(name)).with_context(|| format!("read {name}"))?;
        let served = match Path::new(name).extension().and_then(|it| it.to_str()) {
            Some("css") => minify::css(&text),
            Some("html" | "js") => built(addressed(&minify::html(&text), &versions), &build),
            _ => text,
        };
        if VERSIONED.contains(&name) {
            versions.push((name, format!("?v={:08x}", sum(served.as_bytes()))));
        }
        put(&dist.join(name), served.as_bytes())?;
    }
    let worker = fs::read_to_string(source(WORKER)).with_context(|| format!("read {WORKER}"))?;
    put(&dist.join(WORKER), worker_of(&minify::html(&worker), &dist, &versions)?.as_bytes())?;
    fs::copy(source(ELEMENT_TYPES), dist.join(ELEMENT_TYPES)).with_context(|| format!("write {ELEMENT_TYPES}"))?;
    Ok(())
}

/// The worker with the names, versions and sums of what it keeps: another file makes it another worker, and that is how browsers
/// notice a new build.
fn worker_of(text: &str, dist: &Path, versions: &[(&str, String)]) -> Result<String> {
    let mut files = Vec::new();
    for name in KEPT {
        let version = versions.iter().find(|it| it.0 == name).map_or("", |it| &it.1);
        files.push(format!("\"{name}{version}\":{}", sum(&read(&dist.join(name))?)));
    }
    let files = files.join(",");
    let version = sum(files.as_bytes());
    let filled = text
        .replace("const VERSION = \"\";", &format!("const VERSION = \"{version:08x}\";"))
        .replace("const FILES = {};", &format!("const FILES = {{{files}}};"));
    ensure!(filled.len() > text.len() + files.len(), "{WORKER} has no place for its version and its files");
    Ok(filled)
}

/// FNV-1a, as the worker has it.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// What the JavaScript adds to the parts' address: `?v=` and the version, which is that of both files.
fn version(script: &str) -> Result<String> {
    let (_, after) =
        script.split_once(&format!("{PARTS}?v=")).context("the JavaScript names no version of the parts")?;
    let digits: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    ensure!(!digits.is_empty(), "the JavaScript's version of the parts has no digits");
    Ok(format!("?v={digits}"))
}

/// A page or a script that loads these versions of files: one that a cache has of another version is not taken for them. The parts are
/// asked for ahead; as the page is in the project, where it knows no version, that would be in vain.
fn addressed(page: &str, versions: &[(&str, String)]) -> String {
    let page = versions.iter().filter(|it| it.0 != PARTS).fold(page.to_owned(), |page, (name, version)| {
        page.replace(&format!("\"{name}\""), &format!("\"{name}{version}\""))
            .replace(&format!("\"./{name}\""), &format!("\"./{name}{version}\""))
    });
    let version = versions.iter().find(|it| it.0 == SCRIPT).map_or("", |it| &it.1);
    let script = format!("<link rel=\"modulepreload\" href=\"{SCRIPT}{version}\">");
    let parts = format!("<link rel=\"preload\" href=\"{PARTS}{version}\" as=\"fetch\" crossorigin>");
    page.replace(&script, &format!("{script}{parts}"))
}

/// A page or a script that says which build of the engine it belongs to, if it asks for that.
fn built(text: String, build: &str) -> String {
    text.replace("const BUILD = \"\";", &format!("const BUILD = \"{build}\";"))
}

/// Builds the `vivarium` binary and returns its path.
pub(crate) fn binary() -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["build", "--release", "--package", "vivarium"]);
    process::run(&mut build)?;
    Ok(paths::target().join("release/vivarium"))
}

/// The same as the native tests have it, with all assertions. It is asked for as what one of them needs, and among all that they are
/// built with: by itself, other features of what it is made of would be chosen, and all of it be built a second time.
pub(crate) fn tested_binary() -> Result<PathBuf> {
    let mut build = test::native_tests();
    build.args(["--test", "native", "--no-run"]);
    process::run(&mut build)?;
    Ok(paths::target().join("debug/vivarium"))
}

fn compile(toolchain: Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo();
    // Without the rlib beside it, cargo would optimize across crates: that inlines what is alike, for a tenth more gzipped.
    build.args(["build", "--package", "web", "--lib", "--profile", "web", "--target", wasm::TARGET]);
    process::run(&mut build)?;
    Ok(paths::wasm_target().join(wasm::TARGET).join("web/web.wasm"))
}

/// What unpacks the module in the browser: by itself, without the names of its functions.
fn compile_unpacker(toolchain: Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo();
    build.args(["rustc", "--package", "unpack", "--lib", "--crate-type", "cdylib", "--profile", "web"]);
    build.args(["--target", wasm::TARGET, "--", "-Clink-arg=--strip-all"]);
    process::run(&mut build)?;
    Ok(paths::wasm_target().join(wasm::TARGET).join("web/unpack.wasm"))
}

/// What the bound wasm and JavaScript depend on.
fn stamp(compiled: &Path, unpacker: &Path, toolchain: Toolchain) -> Result<String> {
    let file = fs::metadata(compiled).with_context(|| format!("read {}", compiled.display()))?;
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let bindgen = lock.split("[[package]]").find(|it| it.contains("name = \"wasm-bindgen-cli\"")).unwrap_or_default();
    let bindgen = bindgen.lines().find(|it| it.starts_with("version")).unwrap_or_default();
    let (len, modified, version) = (file.len(), file.modified()?, toolchain.version()?);
    let mut stamp = format!("{len} {modified:?}\n{version}{bindgen}\n{:08x}\n", sum(&read(unpacker)?));
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
        let page = "<link rel=\"modulepreload\" href=\"vivarium.js\">import(\"./vivarium.js\"); // not style.css\"";
        let page = addressed(page, &[(SCRIPT, version.clone()), (PARTS, version)]);
        let expected = "<link rel=\"modulepreload\" href=\"vivarium.js?v=00c0ffee\"><link rel=\"preload\" \
                        href=\"vivarium.parts?v=00c0ffee\" as=\"fetch\" crossorigin>import(\"./vivarium.js?v=00c0ffee\"); \
                        // not style.css\"";
        assert_eq!(page, expected);
    }

    #[test]
    fn the_worker_is_another_for_another_file() {
        let folder = std::env::temp_dir().join(format!("vivarium-worker-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in KEPT {
            fs::write(folder.join(name), name).unwrap();
        }
        let source = fs::read_to_string(paths::root().join("web").join(WORKER)).unwrap();
        let of = |version: &str| worker_of(&source, &folder, &[(SCRIPT, version.to_owned())]).unwrap();
        let first = of("?v=1");
        assert!(first.contains("\"vivarium.js?v=1\":") && first.contains("\"style.css\":"), "{first}");
        assert_eq!(first, of("?v=1"));
        assert_ne!(first, of("?v=2"));
        fs::write(folder.join("style.css"), "p{}").unwrap();
        assert_ne!(first, of("?v=1"));
        assert!(worker_of("no place", &folder, &[]).is_err());
        // The vectors of FNV's authors.
        assert_eq!((sum(b""), sum(b"a"), sum(b"foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
        fs::remove_dir_all(folder).unwrap();
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
