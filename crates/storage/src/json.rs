//! Just enough JSON for the two small files that Kafka writes in it.

use ordered::Map;

/// Folders in folders; deeper is no file of ours.
const DEPTH: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is spelled; whole numbers are all that is asked for.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Map<String, Json>),
}

impl Json {
    /// Reads one value that is all of the text.
    pub(crate) fn parse(text: &str) -> Result<Json, String> {
        let mut parser = Parser { rest: text, len: text.len() };
        let value = parser.value(DEPTH)?;
        parser.space();
        if parser.rest.is_empty() { Ok(value) } else { Err(parser.expected("the end")) }
    }

    /// A member of an object; `None` for anything else.
    pub(crate) fn field(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(name),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Json::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Json]> {
        match self {
            Json::List(items) => Some(items),
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    len: usize,
}

impl Parser<'_> {
    fn expected(&self, what: &str) -> String {
        format!("expected {what} at byte {}", self.len - self.rest.len())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn require(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        let inner = depth.checked_sub(1).ok_or_else(|| self.expected("less nesting"))?;
        if self.take("{") {
            let mut members = Map::new();
            self.sequence("}", |it| {
                let name = it.string()?;
                it.require(":")?;
                members.insert(name, it.value(inner)?);
                Ok(())
            })?;
            return Ok(Json::Object(members));
        }
        if self.take("[") {
            let mut items = Vec::new();
            self.sequence("]", |it| {
                items.push(it.value(inner)?);
                Ok(())
            })?;
            return Ok(Json::List(items));
        }
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if self.take(word) {
                return Ok(value);
            }
        }
        self.space();
        if self.rest.starts_with('"') { self.string().map(Json::Text) } else { self.number() }
    }

    fn sequence(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.take(end) {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(",") {
                return self.require(end);
            }
        }
    }

    fn number(&mut self) -> Result<Json, String> {
        let is_part = |it: char| it.is_ascii_digit() || matches!(it, '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|it| !is_part(it)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        if !number.contains(|it: char| it.is_ascii_digit()) {
            return Err(self.expected("a value"));
        }
        self.rest = rest;
        Ok(Json::Number(number.to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.require("\"")?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 'u')) => {
                        let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                        let code = u32::from_str_radix(&digits, 16).map_err(|_| self.expected("four hex digits"))?;
                        // Ids and numbers are all that these files hold: half a pair needs no better.
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some((_, plain @ ('"' | '\\' | '/'))) => text.push(plain),
                    _ => return Err(self.expected("an escape")),
                },
                plain => text.push(plain),
            }
        }
        Err(self.expected("the end of a string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_nest_and_garbage_is_refused() {
        let it = Json::parse(" {\"a\": [1, -2, {}], \"b\":\"x\\\"\\u0041\", \"c\":null,\"d\":true}\n").unwrap();
        let items = it.field("a").and_then(Json::list).unwrap();
        assert_eq!((items[0].integer(), items[1].integer(), items.len()), (Some(1), Some(-2), 3));
        assert_eq!(it.field("b").and_then(Json::text), Some("x\"A"));
        assert_eq!((it.field("c"), it.field("d")), (Some(&Json::Null), Some(&Json::Bool(true))));
        for garbage in ["", "{", "{\"a\"}", "[1,]", "{}x", "\"", "\"\\u12\"", "\"\\q\"", "-", "nul", "\0\0\0\0"] {
            assert!(Json::parse(garbage).is_err(), "{garbage:?}");
        }
        assert!(Json::parse(&"[".repeat(100_000)).is_err(), "no stack is long enough for every file");
    }
}
