//! JSON, as the files have it that Kafka's tools take.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// Deeper nesting is no file of Kafka's.
const DEPTH: usize = 32;

/// A value. Numbers are as they were written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value and nothing else.
    pub(super) fn parse(text: &str) -> Option<Json> {
        let mut letters = text.chars().peekable();
        let value = value(&mut letters, DEPTH)?;
        blank(&mut letters);
        letters.next().is_none().then_some(value)
    }

    /// The field of an object; of several of a name the last.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(fields) = self else { return None };
        fields.iter().rev().find(|it| it.0 == name).map(|it| &it.1)
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn integer(&self) -> Option<i32> {
        if let Json::Number(digits) = self { digits.parse().ok() } else { None }
    }

    pub(super) fn list(&self) -> Option<&[Json]> {
        if let Json::List(items) = self { Some(items) } else { None }
    }
}

type Letters<'a> = Peekable<Chars<'a>>;

fn blank(letters: &mut Letters<'_>) {
    while letters.next_if(|it| matches!(it, ' ' | '\t' | '\n' | '\r')).is_some() {}
}

fn value(letters: &mut Letters<'_>, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    blank(letters);
    match *letters.peek()? {
        '"' => text(letters).map(Json::Text),
        '[' => items(letters, ']', |letters| value(letters, depth)).map(Json::List),
        '{' => {
            let fields = items(letters, '}', |letters| {
                blank(letters);
                let name = text(letters)?;
                blank(letters);
                letters.next_if_eq(&':')?;
                Some((name, value(letters, depth)?))
            });
            fields.map(Json::Object)
        }
        _ => {
            let mut word = String::new();
            while let Some(it) = letters.next_if(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '+' | '.')) {
                word.push(it);
            }
            match &*word {
                "null" => Some(Json::Null),
                "true" => Some(Json::Bool(true)),
                "false" => Some(Json::Bool(false)),
                _ => is_number(&word).then_some(Json::Number(word)),
            }
        }
    }
}

/// What stands between brackets, with commas between.
fn items<T>(
    letters: &mut Letters<'_>,
    end: char,
    mut item: impl FnMut(&mut Letters<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    letters.next()?;
    let mut items = Vec::new();
    blank(letters);
    if letters.next_if_eq(&end).is_some() {
        return Some(items);
    }
    loop {
        items.push(item(letters)?);
        blank(letters);
        match letters.next()? {
            ',' => {}
            it => return (it == end).then_some(items),
        }
    }
}

fn text(letters: &mut Letters<'_>) -> Option<String> {
    letters.next_if_eq(&'"')?;
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => code(letters)?,
                it => matches!(it, '"' | '\\' | '/').then_some(it)?,
            }),
            it if it < ' ' => return None,
            it => text.push(it),
        }
    }
}

/// Four digits, or twice that for what UTF-16 has two units for.
fn code(letters: &mut Letters<'_>) -> Option<char> {
    let unit = |letters: &mut Letters<'_>| -> Option<u16> {
        let digits: String = letters.by_ref().take(4).collect();
        (digits.len() == 4).then(|| u16::from_str_radix(&digits, 16).ok())?
    };
    let first = unit(letters)?;
    let mut units = vec![first];
    if (0xd800..0xdc00).contains(&first) {
        letters.next_if_eq(&'\\')?;
        letters.next_if_eq(&'u')?;
        units.push(unit(letters)?);
    }
    char::decode_utf16(units).next()?.ok()
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let leads = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    digits.starts_with(|it: char| it.is_ascii_digit()) && !leads && !word.ends_with('.') && word.parse::<f64>().is_ok()
}

/// Without blanks.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(it) => write!(f, "{it}"),
            Json::Number(it) => f.write_str(it),
            Json::Text(it) => quote(it, f),
            Json::List(items) => {
                f.write_str("[")?;
                for (index, it) in items.iter().enumerate() {
                    write!(f, "{}{it}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Json::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, it)) in fields.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    quote(name, f)?;
                    write!(f, ":{it}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            it if it < ' ' => write!(f, "\\u{:04x}", u32::from(it))?,
            it => write!(f, "{it}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written() {
        for text in ["null", "[true,false,-1,0.5,1e3]", r#"{"a":[{"b":"x\"\\y"}],"c":{}}"#, r#""\u0001é""#] {
            assert_eq!(Json::parse(text).map(|it| it.to_string()).as_deref(), Some(text), "{text}");
        }
        let spaced = Json::parse(" { \"a\" : [ 1 , 2 ] ,\n\"a\":\"\\u00e9\\ud83d\\ude00\\n\" } ").unwrap();
        assert_eq!(spaced.get("a").and_then(Json::text), Some("é😀\n"));
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for text in [
            "",
            "{",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "01",
            "1.",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\ud83d\"",
            "[] 1",
            "-",
            "+1",
        ] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        assert_eq!(Json::parse(&"[".repeat(100_000)), None);
    }
}
