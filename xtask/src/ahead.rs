//! What later stages of the tests need, built while native tests and clients wait for clocks, sockets and Java.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{paths, process};

const LOG: &str = "ahead.log";

/// `cargo xtask build --for-tests` in the background, with what processor time nobody else wants. Whether it ends well does not
/// matter: the stage that needs what it failed at builds it again, and says why not.
#[derive(Debug)]
pub(crate) struct Ahead(Child);

impl Ahead {
    /// By this program, which is ours. None where it can't be started: then everything is built when its stage comes.
    pub(crate) fn start(program: &Path) -> Option<Ahead> {
        match start(program) {
            Ok(child) => Some(Ahead(child)),
            Err(why) => {
                println!("nothing is built ahead: {why:#}");
                None
            }
        }
    }

    /// Waits until it has ended. What it still has to do is done with all of the machine.
    pub(crate) fn wait(mut self) -> Result<()> {
        let start = Instant::now();
        let status = self.0.wait()?;
        println!(
            "built ahead, waited for {}: {status}, its output is in target/{LOG}",
            process::human(start.elapsed())
        );
        Ok(())
    }
}

fn start(program: &Path) -> Result<Child> {
    let path = paths::target().join(LOG);
    let log = File::create(&path).with_context(|| format!("write {}", path.display()))?;
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program).args(["build", "--for-tests"]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("start `{}`", process::line(&command)))
}
