//! Regular expressions by which consumers find their topics (KIP-848): RE2's syntax, in time that grows with the text alone.

use node::TopicPatterns;
use protocol::Str;
use regex::{Regex, RegexBuilder};

/// How large a compiled pattern may be: members send them, and every one is compiled in the broker's own time.
const SIZE_LIMIT: usize = 512 * 1024;

/// Of the `regex` crate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegexPatterns;

impl TopicPatterns for RegexPatterns {
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        let pattern = &without_quotes(pattern);
        // Alone first: what is no pattern may become one within others.
        compile(pattern)?;
        let whole = compile(&format!(r"\A(?:{pattern})\z"))?;
        Ok(names.filter(|name| whole.is_match(name)).cloned().collect())
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build();
    built.map_err(|error| last_line(&error.to_string()))
}

/// The same pattern without `\Q…\E`, which RE2 takes, Java's `Pattern.quote` writes, and the `regex` crate does not know. What
/// is not closed goes on to the end.
fn without_quotes(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at..];
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(quoted));
            rest = after;
        } else {
            // The character after it belongs to it.
            let end = escape.chars().take(2).map(char::len_utf8).sum();
            plain.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    plain.push_str(rest);
    plain
}

/// What is wrong with a pattern, if something is.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    RegexPatterns.matching(pattern, &mut std::iter::empty()).map(|_| ())
}

/// The lines before show the pattern, which who asks knows.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str) -> Result<Vec<Str>, String> {
        let names: Vec<Str> = ["orders", "orders-eu", "eu.orders", "payments"].map(Str::from).into();
        RegexPatterns.matching(pattern, &mut names.iter())
    }

    #[test]
    fn the_whole_name_matches() {
        assert_eq!(matching("orders"), Ok(vec!["orders".into()]));
        assert_eq!(matching("orders.*"), Ok(vec!["orders".into(), "orders-eu".into()]));
        assert_eq!(matching("orders|payments"), Ok(vec!["orders".into(), "payments".into()]));
        assert_eq!(matching(r"(?i)EU\.\w+"), Ok(vec!["eu.orders".into()]));
        assert_eq!(matching(""), Ok(vec![]));
    }

    #[test]
    fn what_is_quoted_stands_for_itself() {
        assert_eq!(matching(r"\Qeu.orders\E"), Ok(vec!["eu.orders".into()]));
        assert_eq!(matching(r"\Qeu.\E\w+"), Ok(vec!["eu.orders".into()]));
        assert_eq!(matching(r"\Qe*\E"), Ok(vec![]));
        assert_eq!(matching(r"\Qorders"), Ok(vec!["orders".into()]));
        assert_eq!(without_quotes(r"\\Q.\E"), r"\\Q.\E", "an escaped backslash begins no quote");
        // As Java quotes what has the end of a quote in it.
        assert_eq!(without_quotes(r"\Qa\E\\E\Qb.\E"), r"a\\Eb\.");
        assert!(matching(r"\E").is_err());
    }

    #[test]
    fn what_would_grow_too_large_is_refused() {
        assert_eq!(matching(r"(\w+[-.])?\w+(-\w+)*").map(|it| it.len()), Ok(4));
        for bad in ["(a{100}){1000}", r"\w{1000}", r"[\w.-]{249}"] {
            assert!(matching(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for bad in ["(", "a)(b", "[", "a{2,1}", r"\", "*", r"(a)\1", "(?=a)"] {
            assert!(matching(bad).is_err(), "{bad}");
        }
        assert_eq!(matching("("), Err("unclosed group".to_owned()));
    }
}
