//! Kafka's message definitions: JSON with comments, one message a file.

use std::collections::BTreeMap;

use serde_json::Value;

/// An inclusive range of versions, empty if `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    pub first: i16,
    pub last: i16,
}

/// What a definition describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Request,
    Response,
    Header,
    Metadata,
    CoordinatorKey,
    CoordinatorValue,
    Data,
}

/// One definition.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub name: String,
    pub kind: Kind,
    pub api_key: Option<i16>,
    pub versions: Versions,
    pub flexible: Versions,
    pub fields: Vec<Field>,
    pub common: BTreeMap<String, Vec<Field>>,
    /// The jar it came from, without its version: `kafka-clients`.
    pub jar: String,
}

/// A field of a message or struct.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: String,
    pub kind: Type,
    pub versions: Versions,
    pub nullable: Versions,
    pub tag: Option<u32>,
    pub tagged: Versions,
    /// The field's lengths are never compact, whatever its message says.
    pub never_flexible: bool,
    pub ignorable: bool,
    /// As the definition spells it; empty for the type's own.
    pub default: String,
    /// Of the struct that the field holds, if it defines one.
    pub fields: Vec<Field>,
}

/// A field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Primitive(Primitive),
    Struct(String),
    Array(Box<Type>),
}

/// A type without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Primitive {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
}

impl Versions {
    pub(super) const NONE: Versions = Versions { first: 0, last: -1 };

    /// `none`, `3`, `1-4` or `2+`.
    fn parse(text: &str) -> Result<Versions, String> {
        let number = |it: &str| it.parse::<i16>().map_err(|_| format!("versions {text:?}"));
        Ok(match text.split_once('-') {
            _ if text == "none" => Versions::NONE,
            Some((first, last)) => Versions { first: number(first)?, last: number(last)? },
            None => match text.strip_suffix('+') {
                Some(first) => Versions { first: number(first)?, last: i16::MAX },
                None => Versions { first: number(text)?, last: number(text)? },
            },
        })
    }

    pub(super) fn is_empty(self) -> bool {
        self.first > self.last
    }

    pub(super) fn and(self, other: Versions) -> Versions {
        Versions { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// `self` without `other`, which reaches to one of its ends.
    pub(super) fn without(self, other: Versions) -> Versions {
        let cut = self.and(other);
        if cut.is_empty() {
            self
        } else if cut.first > self.first {
            Versions { first: self.first, last: cut.first - 1 }
        } else if cut.last < self.last {
            Versions { first: cut.last + 1, last: self.last }
        } else {
            Versions::NONE
        }
    }

    pub(super) fn covers(self, other: Versions) -> bool {
        other.is_empty() || (self.first <= other.first && self.last >= other.last)
    }
}

impl Type {
    fn parse(text: &str) -> Type {
        if let Some(element) = text.strip_prefix("[]") {
            return Type::Array(Box::new(Type::parse(element)));
        }
        Type::Primitive(match text {
            "bool" => Primitive::Bool,
            "int8" => Primitive::Int8,
            "int16" => Primitive::Int16,
            "uint16" => Primitive::Uint16,
            "int32" => Primitive::Int32,
            "uint32" => Primitive::Uint32,
            "int64" => Primitive::Int64,
            "float64" => Primitive::Float64,
            "uuid" => Primitive::Uuid,
            "string" => Primitive::String,
            "bytes" => Primitive::Bytes,
            "records" => Primitive::Records,
            name => return Type::Struct(name.to_owned()),
        })
    }

    /// The struct that the field holds, alone or in an array.
    pub(super) fn structure(&self) -> Option<&str> {
        match self {
            Type::Primitive(_) => None,
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.structure(),
        }
    }
}

/// Reads one definition.
pub(super) fn parse(text: &str, jar: &str) -> Result<Message, String> {
    let json: Value = serde_json::from_str(&without_comments(text)).map_err(|error| error.to_string())?;
    let name = required(&json, "name")?.to_owned();
    message(&json, name.clone(), jar).map_err(|error| format!("{name}: {error}"))
}

fn message(json: &Value, name: String, jar: &str) -> Result<Message, String> {
    let kind = match required(json, "type")? {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        // Tiered storage numbers its records as the controller does its own, from 0; only the latter are read by key.
        "metadata" if jar == "kafka-metadata" => Kind::Metadata,
        "coordinator-key" => Kind::CoordinatorKey,
        "coordinator-value" => Kind::CoordinatorValue,
        "data" | "metadata" => Kind::Data,
        other => return Err(format!("unknown message type {other:?}")),
    };
    let mut common = BTreeMap::new();
    for structure in list(json, "commonStructs") {
        common.insert(required(structure, "name")?.to_owned(), fields(structure)?);
    }
    Ok(Message {
        name,
        kind,
        api_key: json.get("apiKey").and_then(Value::as_i64).and_then(|key| i16::try_from(key).ok()),
        versions: Versions::parse(required(json, "validVersions")?)?,
        flexible: versions(json, "flexibleVersions")?.unwrap_or(Versions::NONE),
        fields: fields(json)?,
        common,
        jar: jar.to_owned(),
    })
}

fn fields(json: &Value) -> Result<Vec<Field>, String> {
    list(json, "fields").iter().map(field).collect()
}

fn field(json: &Value) -> Result<Field, String> {
    let name = required(json, "name")?.to_owned();
    let tagged = versions(json, "taggedVersions")?.unwrap_or(Versions::NONE);
    Ok(Field {
        kind: Type::parse(required(json, "type")?),
        versions: versions(json, "versions")?.unwrap_or(tagged),
        nullable: versions(json, "nullableVersions")?.unwrap_or(Versions::NONE),
        tag: json.get("tag").and_then(Value::as_u64).map(|tag| tag as u32),
        tagged,
        never_flexible: versions(json, "flexibleVersions")?.is_some_and(Versions::is_empty),
        ignorable: json.get("ignorable").is_some_and(|it| it.as_bool() == Some(true) || it == "true"),
        default: match json.get("default") {
            // A bare null is no default at all to Kafka's own generator; the string "null" is one.
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        },
        fields: fields(json)?,
        name,
    })
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn required<'a>(json: &'a Value, key: &str) -> Result<&'a str, String> {
    json.get(key).and_then(Value::as_str).ok_or_else(|| format!("no {key:?} in {json}"))
}

fn versions(json: &Value, key: &str) -> Result<Option<Versions>, String> {
    json.get(key).and_then(Value::as_str).map(Versions::parse).transpose()
}

/// The text without `//` comments; strings may hold the two characters.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => {
                out.push(character);
                out.extend(characters.next());
                continue;
            }
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => {
                while characters.next_if(|it| *it != '\n').is_some() {}
                continue;
            }
            _ => {}
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_kafka_spells_them() {
        let parse = |text| Versions::parse(text);
        assert_eq!(parse("none"), Ok(Versions::NONE));
        assert_eq!(parse("3"), Ok(Versions { first: 3, last: 3 }));
        assert_eq!(parse("1-4"), Ok(Versions { first: 1, last: 4 }));
        assert_eq!(parse("2+"), Ok(Versions { first: 2, last: i16::MAX }));
        assert!(parse("x").is_err());
    }

    #[test]
    fn comments_go_and_strings_stay() {
        assert_eq!(
            without_comments("{ // c \"\n\"a\": \"http://x \\\" // y\" }"),
            "{ \n\"a\": \"http://x \\\" // y\" }"
        );
    }

    #[test]
    fn ranges_subtract() {
        let range = |first, last| Versions { first, last };
        assert_eq!(range(0, 9).without(range(3, i16::MAX)), range(0, 2));
        assert_eq!(range(0, 9).without(range(0, i16::MAX)), Versions::NONE);
        assert_eq!(range(0, 9).without(Versions::NONE), range(0, 9));
    }
}
