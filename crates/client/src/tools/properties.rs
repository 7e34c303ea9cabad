//! Java's `.properties` files, as far as configurations use them.

/// Keys and values: `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash joins lines and
/// escapes.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while ends_with_odd_backslashes(&line) {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let split = line.char_indices().scan(false, |escaped, (at, c)| {
            let ends = !*escaped && (c == '=' || c == ':' || c.is_whitespace());
            *escaped = c == '\\' && !*escaped;
            Some((at, ends))
        });
        let end = split.into_iter().find(|(_, ends)| *ends).map_or(line.len(), |(at, _)| at);
        let value = line[end..].trim_start();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
        pairs.push((unescape(&line[..end]), unescape(value)));
    }
    pairs
}

fn ends_with_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|it| *it == b'\\').count() % 2 == 1
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let code: String = chars.by_ref().take(4).collect();
                let unit = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                plain.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_java_writes() {
        let text =
            "# a comment\n\nacks = all\nlinger.ms: 5\n  key\\ with\\=escapes=\\tv\\u00e9\nlist=a,\\\n   b\nalone\n";
        let expected =
            [("acks", "all"), ("linger.ms", "5"), ("key with=escapes", "\tvé"), ("list", "a,b"), ("alone", "")];
        let expected: Vec<_> = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(parse(text), expected);
    }
}
