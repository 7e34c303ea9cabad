//! A tab of a headless Chromium: what a test does with it, and what it asserts about it.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use serde_json::{Value, json};

use crate::keys::{ENTER, ESCAPE, SHIFT, TAB};
use crate::profile::Profile;
use crate::webdriver::Driver;

/// The longest a test waits for the page to become as expected: it costs nothing where all is well, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(20);
/// How often a browser is started that does not come up: that is no fault of the page.
const STARTS: usize = 3;
/// Names how many times slower pages are to be than this machine: what a test asserts must hold on any.
const SLOWDOWN: &str = "VIVARIUM_SLOWDOWN";

/// Looks until there is what is sought, where nobody tells when that is. A look that finds nothing says what it saw instead.
pub fn poll<T>(mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(why) if Instant::now() > deadline => return Err(why.context(format!("not within {PATIENCE:?}"))),
            Err(_) => std::thread::sleep(STEP),
        }
    }
}

/// What the system says that it prefers.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// prefers-color-scheme: light
    Light,
    /// prefers-color-scheme: dark
    Dark,
}

impl Scheme {
    /// "light" or "dark".
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        }
    }
}

/// A browser with one tab. It ends with this value.
pub struct Browser {
    driver: Driver,
    session: String,
    /// Nothing had gone wrong when it was asked last.
    is_well: Cell<bool>,
    /// What it remembers, unless ChromeDriver has a folder for that.
    profile: Option<Profile>,
}

impl Browser {
    /// Starts that of somebody who has been at the lab before: its module is kept, and nothing else.
    pub fn start() -> Result<Browser> {
        Browser::start_with("", || Profile::visited().map(Some))
    }

    /// Starts that of somebody who was never here.
    pub fn start_new() -> Result<Browser> {
        Browser::start_with("", || Ok(None))
    }

    /// The same, and what it keeps can be had when it ends.
    pub(crate) fn start_keeping() -> Result<Browser> {
        Browser::start_with("", || Profile::new().map(Some))
    }

    /// Ends it: what it kept.
    pub(crate) fn end(mut self) -> Option<Profile> {
        self.profile.take()
    }

    /// A browser at this path of the lab, once an expression of the page is true.
    pub fn at(path: &str, ready: &str) -> Result<Browser> {
        let browser = Browser::start()?;
        browser.open(path)?;
        browser.until(ready)?;
        Ok(browser)
    }

    /// Starts one that was never here and records what its threads do, for [`Browser::trace`].
    pub fn start_traced() -> Result<Browser> {
        Browser::start_with("devtools.timeline,disabled-by-default-devtools.timeline", || Ok(None))
    }

    fn start_with(categories: &str, profile: impl Fn() -> Result<Option<Profile>>) -> Result<Browser> {
        for _ in 1..STARTS {
            match Browser::try_start(categories, profile()?) {
                Ok(browser) => return Ok(browser),
                Err(why) => println!("the browser did not start: {why:#}"),
            }
        }
        Browser::try_start(categories, profile()?).context("start a browser")
    }

    fn try_start(categories: &str, profile: Option<Profile>) -> Result<Browser> {
        let driver = Driver::start(&variable("VIVARIUM_CHROMEDRIVER")?)?;
        let flags = variable("VIVARIUM_CHROMIUM_FLAGS")?;
        let mut flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        if let Some(profile) = &profile {
            flags.push(format!("--user-data-dir={}", profile.path().display()));
        }
        let binary = variable("VIVARIUM_CHROMIUM")?;
        let name = if binary.ends_with("headless-shell") { "chrome-headless-shell" } else { "chrome" };
        let mut options = json!({ "binary": binary, "args": flags });
        let mut logs = json!({ "browser": "ALL" });
        if !categories.is_empty() {
            logs["performance"] = json!("ALL");
            options["perfLoggingPrefs"] =
                json!({ "traceCategories": categories, "enableNetwork": false, "enablePage": false });
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": name,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": logs,
            "timeouts": { "script": 170_000 },
        } } });
        let session = driver.call("POST", "/session", &capabilities)?;
        let session = session["sessionId"].as_str().context("a session id")?.to_owned();
        let browser = Browser { driver, session, is_well: Cell::new(false), profile };
        browser.view(1440, 900, Scheme::Light)?;
        if let Ok(rate) = std::env::var(SLOWDOWN) {
            let rate: f64 = rate.parse().with_context(|| format!("{SLOWDOWN} is a number"))?;
            browser.devtools("Emulation.setCPUThrottlingRate", json!({ "rate": rate }))?;
        }
        Ok(browser)
    }

    /// The address of a path of the served lab.
    pub fn address(path: &str) -> Result<String> {
        Ok(variable("VIVARIUM_LAB")? + path.trim_start_matches('/'))
    }

    /// Opens a path of the served lab and waits for its load event.
    pub fn open(&self, path: &str) -> Result<()> {
        self.go(&Browser::address(path)?)
    }

    /// Opens an address and waits for its load event.
    pub fn go(&self, address: &str) -> Result<()> {
        self.command("POST", "url", json!({ "url": address })).map(drop)
    }

    /// From now on what is downloaded is put into a folder.
    pub fn download_to(&self, folder: &std::path::Path) -> Result<()> {
        let to = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", to).map(drop)
    }

    /// Size of the viewport in CSS pixels, and the colours that the system prefers.
    pub fn view(&self, width: u32, height: u32, scheme: Scheme) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size)?;
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme.name() });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] }))?;
        Ok(())
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, method: &str, parameters: Value) -> Result<Value> {
        self.command("POST", "goog/cdp/execute", json!({ "cmd": method, "params": parameters }))
    }

    /// Runs a function's body in the page; what it returns. It may await.
    pub fn run(&self, body: &str) -> Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];\
             (async () => {{ {body} }})().then((it) => done({{ ok: it ?? null }}), (it) => done({{ error: String(it) }}));"
        );
        let mut answer = self.command("POST", "execute/async", json!({ "script": script, "args": [] }))?;
        if let Some(error) = answer["error"].as_str() {
            bail!("in the page: {error}");
        }
        Ok(answer["ok"].take())
    }

    /// The text that a person sees of the first element that matches; an error if there is none.
    pub fn text(&self, selector: &str) -> Result<String> {
        let body = format!("return document.querySelector({}).innerText", json!(selector));
        let text = self.run(&body)?;
        Ok(text.as_str().with_context(|| format!("{selector} has text"))?.to_owned())
    }

    /// Waits until an expression of JavaScript holds.
    pub fn until(&self, expression: &str) -> Result<()> {
        // Before the first paint there may be nothing to ask. What the page shows is said when the browser ends.
        poll(|| {
            let found = self.run(&format!("return Boolean({expression})")).with_context(|| expression.to_owned())?;
            ensure!(found == Value::Bool(true), "{expression}");
            Ok(())
        })
    }

    /// Waits until what has changed is drawn.
    pub fn drawn(&self) -> Result<()> {
        self.run("await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))").map(drop)
    }

    /// Nothing sticks out sideways of a viewport of this width. The page's own `innerWidth` is no measure: where a phone is emulated,
    /// it grows with what sticks out.
    pub fn fits(&self, width: u32) -> Result<()> {
        self.drawn()?;
        let wide = self.run("return document.documentElement.scrollWidth")?;
        // Less where a scroll bar takes its part.
        ensure!(wide.as_u64().is_some_and(|it| it <= u64::from(width)), "{width} px: {wide} to scroll to");
        Ok(())
    }

    /// Types a line into the lab's terminal, and waits until it is done.
    pub fn act(&self, line: &str) -> Result<()> {
        self.keys("/")?;
        self.keys(&format!("{line}{ENTER}{ESCAPE}"))?;
        self.settled()
    }

    /// Waits until nothing happens by itself: what the lab does frame by frame is done, and time stands still.
    pub fn settled(&self) -> Result<()> {
        self.until("document.querySelector('#play').ariaLabel === 'Play'")
    }

    /// On to the next chapter of a story by the key for it, and by once more the same where that has begun a way to watch. Within
    /// one task of the page: between two keys of a driver the way may have come to its end, and the second would lead further.
    pub fn turn_on(&self) -> Result<()> {
        self.run(
            "const of = () => document.querySelector('.of').textContent, before = of();
             for (let i = 0; i < 2 && of() === before; i++)
                 document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true, cancelable: true }));",
        )?;
        self.settled()
    }

    /// Clicks the first element that matches, as a person would: in its middle, on what lies on top there, scrolled out from under
    /// what stays in sight at the window's edges.
    pub fn click(&self, selector: &str) -> Result<()> {
        let sought = serde_json::to_string(selector)?;
        self.run(&format!("document.querySelector({sought})?.scrollIntoView({{ block: 'nearest', inline: 'nearest', behavior: 'instant' }})"))?;
        let found = self.command("POST", "element", json!({ "using": "css selector", "value": selector }))?;
        let id = found.as_object().and_then(|it| it.values().next()?.as_str()).context("an element id")?.to_owned();
        self.command("POST", &format!("element/{id}/click"), json!({})).map(drop)
    }

    /// Types into what has the focus. Those without a character are in [`crate::keys`].
    pub fn keys(&self, keys: &str) -> Result<()> {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|it| [json!({ "type": "keyDown", "value": it }), json!({ "type": "keyUp", "value": it })])
            .collect();
        self.strike(actions)
    }

    /// Shift and Tab: to what can have the focus before this.
    pub fn tab_back(&self) -> Result<()> {
        let key = |kind: &str, key: char| json!({ "type": kind, "value": key });
        self.strike(vec![key("keyDown", SHIFT), key("keyDown", TAB), key("keyUp", TAB), key("keyUp", SHIFT)])
    }

    fn strike(&self, actions: Vec<Value>) -> Result<()> {
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.command("POST", "actions", json!({ "actions": [keyboard] })).map(drop)
    }

    /// Errors that the page wrote to the console, or that the browser did about it, since the last call.
    pub fn errors(&self) -> Result<Vec<String>> {
        let entries = self.command("POST", "se/log", json!({ "type": "browser" }))?;
        let severe = |it: &&Value| it["level"] == "SEVERE";
        let text = |it: &Value| it["message"].as_str().unwrap_or_default().to_owned();
        Ok(entries.as_array().context("log entries")?.iter().filter(severe).map(text).collect())
    }

    /// Nothing went wrong on the page since the last look.
    pub fn quiet(&self) -> Result<()> {
        let errors = self.errors()?;
        ensure!(errors.is_empty(), "the console says {errors:?}");
        self.is_well.set(true);
        Ok(())
    }

    /// What the browser's threads did, as events of Chromium's trace format. It stops recording: ask once, at the end.
    pub fn trace(&self) -> Result<Vec<Value>> {
        let entries = self.command("POST", "se/log", json!({ "type": "performance" }))?;
        let mut events = Vec::new();
        for entry in entries.as_array().context("log entries")? {
            let text = entry["message"].as_str().context("an entry has a message")?;
            let mut message: Value = serde_json::from_str(text)?;
            if message["message"]["method"] == "Tracing.dataCollected" {
                events.push(message["message"]["params"].take());
            }
        }
        Ok(events)
    }

    /// Keeps a picture of the whole page among the artifacts. Returns its bytes (PNG).
    pub fn screenshot(&self, name: &str) -> Result<Vec<u8>> {
        let picture =
            self.devtools("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }))?;
        let text = picture["data"].as_str().context("a picture")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
        let folder = PathBuf::from(variable("VIVARIUM_ARTIFACTS")?);
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, &bytes).with_context(|| format!("write {}", file.display()))?;
        Ok(bytes)
    }

    fn command(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        self.is_well.set(false);
        self.driver.call(method, &format!("/session/{}/{path}", self.session), &body)
    }
}

impl Browser {
    /// What is to be known of a page where a test failed.
    fn last_words(&self) -> Result<String> {
        let words = self.run(
            "const text = (it) => document.querySelector(it)?.innerText.trim().slice(0, 600) ?? '(none)';
             return [location.href.slice(0, 200), document.querySelector('#play')?.ariaLabel,
                 ...['#status', '#clock', '#event', '#say', '#chapter', '#lines', '#banner', '#fault'].map((it) => `${it}: ${text(it)}`)].join('\\n')",
        )?;
        Ok(format!("{}\nconsole: {:?}", words.as_str().unwrap_or_default(), self.errors()?))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.is_well.get() {
            // The harness shows it for tests that fail, and those alone.
            match self.last_words() {
                Ok(words) => println!("the page at the end: {words}"),
                Err(why) => println!("the page says nothing any more: {why:#}"),
            }
        }
        // Ends Chromium; the driver ends after it, whatever came of this.
        let _ = self.driver.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}

pub(crate) fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run `cargo xtask test e2e`, which sets it"))
}
