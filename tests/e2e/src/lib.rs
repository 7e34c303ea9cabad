//! Drives the served lab in a real Chromium over WebDriver: a small client of our own, on loopback, with what these tests
//! need. `cargo xtask test e2e` builds and serves the page and says by environment variables where everything is.

mod browser;
mod figures;
mod frames;
mod front;
pub mod keys;
mod profile;
mod webdriver;

pub use browser::{Browser, Scheme, poll};
pub use figures::{Start, Travel, start, travel};
pub use frames::{Frames, Played, play_crowded, play_fast};
pub use front::Front;
