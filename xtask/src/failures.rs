//! What failed and why, gathered from what test runners print: it is said once more at the very end, which is what CI keeps.

/// Lines of a reason that are kept from its beginning and from its end: a panic says first what it is, and a test that returns an error
/// last.
const HEAD: usize = 20;
const TAIL: usize = 30;
/// Lines of all reasons together. What does not fit is in the output above.
const LINES: usize = 250;

/// Reasons by test, in the order in which they were told.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    told: Vec<(String, Vec<String>)>,
    /// The last one goes on with the next line.
    is_open: bool,
}

impl Failures {
    /// Takes note of a line of a stage's output, if it is part of a reason. Rust's own runner puts them below
    /// `---- NAME stdout ----`, and that of the browser below `---- NAME output ----`.
    pub(crate) fn hear(&mut self, stage: &str, line: &str) {
        let begins = line.strip_prefix("---- ").and_then(|it| it.strip_suffix(" ----"));
        if let Some(name) = begins.and_then(|it| it.strip_suffix(" stdout").or(it.strip_suffix(" output"))) {
            self.told.push((format!("{stage}: {name}"), Vec::new()));
            self.is_open = true;
        } else if line == "failures:" || line.starts_with("test result: ") || line == "stack backtrace:" {
            self.is_open = false;
        } else if let Some((_, lines)) = self.told.last_mut().filter(|_| self.is_open) {
            lines.push(line.to_owned());
        }
    }

    /// Takes note of a reason that is known as a whole.
    pub(crate) fn add(&mut self, name: &str, why: &str) {
        self.is_open = false;
        self.told.push((name.to_owned(), why.lines().map(str::to_owned).collect()));
    }

    /// All of them, as they are said at the end.
    pub(crate) fn text(&self) -> String {
        let mut said = Vec::new();
        for (name, lines) in &self.told {
            let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|it| !it.trim().is_empty()).collect();
            let left_out = lines.len().saturating_sub(HEAD + TAIL);
            if said.len() + lines.len() - left_out > LINES {
                said.push(format!("-- {name}: see above"));
                continue;
            }
            said.push(format!("-- {name}"));
            let (head, rest) = lines.split_at(lines.len().min(HEAD));
            said.extend(head.iter().map(|it| (*it).to_owned()));
            if left_out > 0 {
                said.push(format!("({left_out} lines are left out)"));
            }
            said.extend(rest[left_out..].iter().map(|it| (*it).to_owned()));
        }
        said.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(output: &str) -> Failures {
        let mut failures = Failures::default();
        output.lines().for_each(|it| failures.hear("native", it));
        failures
    }

    #[test]
    fn reasons_of_both_runners_are_found() {
        let rust = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\n\nthread 'a' panicked at x.rs:1:1:\nleft 3\nstack backtrace:\n   0: rust_begin_unwind\n\n\
                    ---- b stdout ----\nthe page at the end: nothing\nError: no element\n\n\nfailures:\n    a\n    b\n\ntest result: FAILED. 0 passed; 2 failed;\nmore\n";
        assert_eq!(
            heard(rust).text(),
            "-- native: a\nthread 'a' panicked at x.rs:1:1:\nleft 3\n-- native: b\nthe page at the end: nothing\nError: no element"
        );
        let browser =
            "failures:\n\n---- wasm::c output ----\n    error output:\n        panicked\n\nfailures:\n\n    wasm::c\n";
        assert_eq!(heard(browser).text(), "-- native: wasm::c\n    error output:\n        panicked");
    }

    #[test]
    fn a_long_reason_is_cut_in_its_middle_and_too_many_are_named() {
        let mut failures = Failures::default();
        let long: Vec<String> = (0..100).map(|it| it.to_string()).collect();
        for number in 0..7 {
            failures.add(&format!("t{number}"), &long.join("\n"));
        }
        let text = failures.text();
        assert!(text.starts_with("-- t0\n0\n1\n"), "{text}");
        assert!(text.contains("\n19\n(50 lines are left out)\n70\n"), "{text}");
        assert!(text.ends_with("\n99\n-- t4: see above\n-- t5: see above\n-- t6: see above"), "{text}");
    }
}
