//! Regular expressions by which consumers find their topics (KIP-848): RE2's syntax, in time that grows with the text alone.

use node::TopicPatterns;
use protocol::Str;
use regex::Regex;

/// Of the `regex` crate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegexPatterns;

impl TopicPatterns for RegexPatterns {
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        let compile = |pattern: &str| Regex::new(pattern).map_err(|error| last_line(&error.to_string()));
        // Alone first: what is no pattern may become one within others.
        compile(pattern)?;
        let whole = compile(&format!(r"\A(?:{pattern})\z"))?;
        Ok(names.filter(|name| whole.is_match(name)).cloned().collect())
    }
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
    fn what_re2_refuses_is_refused() {
        for bad in ["(", "a)(b", "[", "a{2,1}", r"\", "*", r"(a)\1", "(?=a)"] {
            assert!(matching(bad).is_err(), "{bad}");
        }
        assert_eq!(matching("("), Err("unclosed group".to_owned()));
    }
}
