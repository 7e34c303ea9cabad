//! axe-core, which finds what of a page is in somebody's way, for tests only. It is published for npm; pip, which other tests need
//! anyway, has it too, in a wheel that carries its file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::clients::confluent;
use crate::{paths, process};

/// The wheel, which pip takes with this sum alone; axe-core 4.12.1 is in it.
const WHEEL: &str = "axe-playwright-python==0.1.8 \
                     --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8\n";
const FILE: &str = "axe_playwright_python/axe.min.js";

/// The script, fetched on first use.
pub(crate) fn script() -> Result<PathBuf> {
    let folder = paths::cache("axe")?.join("0.1.8");
    let file = folder.join(FILE);
    if file.is_file() {
        return Ok(file);
    }
    let python = confluent::environment()?;
    fs::create_dir_all(&folder)?;
    let list = folder.join("requirements.txt");
    fs::write(&list, WHEEL)?;
    process::step("fetching axe-core with pip, for testing the page", || {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--require-hashes", "--upgrade"]);
        pip.arg("--target").arg(&folder).arg("--requirement").arg(&list);
        process::output(&mut pip).map(drop)
    })
    .context("fetch axe-core")?;
    ensure!(file.is_file(), "the wheel has no {FILE}");
    Ok(file)
}
