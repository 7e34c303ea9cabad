//! Chromium and its driver, for tests only.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, paths, process};

/// What Chromium is started with: no window, no sandbox (root has none), no memory of /dev/shm (containers have little, and a browser
/// that finds none crashes), and nothing that leaves this machine.
pub(crate) const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser and the program that drives it.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds both, or installs Debian's.
    pub(crate) fn set_up() -> Result<Browser> {
        if let Some(found) = Browser::find() {
            return Ok(found);
        }
        let packages = ["chromium", "chromium-driver", "fonts-dejavu-core"];
        apt::install(&packages, "testing the page").context("the tests of the page need Chromium and ChromeDriver")?;
        match Browser::find() {
            Some(found) => Ok(found),
            None => bail!("chromium and chromium-driver are installed, but are not on PATH"),
        }
    }

    fn find() -> Option<Browser> {
        let driver = paths::which("chromedriver")?;
        let names = ["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"];
        let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
        let chromium = names.iter().find_map(|it| paths::which(it)).or_else(|| mac.exists().then_some(mac))?;
        Some(Browser { chromium, driver })
    }

    /// Its version, for the log.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(process::output(Command::new(&self.chromium).arg("--version"))?.trim().to_owned())
    }

    /// The capabilities file that wasm-bindgen's test runner reads.
    pub(crate) fn webdriver_json(&self) -> Result<PathBuf> {
        let file = paths::wasm_target().join("webdriver.json");
        let capabilities = serde_json::json!({ "goog:chromeOptions": { "args": FLAGS, "binary": self.chromium } });
        std::fs::write(&file, capabilities.to_string()).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}
