//! Messages as the JSON that Apache Kafka's converters write: fields in the order of the schema, tagged ones where they are
//! not the default, bytes in base64.

use bytes::Bytes;
use protocol::message::{AnyMessage, walk_dyn};
use protocol::records::Records;
use protocol::walker::{Tags, Walked, Walker};
use protocol::{ProtocolError, Str, Uuid};

/// Where tagged fields stand in a schema, if that is not behind all others in the order of their tags, as on the wire: each
/// before another.
const BEFORE: [(&str, &str, &str); 6] = [
    ("PartitionRecord", "LeaderRecoveryState", "LeaderEpoch"),
    ("PartitionChangeRecord", "Directories", "EligibleLeaderReplicas"),
    ("PartitionChangeRecord", "Directories", "LastKnownElr"),
    ("TransactionLogValue", "PreviousProducerId", "ProducerEpoch"),
    ("TransactionLogValue", "NextProducerId", "ProducerEpoch"),
    ("TransactionLogValue", "NextProducerEpoch", "TransactionTimeoutMs"),
];

/// One message as JSON.
pub(super) fn of_message(message: &mut dyn AnyMessage, version: i16) -> Result<String, ProtocolError> {
    let schema = message.schema().name;
    let mut writer = Writer::default();
    walk_dyn(message, &mut writer, version)?;
    let mut fields = writer.fields;
    for (_, moved, other) in BEFORE.iter().filter(|it| it.0 == schema) {
        let place = |name: &str| fields.iter().position(|it| it.0 == name);
        if let (Some(from), Some(to)) = (place(moved), place(other))
            && to < from
        {
            let field = fields.remove(from);
            fields.insert(to, field);
        }
    }
    let texts: Vec<String> = fields.into_iter().map(|(_, text)| text).collect();
    Ok(format!("{{{}}}", texts.join(",")))
}

/// A string between quotes, escaped as Jackson does it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for it in text.chars() {
        match it {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            it if it < ' ' => out.push_str(&format!("\\u{:04X}", it as u32)),
            it => out.push(it),
        }
    }
    out.push('"');
    out
}

#[derive(Default)]
struct Writer {
    /// The message's own fields: Kafka's name, and the name and value as JSON.
    fields: Vec<(&'static str, String)>,
    /// For each open object and array inside: nothing is in it yet.
    first: Vec<bool>,
}

impl Writer {
    /// What comes before a value: a comma, and its name unless it is an element.
    fn name(&mut self, name: &'static str) {
        match self.first.last_mut() {
            None => self.fields.push((name, String::new())),
            Some(first) if *first => *first = false,
            Some(_) => self.push(","),
        }
        let mut letters = name.chars();
        if let Some(first) = letters.next() {
            let camel: String = first.to_lowercase().chain(letters).collect();
            self.push(&quoted(&camel));
            self.push(":");
        }
    }

    fn push(&mut self, text: &str) {
        if let Some((_, field)) = self.fields.last_mut() {
            field.push_str(text);
        }
    }

    fn value(&mut self, name: &'static str, value: &str) -> Walked {
        self.name(name);
        self.push(value);
        Ok(())
    }

    fn integer(&mut self, name: &'static str, value: i64) -> Walked {
        self.value(name, &value.to_string())
    }
}

impl Walker for Writer {
    fn reads(&self) -> bool {
        false
    }

    fn begin_message(&mut self, _name: &'static str, _flexible: bool) {}

    fn set_flexible(&mut self, _flexible: bool) {}

    fn bool(&mut self, name: &'static str, value: &mut bool) -> Walked {
        self.value(name, if *value { "true" } else { "false" })
    }

    fn i8(&mut self, name: &'static str, value: &mut i8) -> Walked {
        self.integer(name, (*value).into())
    }

    fn i16(&mut self, name: &'static str, value: &mut i16) -> Walked {
        self.integer(name, (*value).into())
    }

    fn u16(&mut self, name: &'static str, value: &mut u16) -> Walked {
        self.integer(name, (*value).into())
    }

    fn i32(&mut self, name: &'static str, value: &mut i32) -> Walked {
        self.integer(name, (*value).into())
    }

    fn u32(&mut self, name: &'static str, value: &mut u32) -> Walked {
        self.integer(name, (*value).into())
    }

    fn i64(&mut self, name: &'static str, value: &mut i64) -> Walked {
        self.integer(name, *value)
    }

    fn f64(&mut self, name: &'static str, value: &mut f64) -> Walked {
        // As Java prints a double that is a whole number.
        self.value(name, &format!("{value:?}"))
    }

    fn uuid(&mut self, name: &'static str, value: &mut Uuid) -> Walked {
        self.value(name, &quoted(&value.to_string()))
    }

    fn string(&mut self, name: &'static str, value: &mut Str) -> Walked {
        self.value(name, &quoted(value))
    }

    fn nullable_string(&mut self, name: &'static str, value: &mut Option<Str>, _nullable: bool) -> Walked {
        self.value(name, &value.as_ref().map_or("null".to_owned(), |text| quoted(text)))
    }

    fn bytes(&mut self, name: &'static str, value: &mut Bytes) -> Walked {
        self.value(name, &quoted(&base64(value)))
    }

    fn nullable_bytes(&mut self, name: &'static str, value: &mut Option<Bytes>, _nullable: bool) -> Walked {
        self.value(name, &value.as_ref().map_or("null".to_owned(), |bytes| quoted(&base64(bytes))))
    }

    fn records(&mut self, name: &'static str, value: &mut Option<Records>, _nullable: bool) -> Walked {
        // No record in a log holds records.
        self.value(name, if value.is_some() { "{}" } else { "null" })
    }

    fn begin_array(
        &mut self,
        name: &'static str,
        count: Option<usize>,
        _nullable: bool,
        _element_size: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        self.name(name);
        match count {
            Some(_) => {
                self.push("[");
                self.first.push(true);
            }
            None => self.push("null"),
        }
        Ok(count)
    }

    fn end_array(&mut self) {
        self.first.pop();
        self.push("]");
    }

    fn begin_struct(&mut self, name: &'static str) {
        self.name(name);
        self.push("{");
        self.first.push(true);
    }

    fn end_struct(&mut self) {
        self.first.pop();
        self.push("}");
    }

    fn presence(&mut self, name: &'static str, present: bool, _nullable: bool) -> Result<bool, ProtocolError> {
        if !present {
            self.value(name, "null")?;
        }
        Ok(present)
    }

    fn begin_tags(&mut self, present: u32) -> Result<Tags, ProtocolError> {
        Ok(Tags { left: present, ..Tags::default() })
    }

    fn next_tag(&mut self, tags: &mut Tags, _known: u32) -> Result<Option<u32>, ProtocolError> {
        let tag = (tags.left > 0).then(|| tags.left.trailing_zeros());
        tags.left &= tags.left.wrapping_sub(1);
        Ok(tag)
    }
}

/// RFC 4648, padded.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|index| u32::from(chunk.get(index).copied().unwrap_or(0)));
        let group = a << 16 | b << 8 | c;
        for index in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * index) & 63) as usize];
            out.push(if index <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_bytes_are_base64() {
        assert_eq!(quoted("a\"\\\n\u{1f}é"), "\"a\\\"\\\\\\n\\u001Fé\"");
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
