//! What a browser remembers. Most tests are of somebody who has been at the lab before: unpacking its module takes a browser longer
//! than all that many a test does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::Browser;
use crate::browser::variable;

/// What an earlier visit leaves behind but the module: settings, and whatever answers without the server.
const FORGET: &str = "for (const it of await navigator.serviceWorker.getRegistrations()) await it.unregister();
    for (const it of await caches.keys()) if (it !== 'vivarium modules') await caches.delete(it);
    localStorage.clear();";
const KEPT: &str = "(await (await caches.open('vivarium modules')).keys()).length";

/// A browser's folder, which goes with the value.
pub(crate) struct Profile(PathBuf);

impl Profile {
    /// Of somebody who was never here.
    pub(crate) fn new() -> Result<Profile> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vivarium-profile-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Profile(folder))
    }

    /// Of somebody who has been at the lab before.
    pub(crate) fn visited() -> Result<Profile> {
        let profile = Profile::new()?;
        copy(&visit()?, &profile.0)?;
        Ok(profile)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // What a browser that was killed still writes is nobody's any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The folder of a visit that all programs of these tests share: the first that needs it pays it.
fn visit() -> Result<PathBuf> {
    static VISIT: Mutex<()> = Mutex::new(());
    let _one_at_a_time = VISIT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = PathBuf::from(variable("VIVARIUM_VISIT")?);
    if !folder.exists() {
        let browser = Browser::start_keeping()?;
        browser.open("#one")?;
        browser.until("document.querySelector('#engine')?.innerText")?;
        browser.run(&format!("while (!{KEPT}) await new Promise((done) => setTimeout(done, 50)); {FORGET}"))?;
        browser.quiet()?;
        let kept = browser.end().context("a browser that keeps what it is told")?;
        let part = folder.with_extension("part");
        copy(&kept.0, &part)?;
        fs::rename(part, &folder)?;
    }
    Ok(folder)
}

/// All files but a running browser's own marks, and what it has only to be faster.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let target = to.join(&name);
        if text.starts_with("Singleton") || text.ends_with("Cache") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}
