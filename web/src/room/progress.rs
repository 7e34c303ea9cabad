//! What the browser remembers between visits: the room that was open last, which lessons were gone through, and lines of the
//! terminal.

use leptos::prelude::window;
use leptos::web_sys::js_sys::Reflect;
use wasm_bindgen::JsValue;

/// Where it is kept: a line with the room, a line with the lessons.
const KEY: &str = "vivarium";
/// Where lines of the terminal are.
const LINES: &str = "vivarium-lines";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The room that was open last; empty on a first visit.
    pub(crate) room: String,
    /// Lessons that were gone through.
    pub(crate) done: Vec<String>,
}

impl Progress {
    /// What is remembered; nothing where the browser keeps nothing.
    pub(crate) fn load() -> Progress {
        let kept = Reflect::get(&storage(), &KEY.into()).ok().and_then(|it| it.as_string());
        Progress::read(&kept.unwrap_or_default())
    }

    /// Remembers it.
    pub(crate) fn keep(&self) {
        // Storage that is full or refused keeps nothing; the page goes on without.
        let _ = Reflect::set(&storage(), &KEY.into(), &JsValue::from(self.to_text()));
    }

    fn read(text: &str) -> Progress {
        let mut lines = text.lines();
        let room = lines.next().unwrap_or_default().to_owned();
        let done = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Progress { room, done }
    }

    fn to_text(&self) -> String {
        format!("{}\n{}", self.room, self.done.join(" "))
    }
}

/// Lines of the terminal, as they were kept.
pub(crate) fn lines() -> String {
    Reflect::get(&storage(), &LINES.into()).ok().and_then(|it| it.as_string()).unwrap_or_default()
}

/// Keeps them; where nothing can be kept the arrows bring none back.
pub(crate) fn keep_lines(lines: &str) {
    let _ = Reflect::set(&storage(), &LINES.into(), &JsValue::from(lines));
}

/// Where nothing may be kept, asking for it is an error already.
fn storage() -> JsValue {
    Reflect::get(&window(), &"localStorage".into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_rubbish_is_nothing() {
        let progress = Progress { room: "12".to_owned(), done: vec!["1".to_owned(), "5".to_owned()] };
        assert_eq!(Progress::read(&progress.to_text()), progress);
        assert_eq!(Progress::read(""), Progress::default());
        assert_eq!(Progress::read("\u{0}\n\n\n").done, [""; 0]);
    }
}
