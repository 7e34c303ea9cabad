//! A run as a test of this crate.

use std::fmt::Write;

use crate::history::{ENGINE, History};
use crate::script::Scenario;

/// The branch up to the moment that is looked at as a `#[test]`: it plays the run and demands the same hash, and the same of every
/// check.
pub fn rust_test(history: &History) -> String {
    let world = history.world();
    let run = Scenario::of(&history.run(), world.events()).to_string();
    // More of them than any run of them in the text, so that nothing in it ends the literal.
    let (mut longest, mut here) = (0, 0);
    for it in run.chars() {
        here = if it == '#' { here + 1 } else { 0 };
        longest = longest.max(here);
    }
    let marks = "#".repeat(longest + 1);
    let broken = match world.checks().broken() {
        None => "None".to_owned(),
        Some(it) => format!("Some({:?})", it.check.name()),
    };
    let mut text = String::new();
    let _ = write!(
        text,
        "//! A run of Vivarium's lab, exported by engine {ENGINE}: save it as a file in crates/sim/tests. Another engine may do other things\n\
         //! with the same run, and then has another hash.\n\
         \n\
         use sim::script::Scenario;\n\
         \n\
         const RUN: &str = r{marks}\"{run}\"{marks};\n\
         \n\
         #[test]\n\
         fn the_run_is_as_it_was_seen() {{\n\
         \x20   let played = Scenario::parse(RUN).unwrap().play().unwrap();\n\
         \x20   assert_eq!(played.failures, []);\n\
         \x20   let world = played.history.world();\n\
         \x20   assert_eq!(world.events(), {});\n\
         \x20   assert_eq!(format!(\"{{:016x}}\", world.hash()), \"{:016x}\");\n\
         \x20   assert_eq!(world.checks().broken().map(|it| it.check.name()), {broken});\n\
         }}\n",
        world.events(),
        world.hash()
    );
    text
}
