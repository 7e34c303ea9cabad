//! How much memory a run may take before somebody is asked: a tab that has too much is ended by its browser, and the run with it.

use std::cell::Cell;

/// Playing stops at so many bytes, and again whenever there are so many more.
const FIRST: usize = 512 << 20;
const MORE: usize = 256 << 20;

thread_local! {
    /// The page has one thread; each test has one of its own.
    static LIMIT: Cell<usize> = const { Cell::new(FIRST) };
}

/// The module's memory in bytes. What it had once it never gives back, and uses again.
#[cfg(target_arch = "wasm32")]
fn held() -> usize {
    core::arch::wasm32::memory_size::<0>() << 16
}

#[cfg(all(test, not(target_arch = "wasm32")))]
fn held() -> usize {
    crate::effort::held()
}

#[cfg(not(any(test, target_arch = "wasm32")))]
fn held() -> usize {
    0
}

/// True if no more events should happen before somebody was told.
pub(crate) fn is_full() -> bool {
    held() > LIMIT.get()
}

/// What somebody is told, if it is; then there may be more.
pub(crate) fn full() -> Option<String> {
    if !is_full() {
        return None;
    }
    let held = held();
    LIMIT.set(held + MORE);
    Some(format!(
        "Stopped here, and nothing is lost: the page holds {} MB, and a browser ends pages that hold too much. Share keeps the run; Play goes on to {} MB; fewer records a second last longer.",
        held >> 20,
        (held + MORE) >> 20
    ))
}

/// Lets a test have so many bytes more than it has.
#[cfg(test)]
pub(crate) fn allow(more: usize) {
    LIMIT.set(held() + more);
}
