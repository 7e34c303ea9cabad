//! `cargo xtask`: set-up, build, tests, benchmarks, code generation.

fn main() {}
