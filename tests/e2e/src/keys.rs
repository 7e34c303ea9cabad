//! Keys without a character, as WebDriver's code points: for [`crate::Browser::keys`].

/// Tab
pub const TAB: char = '\u{E004}';
/// Enter
pub const ENTER: char = '\u{E007}';
/// Shift
pub const SHIFT: char = '\u{E008}';
/// Escape
pub const ESCAPE: char = '\u{E00C}';
/// Space
pub const SPACE: char = '\u{E00D}';
/// Page up
pub const PAGE_UP: char = '\u{E00E}';
/// Page down
pub const PAGE_DOWN: char = '\u{E00F}';
/// End
pub const END: char = '\u{E010}';
/// Home
pub const HOME: char = '\u{E011}';
/// Left
pub const LEFT: char = '\u{E012}';
/// Up
pub const UP: char = '\u{E013}';
/// Right
pub const RIGHT: char = '\u{E014}';
/// Down
pub const DOWN: char = '\u{E015}';
