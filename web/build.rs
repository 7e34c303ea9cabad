//! Asks the linker for its account of what refers to what: the passes of `xtask/wasm` leave out of the page what nothing refers to.
//! Here, so that the page and its tests are built from one library.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_FAMILY").as_deref() == Ok("wasm") {
        println!("cargo::rustc-link-arg-cdylib=--emit-relocs");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
