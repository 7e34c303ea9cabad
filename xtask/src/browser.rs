//! Chromium and its driver, for tests only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use anyhow::{Context, Result};

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

/// Debian's package of it, and its program.
const SHELL: &str = "chromium-headless-shell";

/// A browser and the program that drives it.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
    /// The same engine without a window that nobody sees: it starts and draws for half the processor time.
    shell: Option<PathBuf>,
}

impl Browser {
    /// Finds them, or installs Debian's.
    pub(crate) fn set_up() -> Result<Browser> {
        let found = match Browser::find() {
            Some(it) => it,
            None => {
                let packages = ["chromium", "chromium-driver", SHELL, "fonts-dejavu-core"];
                apt::install(&packages, "testing the page")
                    .context("the tests of the page need Chromium and ChromeDriver")?;
                Browser::find().context("chromium and chromium-driver are installed, but are not on PATH")?
            }
        };
        if found.shell.is_some() || !apt::installed("chromium") {
            return Ok(found);
        }
        static ASK: Once = Once::new();
        ASK.call_once(|| {
            if let Err(why) = apt::install(&[SHELL], "testing the page in half the time") {
                println!("the page is tested in all of Chromium: {why:#}");
            }
        });
        Browser::find().context("chromium and chromedriver were here a moment ago")
    }

    fn find() -> Option<Browser> {
        let driver = paths::which("chromedriver")?;
        let names = ["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"];
        let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
        let chromium = names.iter().find_map(|it| paths::which(it)).or_else(|| mac.exists().then_some(mac))?;
        // Debian's command is a script that outlives what it starts.
        let debian = Path::new("/usr/lib/chromium").join(SHELL);
        let shell = debian.exists().then_some(debian).or_else(|| paths::which("chrome-headless-shell"));
        // A driver drives its own version alone.
        let shell = shell.filter(|it| major(it).is_some_and(|it| Some(it) == major(&driver)));
        Some(Browser { chromium, driver, shell })
    }

    /// What tests are run in.
    pub(crate) fn for_tests(&self) -> &Path {
        self.shell.as_deref().unwrap_or(&self.chromium)
    }

    /// Its version, for the log.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(process::output(Command::new(self.for_tests()).arg("--version"))?.trim().to_owned())
    }

    /// The capabilities file that wasm-bindgen's test runner reads.
    pub(crate) fn webdriver_json(&self) -> Result<PathBuf> {
        let file = paths::wasm_target().join("webdriver.json");
        let name = if self.shell.is_some() { "chrome-headless-shell" } else { "chrome" };
        let options = serde_json::json!({ "args": FLAGS, "binary": self.for_tests() });
        let capabilities = serde_json::json!({ "browserName": name, "goog:chromeOptions": options });
        std::fs::write(&file, capabilities.to_string()).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}

/// The 156 of "Chromium 156.0.8078.79 …".
fn major(program: &Path) -> Option<u32> {
    let text = process::output(Command::new(program).arg("--version")).ok()?;
    text.split([' ', '.']).find_map(|it| it.parse().ok())
}
