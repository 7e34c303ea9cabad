//! Style sheets and pages without what only their authors read.

/// A style sheet without comments, line ends and spaces that mean nothing.
pub(crate) fn css(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        at += next.len_utf8();
        if quote.is_some() {
            out.push(next);
            quote = quote.filter(|it| *it != next);
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |it| it + 2) - 1;
        } else if next.is_ascii_whitespace() {
            // After any of these, and at the start, a space means nothing. (Before a colon it does: `a :hover`.)
            if !out.ends_with([' ', '{', '}', ';', ',', ':']) && !out.is_empty() {
                out.push(' ');
            }
        } else {
            if matches!(next, '{' | '}' | ';' | ',') && out.ends_with(' ') {
                out.pop();
            }
            if next == '}' && out.ends_with(';') {
                out.pop();
            }
            out.push(next);
            quote = matches!(next, '"' | '\'').then_some(next);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A page without indentation, empty lines, lines that only Trunk reads and comments that are lines of their own.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut preformatted = false;
    for line in text.lines() {
        preformatted |= line.contains("<textarea");
        let bare = line.trim();
        let is_for_authors = bare.is_empty()
            || bare.contains("data-trunk")
            || bare.starts_with("//")
            || bare.starts_with("<!--") && bare.ends_with("-->")
            || bare.starts_with("/*") && bare.ends_with("*/");
        if preformatted || !is_for_authors {
            out.push_str(if preformatted { line } else { bare });
            out.push('\n');
        }
        preformatted &= !line.contains("</textarea");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_sheet_keeps_what_it_says() {
        let sheet = "/* What\n it is. */\n\n.a, .b > i {\n  --x: 1px;\n  font: 13px/1.4 \"A  B\", serif; /* why */\n}\n\
            a :hover { width: calc(1px + 2px); }\n@media (max-width: 9px) {\n  .c::before { content: \"; }\"; }\n}\n";
        let expected = ".a,.b > i{--x:1px;font:13px/1.4 \"A  B\",serif}a :hover{width:calc(1px + 2px)}\
            @media (max-width:9px){.c::before{content:\"; }\"}}";
        assert_eq!(css(sheet), expected);
    }

    #[test]
    fn a_page_keeps_its_lines_and_what_is_preformatted() {
        let page = "<!-- Why. -->\n<p>\n  one <b>two</b>\n\n  <i>//</i>\n<link data-trunk>\n<textarea>\n  a\n\n  // b\n</textarea>\n  \
            <p>\n// why\n/** Why. */\n  let a = 1; // here\n";
        let expected =
            "<p>\none <b>two</b>\n<i>//</i>\n<textarea>\n  a\n\n  // b\n</textarea>\n<p>\nlet a = 1; // here\n";
        assert_eq!(html(page), expected);
    }
}
