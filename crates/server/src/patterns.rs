//! Regular expressions by which consumers find their topics (KIP-848): RE2's syntax, in time that grows with the text alone.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use node::TopicPatterns;
use protocol::Str;
use regex_automata::meta::Regex;
use regex_syntax::hir::{Hir, Look};

use crate::re2;

/// How large a compiled pattern may be: members send them, and every one is compiled in the broker's own time.
const SIZE_LIMIT: usize = 1024 * 1024;
/// How many are kept: a pattern is asked for again whenever a topic comes or goes.
const MOST_KEPT: usize = 64;

/// What matches the whole of a name, or what is wrong with the pattern.
type Compiled = Result<Regex, String>;

/// Those that were asked for last are compiled already.
#[derive(Debug, Default)]
pub(crate) struct RegexPatterns {
    /// Whoever was asked for last is the last.
    kept: Mutex<VecDeque<(String, Compiled)>>,
}

impl TopicPatterns for RegexPatterns {
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        // Who panicked over a name left what is kept as it was.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(it, _)| it == pattern).and_then(|at| kept.remove(at));
        let entry = found.unwrap_or_else(|| (pattern.to_owned(), compile(pattern)));
        if kept.len() == MOST_KEPT {
            kept.pop_front();
        }
        let matching = match &entry.1 {
            Ok(whole) => Ok(names.filter(|name| whole.is_match(name.as_str())).cloned().collect()),
            Err(why) => Err(why.clone()),
        };
        kept.push_back(entry);
        matching
    }
}

/// Its ends are put around what was read, not around the text: `a)(b` is no pattern, and would be one within others.
fn compile(pattern: &str) -> Compiled {
    let whole = Hir::concat(vec![Hir::look(Look::Start), re2::parse(pattern)?, Hir::look(Look::End)]);
    let limits = Regex::config().nfa_size_limit(Some(SIZE_LIMIT));
    let built = Regex::builder().configure(limits).build_from_hir(&whole);
    built.map_err(|error| match error.size_limit() {
        Some(limit) => format!("Compiled regex exceeds size limit of {limit} bytes."),
        None => error.to_string(),
    })
}

/// What is wrong with a pattern, if something is.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    compile(pattern).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str) -> Result<Vec<Str>, String> {
        let names: Vec<Str> = ["orders", "orders-eu", "eu.orders", "payments"].map(Str::from).into();
        RegexPatterns::default().matching(pattern, &mut names.iter())
    }

    #[test]
    fn the_last_ones_stay_compiled() {
        let (patterns, names) = (RegexPatterns::default(), [Str::from("t7")]);
        let kept = |patterns: &RegexPatterns| -> Vec<String> {
            patterns.kept.lock().unwrap().iter().map(|(it, _)| it.clone()).collect()
        };
        for number in (0..MOST_KEPT + 10).chain([7 + 10]) {
            patterns.matching(&format!("t{number}"), &mut names.iter()).unwrap();
        }
        let now = kept(&patterns);
        assert_eq!((now.len(), now[0].as_str(), now[MOST_KEPT - 1].as_str()), (MOST_KEPT, "t10", "t17"));
        // What is wrong is not compiled again either, and one that is there is as good as a new one.
        assert_eq!(patterns.matching("(", &mut names.iter()), patterns.matching("(", &mut names.iter()));
        assert_eq!(patterns.matching("t7", &mut names.iter()), Ok(names.to_vec()));
        assert_eq!(patterns.matching("t7", &mut names.iter()), Ok(names.to_vec()));
        let now = kept(&patterns);
        assert_eq!((now.len(), &now[MOST_KEPT - 2..]), (MOST_KEPT, &["(".to_owned(), "t7".to_owned()][..]));
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
        assert!(matching(r"\E").is_err());
    }

    #[test]
    fn what_would_grow_too_large_is_refused() {
        assert_eq!(matching(r"(\w+[-.])?\w+(-\w+)*").map(|it| it.len()), Ok(4));
        assert_eq!(
            matching("(a{100}){1000}"),
            Err(format!("Compiled regex exceeds size limit of {SIZE_LIMIT} bytes."))
        );
        for good in [r"\w{1000}", r"[\w.-]{249}"] {
            assert_eq!(matching(good), Ok(vec![]), "{good}");
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
