//! The `vivarium` command.

fn main() {}
