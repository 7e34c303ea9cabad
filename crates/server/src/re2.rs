//! RE2's syntax, as Apache Kafka takes it in `SubscribedTopicRegex`, in that of the `regex-syntax` crate: what both know and mean
//! otherwise is written anew, what RE2 lacks is refused in its words.
//!
//! Gap: no more than [`DEEPEST`] groups are within each other; RE2 goes on.

use regex_syntax::ast::{
    self, Ast, ClassUnicodeKind, Flag, FlagsItemKind, HexLiteralKind, LiteralKind, RepetitionKind,
};
use regex_syntax::ast::{ClassSetItem, Literal, RepetitionRange};
use regex_syntax::hir::{Hir, translate::TranslatorBuilder};

/// RE2 repeats nothing more often.
const MOST_REPEATS: u32 = 1000;
/// How deep groups are nested at most: what compiles them is called again for each.
const DEEPEST: u32 = 400;
/// Classes in brackets and colons.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];
/// RE2's general categories; any other name in `\p{…}` is a script's.
const CATEGORIES: &str =
    " Any C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs ";

/// What a pattern means, or what is wrong with it.
pub(crate) fn parse(pattern: &str) -> Result<Hir, String> {
    let plain = in_plain(pattern)?;
    let mut parser = ast::parse::ParserBuilder::new().octal(true).nest_limit(DEEPEST).build();
    let parsed = parser.parse(&plain).map_err(|error| error.kind().to_string())?;
    ast::visit(&parsed, Known { pattern: &plain })?;
    TranslatorBuilder::new().build().translate(&plain, &parsed).map_err(|error| error.kind().to_string())
}

/// Finds what RE2 does not know.
struct Known<'a> {
    pattern: &'a str,
}

impl Known<'_> {
    fn text(&self, span: &ast::Span) -> &str {
        self.pattern.get(span.start.offset..span.end.offset).unwrap_or_default()
    }

    fn literal(&self, literal: &Literal) -> Result<(), String> {
        let text = self.text(&literal.span);
        let is_known = match &literal.kind {
            LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) => *kind == HexLiteralKind::X,
            // With one digit it is a group that was before.
            LiteralKind::Octal => text.len() > 2 || text == r"\0",
            _ => true,
        };
        if is_known { Ok(()) } else { Err(format!("invalid escape sequence: `{text}`")) }
    }

    fn class(&self, class: &ast::ClassUnicode) -> Result<(), String> {
        let name = match &class.kind {
            ClassUnicodeKind::OneLetter(letter) => letter.to_string(),
            ClassUnicodeKind::Named(name) => name.clone(),
            ClassUnicodeKind::NamedValue { .. } => String::new(),
        };
        let is_category = !name.contains(' ') && CATEGORIES.contains(&format!(" {name} "));
        let is_script = || {
            let has_form = name.len() > 1 && name.starts_with(|it: char| it.is_ascii_uppercase());
            has_form && regex_syntax::parse(&format!(r"\p{{script={name}}}")).is_ok()
        };
        if is_category || is_script() {
            return Ok(());
        }
        Err(format!("invalid character class range: `{}`", self.text(&class.span)))
    }

    fn flags(&self, flags: &ast::Flags) -> Result<(), String> {
        let is_known = |kind: &FlagsItemKind| match kind {
            FlagsItemKind::Negation => true,
            FlagsItemKind::Flag(flag) => {
                matches!(flag, Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed)
            }
        };
        if flags.items.iter().all(|it| is_known(&it.kind)) {
            return Ok(());
        }
        Err(format!("invalid or unsupported Perl syntax: `(?{}`", self.text(&flags.span)))
    }
}

impl ast::Visitor for Known<'_> {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Repetition(it) => {
                let operator = self.text(&it.op.span);
                if let Ast::Repetition(inner) = &*it.ast {
                    return Err(format!("bad repetition operator: `{}{operator}`", self.text(&inner.op.span)));
                }
                let most = match &it.op.kind {
                    RepetitionKind::Range(RepetitionRange::Exactly(most) | RepetitionRange::AtLeast(most)) => *most,
                    RepetitionKind::Range(RepetitionRange::Bounded(_, most)) => *most,
                    _ => 0,
                };
                if most > MOST_REPEATS {
                    return Err(format!("bad repetition operator: `{operator}`"));
                }
                Ok(())
            }
            Ast::Flags(it) => self.flags(&it.flags),
            Ast::Group(it) => it.flags().map_or(Ok(()), |it| self.flags(it)),
            Ast::Literal(it) => self.literal(it),
            Ast::ClassUnicode(it) => self.class(it),
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Literal(it) => self.literal(it),
            ClassSetItem::Range(it) => self.literal(&it.start).and_then(|()| self.literal(&it.end)),
            ClassSetItem::Unicode(it) => self.class(it),
            _ => Ok(()),
        }
    }
}

/// The same pattern in words that both know alike.
///
/// `\Q…\E`, which Java's `Pattern.quote` writes, is quoted letter by letter; what is not closed goes on to the end. `\d`, `\w` and
/// `\s` are RE2's, of ASCII alone: those of Unicode are large. A brace that begins no count stands for itself, and so does what
/// would combine classes.
fn in_plain(pattern: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(pattern.len());
    // Whether it is in a class, and whether a bracket would close it.
    let (mut in_class, mut may_close) = (false, false);
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        let was_open = std::mem::replace(&mut may_close, true);
        let (taken, written) = match next {
            '\\' => escape(rest, in_class),
            '[' if !in_class => {
                (in_class, may_close) = (true, false);
                let taken = if rest.starts_with("[^") { 2 } else { 1 };
                // A bracket that closes nothing yet is one of the class.
                match rest[taken..].starts_with(']') {
                    true => (taken + 1, format!(r"{}\]", &rest[..taken])),
                    false => (taken, rest[..taken].to_owned()),
                }
            }
            ']' if in_class && was_open => {
                in_class = false;
                (1, "]".to_owned())
            }
            '[' => match posix(rest) {
                Some(class) if !POSIX.contains(&class[2..class.len() - 2].trim_start_matches('^')) => {
                    return Err(format!("invalid character class range: `{class}`"));
                }
                Some(class) => (class.len(), class.to_owned()),
                None => (1, r"\[".to_owned()),
            },
            '&' | '~' if in_class => (1, format!(r"\{next}")),
            '-' if in_class && rest.starts_with("--") => (2, r"-\-".to_owned()),
            '{' if !in_class && count(rest).is_none() => (1, r"\{".to_owned()),
            _ => (next.len_utf8(), next.to_string()),
        };
        plain.push_str(&written);
        rest = &rest[taken..];
    }
    Ok(plain)
}

/// What begins with a backslash: how long it is, and how it is written.
fn escape(rest: &str, in_class: bool) -> (usize, String) {
    if let Some(quoted) = rest.strip_prefix(r"\Q").filter(|_| !in_class) {
        let (quoted, end) = quoted.split_once(r"\E").map_or((quoted, 0), |(quoted, _)| (quoted, 2));
        return (2 + quoted.len() + end, regex_syntax::escape(quoted));
    }
    let Some(letter) = rest[1..].chars().next() else { return (1, rest.to_owned()) };
    let taken = 1 + letter.len_utf8();
    let class = match letter {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => r"\t\n\f\r ",
        // Named in braces.
        'p' | 'P' | 'x' if rest[taken..].starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |it| it + 1);
            return (end, rest[..end].to_owned());
        }
        // The crate knows these as ends of words.
        '<' | '>' => return (taken, letter.to_string()),
        _ if !letter.is_ascii() => return (taken, letter.to_string()),
        _ => return (taken, rest[..taken].to_owned()),
    };
    let written = match (letter.is_ascii_uppercase(), in_class) {
        (true, _) => format!("[^{class}]"),
        (false, true) => class.to_owned(),
        (false, false) => format!("[{class}]"),
    };
    (taken, written)
}

/// `[:alpha:]`, if it begins so.
fn posix(rest: &str) -> Option<&str> {
    let end = rest.strip_prefix("[:")?.find(":]")? + 4;
    Some(&rest[..end]).filter(|it| it[2..end - 2].chars().all(|it| it == '^' || it.is_ascii_lowercase()))
}

/// `{2}`, `{2,}` or `{2,3}`, if it begins so.
fn count(rest: &str) -> Option<()> {
    let (inside, _) = rest.strip_prefix('{')?.split_once('}')?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let is_number = |it: &str| it.chars().all(|it| it.is_ascii_digit());
    (!least.is_empty() && is_number(least) && is_number(most)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_automata::meta::Regex;
    use regex_syntax::hir::Look;

    fn whole(pattern: &str, text: &str) -> Result<bool, String> {
        let whole = Hir::concat(vec![Hir::look(Look::Start), parse(pattern)?, Hir::look(Look::End)]);
        Ok(Regex::builder().build_from_hir(&whole).map_err(|error| error.to_string())?.is_match(text))
    }

    /// As re2j 1.8, which is Kafka's, answered.
    #[test]
    fn what_re2_takes_is_taken_and_means_the_same() {
        for (pattern, matching, other) in [
            (r"\w{1,12}", "orders", "orders.eu"),
            (r"[\w.-]{1,249}", "eu.orders-1", "eu orders"),
            (r"(\w{1,20}\.){1,5}x", "a.b.x", "x"),
            (r"\164", "t", "164"),
            ("t{2", "t{2", "tt"),
            ("{t", "{t", "t"),
            ("t{,2}", "t{,2}", "tt"),
            (r"t\b{s}", "t{s}", "ts"),
            (r"\é", "é", "e"),
            (r"\<t\>", "<t>", "t"),
            ("[a-z&&[^u]]", "&]", "v"),
            ("[a~~b]", "~", "c"),
            ("[]a]", "]", "b"),
            ("[^]a]", "b", "]"),
            ("[[:alpha:]_]+", "a_b", "a1"),
            (r"[^\d]+", "abc", "a1"),
            (r"[\D]+", "abc", "a1"),
            (r"\W\S\D", "-ab", "aab"),
            (r"\p{Greek}\pL\p{Lu}", "αbC", "abC"),
            (r"\x{74}\x65", "te", "x"),
            ("(?i)ORDERS", "orders", "payments"),
            ("(?U)a+?", "aaa", "b"),
            ("(a*)*b", "aab", "c"),
            (r"\Qa.b\E+", "a.bb", "axb"),
            ("a{1000}", &"a".repeat(1000), "a"),
        ] {
            assert_eq!(whole(pattern, matching), Ok(true), "{pattern} {matching}: {:?}", in_plain(pattern));
            assert_eq!(whole(pattern, other), Ok(false), "{pattern} {other}: {:?}", in_plain(pattern));
        }
        let nested = format!("{}t{}", "(".repeat(300), ")".repeat(300));
        assert_eq!(whole(&nested, "t"), Ok(true));
        assert_eq!(whole(&"t".repeat(20_000), "t"), Ok(false));
    }

    #[test]
    fn quotes_are_taken_off() {
        assert_eq!(in_plain(r"\\Q.\E").as_deref(), Ok(r"\\Q.\E"), "an escaped backslash begins no quote");
        // As Java quotes what has the end of a quote in it.
        assert_eq!(in_plain(r"\Qa\E\\E\Qb.\E").as_deref(), Ok(r"a\\Eb\."));
        assert_eq!(in_plain(r"\Qa.b").as_deref(), Ok(r"a\.b"), "what is not closed goes on to the end");
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for (pattern, why) in [
            ("a**", "bad repetition operator: `**`"),
            ("t++", "bad repetition operator: `++`"),
            ("x{2}{3}", "bad repetition operator: `{2}{3}`"),
            ("a{1001}", "bad repetition operator: `{1001}`"),
            (r"\p{Alpha}", r"invalid character class range: `\p{Alpha}`"),
            (r"[\p{IsAlphabetic}]", r"invalid character class range: `\p{IsAlphabetic}`"),
            (r"\p{sc=Greek}", r"invalid character class range: `\p{sc=Greek}`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?u)a", "invalid or unsupported Perl syntax: `(?u`"),
            ("(?R:a)", "invalid or unsupported Perl syntax: `(?R`"),
            (r"\u0074", r"invalid escape sequence: `\u0074`"),
            (r"[\u{74}]", r"invalid escape sequence: `\u{74}`"),
            (r"(a)\1", r"invalid escape sequence: `\1`"),
        ] {
            assert_eq!(whole(pattern, "t"), Err(why.to_owned()), "{pattern}: {:?}", in_plain(pattern));
        }
        for bad in [
            "(",
            "a)(b",
            "[",
            "[a",
            "a{2,1}",
            r"\",
            "*",
            "(?=a)",
            "[a--b]",
            "[b-a]",
            r"\8",
            r"\E",
            r"\p{",
            "[[:nope:]]",
        ] {
            assert!(whole(bad, "t").is_err(), "{bad}: {:?}", in_plain(bad));
        }
    }
}
